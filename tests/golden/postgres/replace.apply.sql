DELETE FROM "etl_stage"."or""ders_170364da638fbc2a" AS t USING pg_temp.etl_job_stage AS s WHERE s."__delete" AND t."id" = s."id" AND t."k e""y" = s."k e""y";
UPDATE "etl_stage"."or""ders_170364da638fbc2a" AS t SET "amount" = s."amount", "ratio" = s."ratio", "note" = s."note"
  FROM pg_temp.etl_job_stage AS s
 WHERE NOT s."__delete" AND t."id" = s."id" AND t."k e""y" = s."k e""y"
   AND (t."amount" IS DISTINCT FROM s."amount"
     OR float8send(t."ratio") IS DISTINCT FROM float8send(s."ratio")
     OR t."note"::text COLLATE pg_catalog."C" IS DISTINCT FROM s."note"::text COLLATE pg_catalog."C");
INSERT INTO "etl_stage"."or""ders_170364da638fbc2a" AS t ("id", "k e""y", "amount", "ratio", "note")
SELECT s."id", s."k e""y", s."amount", s."ratio", s."note" FROM pg_temp.etl_job_stage AS s
 WHERE NOT s."__delete"
   AND NOT EXISTS (SELECT FROM "etl_stage"."or""ders_170364da638fbc2a" AS t WHERE t."id" = s."id" AND t."k e""y" = s."k e""y")
