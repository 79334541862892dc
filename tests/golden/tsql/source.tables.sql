SELECT s.[name] AS [schema_name], t.[name] AS [table_name], c.[name] AS [column_name],
       CONVERT(int, COALESCE(k.[key_ordinal], 0)) AS [key_ordinal]
  FROM sys.tables AS t
  INNER JOIN sys.schemas AS s ON s.[schema_id] = t.[schema_id]
  INNER JOIN sys.columns AS c ON c.[object_id] = t.[object_id]
  LEFT JOIN (SELECT ic.[object_id], ic.[column_id], ic.[key_ordinal]
               FROM sys.index_columns AS ic
               INNER JOIN sys.indexes AS i ON i.[object_id] = ic.[object_id] AND i.[index_id] = ic.[index_id]
              WHERE i.[is_primary_key] = 1) AS k ON k.[object_id] = c.[object_id] AND k.[column_id] = c.[column_id]
 WHERE t.[is_ms_shipped] = 0 AND COALESCE(t.[temporal_type], 0) <> 1
 ORDER BY s.[name], t.[name], t.[object_id], c.[column_id];
