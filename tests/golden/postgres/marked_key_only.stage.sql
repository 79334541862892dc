CREATE TEMPORARY TABLE pg_temp.etl_job_stage (
  "__delete" boolean NOT NULL,
  "id" bigint NOT NULL,
  PRIMARY KEY ("id")
) ON COMMIT DROP;
COPY pg_temp.etl_job_stage ("__delete", "id") FROM STDIN (FORMAT binary)
