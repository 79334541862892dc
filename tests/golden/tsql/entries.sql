DECLARE @pipeline nvarchar(250) = @P1, @epoch datetime2(6) = CONVERT(datetime2(6), N'1970-01-01', 126);
IF OBJECT_ID(N'[etl].[quarantine]') IS NULL RETURN;
SELECT q.[key_json], q.[column_name], q.[reason], q.[error_code], q.[attempts],
       DATEDIFF_BIG(microsecond, @epoch, q.[first_seen]) AS [first_seen], DATEDIFF_BIG(microsecond, @epoch, q.[last_seen]) AS [last_seen]
  FROM [etl].[quarantine] AS q WHERE q.[pipeline] = @pipeline ORDER BY q.[first_seen], q.[key_hash];
