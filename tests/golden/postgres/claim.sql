UPDATE "etl".checkpoint
   SET run_id = $2::uuid, sequence = sequence + 1, lease_until = clock_timestamp() + $3 * interval '1 millisecond', updated_at = clock_timestamp()
 WHERE pipeline = $1 AND (run_id = $2::uuid OR lease_until < clock_timestamp() OR (lease_until IS NULL AND NOT $4))
RETURNING sequence, position, definition, rows_total, generation, phase
