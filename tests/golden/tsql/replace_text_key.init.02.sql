DECLARE @password nvarchar(max) = @P1, @sql nvarchar(max);
SET @password = REPLACE(@password, N'''', N'''''');
IF SUSER_ID(N'etl_job') IS NULL
  SET @sql = N'CREATE LOGIN [etl_job] WITH PASSWORD = N''' + @password + N''', DEFAULT_DATABASE = [dw]';
ELSE
  SET @sql = N'ALTER LOGIN [etl_job] WITH PASSWORD = N''' + @password + N'''';
EXEC(@sql);
