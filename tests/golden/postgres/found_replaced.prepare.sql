-- begin, and take the preparation lock

-- create schema etl

-- create the table of migrations

-- migration 1: checkpoint, run ledger, quarantine

-- migration 2: loads

-- migration 3: the load of an entry of the quarantine

-- create schema dw

-- create target dw.or"ders
DO $etl$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_class c
                   JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname = 'dw' AND c.relname = 'or"ders') THEN
    CREATE TABLE "dw"."or""ders" (
      "id" bigint NOT NULL,
      "k e""y" varchar(40) NOT NULL,
      "amount" numeric(18,2) NOT NULL,
      "ratio" double precision,
      "note" text,
      PRIMARY KEY ("id", "k e""y")
    );
  END IF;
END
$etl$;
-- create the checkpoint of orders/public.o'rders

-- create schema etl_stage
DO $etl$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'etl_stage') THEN
    CREATE SCHEMA "etl_stage";
  END IF;
END
$etl$;
-- create stage etl_stage.or"ders_170364da638fbc2a
DO $etl$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_class c
                   JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname = 'etl_stage' AND c.relname = 'or"ders_170364da638fbc2a') THEN
    UPDATE "etl".checkpoint SET phase = 'idle', sequence = sequence + 1, run_id = NULL, lease_until = NULL
     WHERE pipeline = 'orders/public.o''rders' AND phase <> 'idle';
    CREATE TABLE "etl_stage"."or""ders_170364da638fbc2a" (
      "id" bigint NOT NULL,
      "k e""y" text NOT NULL,
      "amount" numeric NOT NULL,
      "ratio" double precision,
      "note" text,
      PRIMARY KEY ("id", "k e""y")
    );
  END IF;
END
$etl$;
-- grant TEMPORARY on the database to etl_"job

-- grant USAGE on SCHEMA "etl"

-- grant USAGE on SCHEMA "dw"

-- grant USAGE on SCHEMA "etl_stage"
GRANT USAGE ON SCHEMA "etl_stage" TO "etl_""job";
-- grant SELECT, INSERT, UPDATE, DELETE on "dw"."or""ders"
GRANT SELECT, INSERT, UPDATE, DELETE ON "dw"."or""ders" TO "etl_""job";
-- grant SELECT, UPDATE on "etl"."checkpoint"

-- grant SELECT, INSERT, UPDATE on "etl"."run"

-- grant SELECT, INSERT, UPDATE, DELETE on "etl"."quarantine"

-- grant SELECT on "etl"."schema_version"

-- grant SELECT, INSERT, UPDATE, DELETE, TRUNCATE on "etl_stage"."or""ders_170364da638fbc2a"
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON "etl_stage"."or""ders_170364da638fbc2a" TO "etl_""job";
-- commit

