SELECT d.[name], CONVERT(nvarchar(40), d.[create_date], 126) AS [created],
       CONVERT(nvarchar(40), d.[service_broker_guid]) AS [broker], CONVERT(nvarchar(128), @@SERVERNAME) AS [server],
       d.[snapshot_isolation_state], d.[is_read_committed_snapshot_on], d.[is_read_only], d.[is_in_standby],
       CONVERT(nvarchar(40), DATABASEPROPERTYEX(d.[name], N'Updateability')) AS [updateability]
  FROM sys.databases AS d
 WHERE d.[database_id] = DB_ID();
