UPDATE "etl".run
   SET rows_read = rows_read + $2, rows_reread = rows_reread + $3, rows_written = rows_written + $4 + $5, rows_updated = rows_updated + $5,
       rows_deleted = rows_deleted + $6, rows_unchanged = rows_unchanged + $7, rows_quarantined = rows_quarantined + $8
 WHERE run_id = $1::uuid
