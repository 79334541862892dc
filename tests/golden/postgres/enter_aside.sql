INSERT INTO "etl".quarantine (pipeline, key_hash, column_name, key_json, reason, error_code, run_id, generation, first_seen, last_seen, attempts)
SELECT $1, a.key_hash, a.column_name, a.key_json, a.reason, a.error_code, $2::uuid, $8, statement_timestamp(), statement_timestamp(), 1
  FROM unnest($3::bytea[], $4::text[], $5::text[], $6::text[], $7::text[]) AS a(key_hash, column_name, key_json, reason, error_code)
 WHERE NOT EXISTS (SELECT FROM "etl".quarantine AS q WHERE q.pipeline = $1 AND q.key_hash = a.key_hash)
