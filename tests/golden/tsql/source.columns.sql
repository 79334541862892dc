SELECT c.[name] AS [column_name], COALESCE(b.[name], t.[name]) AS [type_name], c.[max_length], c.[precision], c.[scale],
       c.[is_nullable], c.[collation_name], c.[is_masked], c.[encryption_type], c.[generated_always_type],
       c.[default_object_id], d.[definition] AS [default_text],
       HAS_PERMS_BY_NAME(@P1, N'OBJECT', N'SELECT', c.[name], N'COLUMN') AS [readable]
  FROM sys.columns AS c
  INNER JOIN sys.types AS t ON t.[user_type_id] = c.[user_type_id]
  LEFT JOIN sys.types AS b ON b.[user_type_id] = c.[system_type_id]
  LEFT JOIN sys.default_constraints AS d ON d.[object_id] = c.[default_object_id]
 WHERE c.[object_id] = OBJECT_ID(@P1)
 ORDER BY c.[column_id];
