IF COALESCE(IS_ROLEMEMBER(N'etl_writer', N'etl_job'), 0) = 0 ALTER ROLE [etl_writer] ADD MEMBER [etl_job];
