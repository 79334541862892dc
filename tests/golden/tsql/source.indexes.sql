SELECT i.[index_id], i.[is_unique], c.[name] AS [column_name]
  FROM sys.indexes AS i
  INNER JOIN sys.index_columns AS ic ON ic.[object_id] = i.[object_id] AND ic.[index_id] = i.[index_id]
  INNER JOIN sys.columns AS c ON c.[object_id] = ic.[object_id] AND c.[column_id] = ic.[column_id]
 WHERE i.[object_id] = OBJECT_ID(@P1) AND i.[type] IN (1, 2) AND i.[has_filter] = 0 AND i.[is_disabled] = 0
   AND ic.[key_ordinal] > 0
 ORDER BY i.[index_id], ic.[key_ordinal];
