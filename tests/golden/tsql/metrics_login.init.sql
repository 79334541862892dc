-- 00 create login etl_metrics or rotate its password
-- 01 create user etl_metrics
-- 02 bind user etl_metrics to its login
-- 03 create role etl_reader
-- 04 add etl_metrics to role etl_reader
-- 05 grant SELECT on [etl].[checkpoint] to [etl_reader]
-- 06 grant SELECT on [etl].[run] to [etl_reader]
-- 07 grant SELECT on [etl].[quarantine] to [etl_reader]
-- 08 grant SELECT on [etl].[schema_version] to [etl_reader]

