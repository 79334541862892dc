UPDATE "etl".checkpoint
   SET position = $2, definition = $3, phase = $4, sequence = sequence + 1, run_id = NULL, lease_until = NULL, updated_at = clock_timestamp()
 WHERE pipeline = $1
