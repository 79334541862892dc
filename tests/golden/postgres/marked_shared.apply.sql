UPDATE "dw"."or""ders" AS t SET "_deleted_at" = statement_timestamp()
  FROM pg_temp.etl_job_stage AS s
 WHERE s."__delete" AND t."id" = s."id" AND t."k e""y" = s."k e""y"
   AND t."_deleted_at" IS NULL;
UPDATE "dw"."or""ders" AS t SET "amount" = s."amount", "ratio" = s."ratio", "note" = s."note", "_deleted_at" = NULL
  FROM pg_temp.etl_job_stage AS s
 WHERE NOT s."__delete" AND t."id" = s."id" AND t."k e""y" = s."k e""y"
   AND (t."amount" IS DISTINCT FROM s."amount"
     OR float8send(t."ratio") IS DISTINCT FROM float8send(s."ratio")
     OR t."note"::text COLLATE pg_catalog."C" IS DISTINCT FROM s."note"::text COLLATE pg_catalog."C"
     OR t."_deleted_at" IS NOT NULL);
INSERT INTO "dw"."or""ders" AS t ("id", "k e""y", "amount", "ratio", "note", "_deleted_at")
SELECT s."id", s."k e""y", s."amount", s."ratio", s."note", NULL FROM pg_temp.etl_job_stage AS s
 WHERE NOT s."__delete"
   AND NOT EXISTS (SELECT FROM "dw"."or""ders" AS t WHERE t."id" = s."id" AND t."k e""y" = s."k e""y")
ON CONFLICT ("id", "k e""y") DO UPDATE SET "amount" = EXCLUDED."amount", "ratio" = EXCLUDED."ratio", "note" = EXCLUDED."note", "_deleted_at" = NULL
 WHERE t."amount" IS DISTINCT FROM EXCLUDED."amount" OR float8send(t."ratio") IS DISTINCT FROM float8send(EXCLUDED."ratio") OR t."note"::text COLLATE pg_catalog."C" IS DISTINCT FROM EXCLUDED."note"::text COLLATE pg_catalog."C" OR t."_deleted_at" IS NOT NULL
