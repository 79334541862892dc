DELETE FROM "etl".quarantine WHERE pipeline = $1 AND generation <> $2
