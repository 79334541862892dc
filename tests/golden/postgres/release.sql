UPDATE "etl".checkpoint SET lease_until = NULL WHERE pipeline = $1 AND run_id = $2::uuid
