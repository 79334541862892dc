SELECT MAX(DATEDIFF_BIG(microsecond, a.[transaction_begin_time], SYSDATETIME())) AS [oldest],
       MIN(DATEDIFF_BIG(microsecond, a.[transaction_begin_time], SYSDATETIME())) AS [youngest]
  FROM sys.dm_tran_database_transactions AS d
  INNER JOIN sys.dm_tran_active_transactions AS a ON a.[transaction_id] = d.[transaction_id]
 WHERE d.[database_id] = DB_ID() AND a.[transaction_type] IN (1, 4);
