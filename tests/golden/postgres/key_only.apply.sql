DELETE FROM "dw"."or""ders" AS t USING pg_temp.etl_job_stage AS s WHERE s.is_delete AND t."id" = s.c0;
INSERT INTO "dw"."or""ders" AS t ("id")
SELECT s.c0 FROM pg_temp.etl_job_stage AS s
 WHERE NOT s.is_delete
   AND NOT EXISTS (SELECT FROM "dw"."or""ders" AS t WHERE t."id" = s.c0)
