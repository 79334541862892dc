SELECT sequence, position, definition, rows_total, generation, phase FROM "etl".checkpoint WHERE pipeline = $1 FOR UPDATE
