CREATE TEMPORARY TABLE pg_temp.etl_job_stage (
  is_delete boolean NOT NULL,
  c0 bigint NOT NULL,
  c1 text COLLATE pg_catalog."de_DE" NOT NULL,
  c2 numeric,
  c3 double precision,
  c4 text,
  PRIMARY KEY (c0, c1)
) ON COMMIT DROP;
COPY pg_temp.etl_job_stage (is_delete, c0, c1, c2, c3, c4) FROM STDIN (FORMAT binary)
