DELETE FROM "etl".quarantine WHERE pipeline = $1 AND key_hash = ANY ($2::bytea[])
