TRUNCATE TABLE "etl_stage"."or""ders_170364da638fbc2a";
SELECT (SELECT count(*) FROM "etl_stage"."or""ders_170364da638fbc2a") AS staged, EXISTS (SELECT FROM "dw"."or""ders") AS occupied;
DELETE FROM "dw"."or""ders" AS t
 WHERE NOT EXISTS (SELECT FROM "etl_stage"."or""ders_170364da638fbc2a" AS s WHERE t."id" = s."id" AND t."k e""y" = s."k e""y" COLLATE pg_catalog."de_DE");
UPDATE "dw"."or""ders" AS t SET "amount" = s."amount", "ratio" = s."ratio", "note" = s."note"::public.citext
  FROM "etl_stage"."or""ders_170364da638fbc2a" AS s
 WHERE true AND t."id" = s."id" AND t."k e""y" = s."k e""y" COLLATE pg_catalog."de_DE"
   AND (t."amount" IS DISTINCT FROM s."amount"
     OR float8send(t."ratio") IS DISTINCT FROM float8send(s."ratio")
     OR t."note"::text COLLATE pg_catalog."C" IS DISTINCT FROM s."note"::public.citext::text COLLATE pg_catalog."C");
INSERT INTO "dw"."or""ders" AS t ("id", "k e""y", "amount", "ratio", "note")
SELECT s."id", s."k e""y", s."amount", s."ratio", s."note"::public.citext FROM "etl_stage"."or""ders_170364da638fbc2a" AS s
 WHERE true
   AND NOT EXISTS (SELECT FROM "dw"."or""ders" AS t WHERE t."id" = s."id" AND t."k e""y" = s."k e""y" COLLATE pg_catalog."de_DE")
ON CONFLICT ("id", "k e""y") DO UPDATE SET "amount" = EXCLUDED."amount", "ratio" = EXCLUDED."ratio", "note" = EXCLUDED."note"
 WHERE t."amount" IS DISTINCT FROM EXCLUDED."amount" OR float8send(t."ratio") IS DISTINCT FROM float8send(EXCLUDED."ratio") OR t."note"::text COLLATE pg_catalog."C" IS DISTINCT FROM EXCLUDED."note"::text COLLATE pg_catalog."C"
