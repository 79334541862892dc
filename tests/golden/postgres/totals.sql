SELECT rows_written, rows_updated, rows_deleted, rows_unchanged FROM "etl".run WHERE run_id = $1::uuid
