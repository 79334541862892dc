IF COALESCE(IS_ROLEMEMBER(N'etl_reader', N'etl_metrics'), 0) = 0 ALTER ROLE [etl_reader] ADD MEMBER [etl_metrics];
