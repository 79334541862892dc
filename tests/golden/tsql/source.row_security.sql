IF OBJECT_ID(N'sys.security_predicates') IS NOT NULL
  EXEC sys.sp_executesql N'SELECT p.[object_id]
  FROM sys.security_predicates AS p
  INNER JOIN sys.security_policies AS s ON s.[object_id] = p.[object_id]
 WHERE p.[target_object_id] = OBJECT_ID(@table) AND p.[predicate_type] = 0 AND s.[is_enabled] = 1;',
    N'@table nvarchar(600)', @table = @P1;
