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
      "_deleted_at" timestamptz,
      PRIMARY KEY ("id", "k e""y")
    );
  END IF;
END
$etl$;
-- create the checkpoint of orders/public.o'rders

-- grant TEMPORARY on the database to etl_"job

-- grant USAGE on SCHEMA "etl"

-- grant USAGE on SCHEMA "dw"

-- grant SELECT, INSERT, UPDATE on "dw"."or""ders"

-- grant SELECT, UPDATE on "etl"."checkpoint"

-- grant SELECT, INSERT, UPDATE on "etl"."run"

-- grant SELECT, INSERT, UPDATE, DELETE on "etl"."quarantine"

-- grant SELECT on "etl"."schema_version"

-- commit

