UPDATE "etl".checkpoint SET lease_until = clock_timestamp() + $4 * interval '1 millisecond'
 WHERE pipeline = $1 AND run_id = $2::uuid AND sequence = $3
