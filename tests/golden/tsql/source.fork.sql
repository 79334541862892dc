BEGIN TRY
  SELECT CONVERT(nvarchar(40), [recovery_fork_guid]) AS [fork]
    FROM sys.database_recovery_status
   WHERE [database_id] = DB_ID();
END TRY
BEGIN CATCH
  SELECT CONVERT(nvarchar(40), NULL) AS [fork];
END CATCH;
