SELECT 1 AS [lists] WHERE OBJECT_ID(N'sys.dm_tran_database_transactions') IS NOT NULL;
