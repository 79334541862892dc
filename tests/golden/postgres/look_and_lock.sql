SELECT sequence, position, definition, rows_total FROM "etl".checkpoint WHERE pipeline = $1 FOR UPDATE
