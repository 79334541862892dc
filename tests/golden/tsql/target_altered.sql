SELECT CONVERT(nvarchar(40), [modify_date], 126) AS [altered]
  FROM sys.tables WHERE [object_id] = OBJECT_ID(@P1);
