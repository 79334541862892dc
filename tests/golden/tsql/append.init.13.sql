IF EXISTS (SELECT 1 FROM sys.database_principals AS u WHERE u.[name] = N'etl_job'
            AND NOT EXISTS (SELECT 1 FROM sys.server_principals AS l WHERE l.[sid] = u.[sid]))
  ALTER USER [etl_job] WITH LOGIN = [etl_job];
