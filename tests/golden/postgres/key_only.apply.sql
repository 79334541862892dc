DELETE FROM "dw"."or""ders" AS t USING pg_temp.etl_job_stage AS s WHERE s."__delete" AND t."id" = s."id";
INSERT INTO "dw"."or""ders" AS t ("id")
SELECT s."id" FROM pg_temp.etl_job_stage AS s
 WHERE NOT s."__delete"
   AND NOT EXISTS (SELECT FROM "dw"."or""ders" AS t WHERE t."id" = s."id")
