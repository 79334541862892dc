DELETE FROM "etl_stage"."or""ders_170364da638fbc2a" AS t USING pg_temp.etl_job_stage AS s WHERE s.is_delete AND t."id" = s.c0 AND t."k e""y" = s.c1;
UPDATE "etl_stage"."or""ders_170364da638fbc2a" AS t SET "amount" = s.c2, "ratio" = s.c3, "note" = s.c4::public.citext
  FROM pg_temp.etl_job_stage AS s
 WHERE NOT s.is_delete AND t."id" = s.c0 AND t."k e""y" = s.c1
   AND (t."amount" IS DISTINCT FROM s.c2
     OR float8send(t."ratio") IS DISTINCT FROM float8send(s.c3)
     OR t."note"::text COLLATE pg_catalog."C" IS DISTINCT FROM s.c4::public.citext::text COLLATE pg_catalog."C");
INSERT INTO "etl_stage"."or""ders_170364da638fbc2a" AS t ("id", "k e""y", "amount", "ratio", "note")
SELECT s.c0, s.c1, s.c2, s.c3, s.c4::public.citext FROM pg_temp.etl_job_stage AS s
 WHERE NOT s.is_delete
   AND NOT EXISTS (SELECT FROM "etl_stage"."or""ders_170364da638fbc2a" AS t WHERE t."id" = s.c0 AND t."k e""y" = s.c1)
