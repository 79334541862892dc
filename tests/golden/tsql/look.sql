DECLARE @pipeline nvarchar(250) = @P1, @now datetime2(6) = SYSUTCDATETIME();
IF OBJECT_ID(N'[etl].[checkpoint]') IS NOT NULL
SELECT c.[sequence], c.[position], c.[definition], c.[rows_total], c.[generation], c.[phase], c.[run_id],
       CONVERT(nvarchar(40), c.[lease_until], 126) AS [lease],
       CASE WHEN c.[lease_until] > @now THEN DATEDIFF(millisecond, @now, c.[lease_until]) ELSE 0 END AS [remaining_ms],
       (SELECT DATEDIFF(second, MIN(s.[started_at]), @now) FROM [etl].[run] AS s
         WHERE s.[pipeline] = @pipeline AND s.[outcome] = N'skipped'
           AND s.[started_at] > COALESCE((SELECT MAX(r.[finished_at]) FROM [etl].[run] AS r
                WHERE r.[pipeline] = @pipeline AND r.[outcome] NOT IN (N'skipped', N'running')), CONVERT(datetime2(6), N'0001-01-01'))) AS [skipped_seconds]
  FROM [etl].[checkpoint] AS c WHERE c.[pipeline] = @pipeline;
