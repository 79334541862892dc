UPDATE "etl".run SET outcome = 'abandoned', finished_at = clock_timestamp()
 WHERE pipeline = $1 AND outcome = 'running' AND run_id <> $2::uuid
