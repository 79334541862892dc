INSERT INTO "etl".run (run_id, pipeline, started_at, outcome, rows_read, rows_written, rows_updated, rows_deleted, rows_unchanged, rows_reread, rows_quarantined)
VALUES ($2::uuid, $1, clock_timestamp(), 'running', 0, 0, 0, 0, 0, 0, 0) ON CONFLICT (run_id) DO NOTHING
