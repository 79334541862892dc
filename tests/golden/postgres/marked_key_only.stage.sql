CREATE TEMPORARY TABLE pg_temp.etl_job_stage (
  is_delete boolean NOT NULL,
  c0 bigint NOT NULL,
  PRIMARY KEY (c0)
) ON COMMIT DROP;
COPY pg_temp.etl_job_stage (is_delete, c0) FROM STDIN (FORMAT binary)
