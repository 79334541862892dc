SELECT c.[name] AS [column_name], t.[name] AS [type_name], c.[max_length], c.[precision], c.[scale],
       c.[is_nullable], c.[is_identity], c.[is_computed], c.[collation_name], c.[default_object_id]
  FROM sys.columns AS c
  INNER JOIN sys.types AS t ON t.[user_type_id] = c.[user_type_id]
 WHERE c.[object_id] = OBJECT_ID(@P1)
 ORDER BY c.[column_id];
