SELECT e.[type] AS [event]
  FROM sys.triggers AS t
  INNER JOIN sys.trigger_events AS e ON e.[object_id] = t.[object_id]
 WHERE t.[parent_id] = OBJECT_ID(@P1) AND t.[is_disabled] = 0;
