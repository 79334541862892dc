CREATE TEMPORARY TABLE pg_temp.etl_job_stage (
  "__delete" boolean NOT NULL,
  "id" bigint NOT NULL,
  "k e""y" text NOT NULL,
  "amount" numeric,
  "ratio" double precision,
  "note" text,
  PRIMARY KEY ("id", "k e""y")
) ON COMMIT DROP;
COPY pg_temp.etl_job_stage ("__delete", "id", "k e""y", "amount", "ratio", "note") FROM STDIN (FORMAT binary)
