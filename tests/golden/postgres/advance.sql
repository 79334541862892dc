UPDATE "etl".checkpoint
   SET position = COALESCE($4, position), definition = $5, sequence = sequence + 1, rows_total = rows_total + $7, generation = COALESCE($8, generation), phase = $9, lease_until = clock_timestamp() + $6 * interval '1 millisecond', updated_at = clock_timestamp()
 WHERE pipeline = $1 AND sequence = $3 AND run_id = $2::uuid
