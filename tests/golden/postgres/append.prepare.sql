-- begin, and take the preparation lock
BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL lock_timeout = '60s';
SELECT pg_advisory_xact_lock(6648940);
-- create schema etl
DO $etl$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'etl') THEN
    CREATE SCHEMA "etl";
  END IF;
END
$etl$;
-- create the table of migrations
DO $etl$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_class c
                   JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname = 'etl' AND c.relname = 'schema_version') THEN
    CREATE TABLE "etl"."schema_version" (
      version    integer NOT NULL PRIMARY KEY,
      name       text NOT NULL,
      checksum   text NOT NULL,
      applied_at timestamptz NOT NULL
    );
  END IF;
END
$etl$;
-- migration 1: checkpoint, run ledger, quarantine
DO $etl$
BEGIN
  IF EXISTS (SELECT FROM "etl".schema_version WHERE version = 1 AND checksum <> '0c5f797372de6965b0d8c3e179965a9af6c46cbf832898b671b71c0070a1b954') THEN
    RAISE EXCEPTION 'migration 1 was applied with another text' USING ERRCODE = 'ETL01';
  END IF;
  IF NOT EXISTS (SELECT FROM "etl".schema_version WHERE version = 1) THEN
    CREATE TABLE "etl".checkpoint (
      pipeline    text COLLATE pg_catalog."C" NOT NULL PRIMARY KEY,
      position    text,
      definition  text,
      sequence    bigint NOT NULL,
      run_id      uuid,
      lease_until timestamptz,
      rows_total  bigint NOT NULL,
      updated_at  timestamptz NOT NULL
    );
    CREATE TABLE "etl".run (
      run_id           uuid NOT NULL PRIMARY KEY,
      pipeline         text COLLATE pg_catalog."C" NOT NULL,
      started_at       timestamptz NOT NULL,
      finished_at      timestamptz,
      outcome          text NOT NULL,
      rows_read        bigint NOT NULL,
      rows_written     bigint NOT NULL,
      rows_updated     bigint NOT NULL,
      rows_deleted     bigint NOT NULL,
      rows_unchanged   bigint NOT NULL,
      rows_reread      bigint NOT NULL,
      rows_quarantined bigint NOT NULL,
      source_horizon   timestamptz,
      error_class      text,
      error_code       text
    );
    CREATE INDEX ON "etl".run (pipeline, started_at);
    CREATE TABLE "etl".quarantine (
      pipeline    text COLLATE pg_catalog."C" NOT NULL,
      key_hash    bytea NOT NULL,
      column_name text COLLATE pg_catalog."C" NOT NULL,
      key_json    text,
      reason      text NOT NULL,
      error_code  text,
      run_id      uuid NOT NULL,
      first_seen  timestamptz NOT NULL,
      last_seen   timestamptz NOT NULL,
      attempts    integer NOT NULL,
      PRIMARY KEY (pipeline, key_hash, column_name)
    );
    INSERT INTO "etl".schema_version (version, name, checksum, applied_at)
    VALUES (1, 'checkpoint, run ledger, quarantine', '0c5f797372de6965b0d8c3e179965a9af6c46cbf832898b671b71c0070a1b954', clock_timestamp());
  END IF;
END
$etl$;
-- migration 2: loads
DO $etl$
BEGIN
  IF EXISTS (SELECT FROM "etl".schema_version WHERE version = 2 AND checksum <> 'ae3bfbaf4f5006d23a97f208215a5a810a5f7dedf9d1be4f0a3e87ac7b8e32d3') THEN
    RAISE EXCEPTION 'migration 2 was applied with another text' USING ERRCODE = 'ETL01';
  END IF;
  IF NOT EXISTS (SELECT FROM "etl".schema_version WHERE version = 2) THEN
    ALTER TABLE "etl".checkpoint ADD generation bigint NOT NULL DEFAULT 0,
      ADD phase text NOT NULL DEFAULT 'idle';
    INSERT INTO "etl".schema_version (version, name, checksum, applied_at)
    VALUES (2, 'loads', 'ae3bfbaf4f5006d23a97f208215a5a810a5f7dedf9d1be4f0a3e87ac7b8e32d3', clock_timestamp());
  END IF;
END
$etl$;
-- migration 3: the load of an entry of the quarantine
DO $etl$
BEGIN
  IF EXISTS (SELECT FROM "etl".schema_version WHERE version = 3 AND checksum <> 'd3dcdc7c3ab87dee90868c3fc46091519fbefc027f931188a840ee799579bbd1') THEN
    RAISE EXCEPTION 'migration 3 was applied with another text' USING ERRCODE = 'ETL01';
  END IF;
  IF NOT EXISTS (SELECT FROM "etl".schema_version WHERE version = 3) THEN
    ALTER TABLE "etl".quarantine ADD generation bigint NOT NULL DEFAULT 0;
    INSERT INTO "etl".schema_version (version, name, checksum, applied_at)
    VALUES (3, 'the load of an entry of the quarantine', 'd3dcdc7c3ab87dee90868c3fc46091519fbefc027f931188a840ee799579bbd1', clock_timestamp());
  END IF;
END
$etl$;
-- create schema dw
DO $etl$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'dw') THEN
    CREATE SCHEMA "dw";
  END IF;
END
$etl$;
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
      "note" text
    );
  END IF;
END
$etl$;
-- create the checkpoint of orders/public.o'rders
INSERT INTO "etl".checkpoint (pipeline, sequence, rows_total, updated_at)
VALUES ('orders/public.o''rders', 0, 0, clock_timestamp()) ON CONFLICT (pipeline) DO NOTHING;
-- grant TEMPORARY on the database to etl_"job
DO $etl$
BEGIN
  IF NOT has_database_privilege('etl_"job', current_database(), 'TEMPORARY') THEN
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO %I', current_database(), 'etl_"job');
  END IF;
END
$etl$;
-- grant USAGE on SCHEMA "etl"
GRANT USAGE ON SCHEMA "etl" TO "etl_""job";
-- grant USAGE on SCHEMA "dw"
GRANT USAGE ON SCHEMA "dw" TO "etl_""job";
-- grant SELECT, INSERT on "dw"."or""ders"
GRANT SELECT, INSERT ON "dw"."or""ders" TO "etl_""job";
-- grant SELECT, UPDATE on "etl"."checkpoint"
GRANT SELECT, UPDATE ON "etl"."checkpoint" TO "etl_""job";
-- grant SELECT, INSERT, UPDATE on "etl"."run"
GRANT SELECT, INSERT, UPDATE ON "etl"."run" TO "etl_""job";
-- grant SELECT, INSERT, UPDATE, DELETE on "etl"."quarantine"
GRANT SELECT, INSERT, UPDATE, DELETE ON "etl"."quarantine" TO "etl_""job";
-- grant SELECT on "etl"."schema_version"
GRANT SELECT ON "etl"."schema_version" TO "etl_""job";
-- commit
COMMIT;
