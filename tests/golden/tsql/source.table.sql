SELECT o.[object_id], RTRIM(CONVERT(nvarchar(2), o.[type])) AS [kind],
       HAS_PERMS_BY_NAME(DB_NAME(), N'DATABASE', N'UNMASK') AS [unmasked]
  FROM sys.objects AS o
 WHERE o.[object_id] = OBJECT_ID(@P1);
