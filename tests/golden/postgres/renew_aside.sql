UPDATE "etl".quarantine AS q
   SET column_name = a.column_name, key_json = a.key_json, reason = a.reason, error_code = a.error_code, run_id = $2::uuid, generation = $8, last_seen = statement_timestamp(), attempts = q.attempts + 1
  FROM unnest($3::bytea[], $4::text[], $5::text[], $6::text[], $7::text[]) AS a(key_hash, column_name, key_json, reason, error_code)
 WHERE q.pipeline = $1 AND q.key_hash = a.key_hash
