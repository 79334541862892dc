SELECT key_json, column_name, reason, error_code, attempts, (extract(epoch FROM first_seen) * 1000000)::bigint AS first_seen, (extract(epoch FROM last_seen) * 1000000)::bigint AS last_seen
  FROM "etl".quarantine AS q WHERE q.pipeline = $1 ORDER BY q.first_seen, key_hash
