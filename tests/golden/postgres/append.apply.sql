INSERT INTO "dw"."or""ders" AS t ("id", "k e""y", "amount", "ratio", "note")
SELECT s."id", s."k e""y", s."amount", s."ratio", s."note" FROM pg_temp.etl_job_stage AS s
 WHERE NOT s."__delete"
