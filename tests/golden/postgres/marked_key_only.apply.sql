UPDATE "dw"."or""ders" AS t SET "gone ""at" = statement_timestamp()
  FROM pg_temp.etl_job_stage AS s
 WHERE s.is_delete AND t."id" = s.c0
   AND t."gone ""at" IS NULL;
UPDATE "dw"."or""ders" AS t SET "gone ""at" = NULL
  FROM pg_temp.etl_job_stage AS s
 WHERE NOT s.is_delete AND t."id" = s.c0
   AND (t."gone ""at" IS NOT NULL);
INSERT INTO "dw"."or""ders" AS t ("id", "gone ""at")
SELECT s.c0, NULL FROM pg_temp.etl_job_stage AS s
 WHERE NOT s.is_delete
   AND NOT EXISTS (SELECT FROM "dw"."or""ders" AS t WHERE t."id" = s.c0)
