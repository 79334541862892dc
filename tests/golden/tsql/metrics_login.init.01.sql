IF DATABASE_PRINCIPAL_ID(N'etl_metrics') IS NULL CREATE USER [etl_metrics] FOR LOGIN [etl_metrics] WITH DEFAULT_SCHEMA = [etl];
