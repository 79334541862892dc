DECLARE @prefix nvarchar(250) = @P1;
IF OBJECT_ID(N'[etl].[checkpoint]') IS NULL RETURN;
SELECT c.[pipeline],
       (SELECT DATEDIFF_BIG(microsecond, CONVERT(datetime2(6), N'1970-01-01', 126), MAX(r.[started_at]))
          FROM [etl].[run] AS r WHERE r.[pipeline] = c.[pipeline] AND r.[outcome] NOT IN (N'skipped', N'replayed')) AS [started]
  FROM [etl].[checkpoint] AS c
 WHERE LEFT(c.[pipeline], LEN(@prefix)) = @prefix;
