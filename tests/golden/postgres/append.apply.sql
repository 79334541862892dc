INSERT INTO "dw"."or""ders" AS t ("id", "k e""y", "amount", "ratio", "note")
SELECT s.c0, s.c1, s.c2, s.c3, s.c4 FROM pg_temp.etl_job_stage AS s
 WHERE NOT s.is_delete
