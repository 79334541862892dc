IF SCHEMA_ID(N'etl_stage') IS NULL EXEC(N'CREATE SCHEMA [etl_stage]');
