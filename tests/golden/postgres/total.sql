UPDATE "etl".checkpoint SET rows_total = rows_total + $2, lease_until = clock_timestamp() + $3 * interval '1 millisecond'
 WHERE pipeline = $1
