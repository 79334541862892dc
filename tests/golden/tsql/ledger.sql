DECLARE @pipeline nvarchar(250) = @P1, @now datetime2(6) = SYSUTCDATETIME(), @since datetime2(6), @success datetime2(6), @horizon datetime2(6), @started datetime2(6), @duration bigint;
IF OBJECT_ID(N'[etl].[checkpoint]') IS NULL RETURN;
SELECT TOP (1) @since = [started_at], @success = [finished_at], @horizon = [source_horizon] FROM [etl].[run]
 WHERE [pipeline] = @pipeline AND [outcome] = N'success' ORDER BY [started_at] DESC;
SELECT TOP (1) @started = [started_at] FROM [etl].[run]
 WHERE [pipeline] = @pipeline AND [outcome] NOT IN (N'skipped', N'replayed') ORDER BY [started_at] DESC;
SELECT TOP (1) @duration = DATEDIFF_BIG(microsecond, [started_at], [finished_at]) FROM [etl].[run]
 WHERE [pipeline] = @pipeline AND [outcome] NOT IN (N'skipped', N'replayed', N'running', N'abandoned') AND [finished_at] IS NOT NULL ORDER BY [started_at] DESC;
SELECT DATEDIFF_BIG(microsecond, CONVERT(datetime2(6), N'1970-01-01', 126), @now) AS [now], DATEDIFF_BIG(microsecond, CONVERT(datetime2(6), N'1970-01-01', 126), @success) AS [success], DATEDIFF_BIG(microsecond, CONVERT(datetime2(6), N'1970-01-01', 126), @horizon) AS [horizon],
       DATEDIFF_BIG(microsecond, CONVERT(datetime2(6), N'1970-01-01', 126), @started) AS [started], @duration AS [duration], DATEDIFF_BIG(microsecond, CONVERT(datetime2(6), N'1970-01-01', 126), c.[updated_at]) AS [changed],
       CASE WHEN c.[lease_until] >= @now THEN 1 ELSE 0 END AS [lease_held], r.*,
       (SELECT COUNT_BIG(*) FROM [etl].[quarantine] AS q WHERE q.[pipeline] = @pipeline) AS [quarantined]
  FROM [etl].[checkpoint] AS c
 CROSS JOIN (SELECT COALESCE(SUM(CASE WHEN [outcome] = N'success' THEN 1 ELSE 0 END), 0) AS [runs_success],
               COALESCE(SUM(CASE WHEN [outcome] = N'stopped' THEN 1 ELSE 0 END), 0) AS [runs_stopped],
               COALESCE(SUM(CASE WHEN [outcome] = N'skipped' THEN 1 ELSE 0 END), 0) AS [runs_skipped],
               COALESCE(SUM(CASE WHEN [outcome] = N'fenced' THEN 1 ELSE 0 END), 0) AS [runs_fenced],
               COALESCE(SUM(CASE WHEN [outcome] = N'failed' THEN 1 ELSE 0 END), 0) AS [runs_failed],
               COALESCE(SUM(CASE WHEN [outcome] = N'abandoned' THEN 1 ELSE 0 END), 0) AS [runs_abandoned],
               COALESCE(SUM(CASE WHEN [outcome] = N'replayed' THEN 1 ELSE 0 END), 0) AS [runs_replayed],
               COALESCE(SUM([rows_read]), 0) AS [rows_read],
               COALESCE(SUM([rows_written]), 0) AS [rows_written],
               COALESCE(SUM([rows_deleted]), 0) AS [rows_deleted],
               COALESCE(SUM([rows_unchanged]), 0) AS [rows_unchanged],
               COALESCE(SUM([rows_reread]), 0) AS [rows_reread],
               COALESCE(SUM([rows_quarantined]), 0) AS [rows_quarantined],
               COALESCE(SUM(CASE WHEN [outcome] IN (N'failed', N'fenced', N'abandoned') AND (@since IS NULL OR [started_at] > @since) THEN 1 ELSE 0 END), 0) AS [failures]
          FROM [etl].[run] WHERE [pipeline] = @pipeline) AS r
 WHERE c.[pipeline] = @pipeline;
