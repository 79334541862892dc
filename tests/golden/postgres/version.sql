SELECT max(version) AS version FROM "etl".schema_version
