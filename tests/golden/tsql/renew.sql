UPDATE [etl].[checkpoint] SET [lease_until] = DATEADD(millisecond, @P4, SYSUTCDATETIME())
OUTPUT inserted.[sequence]
 WHERE [pipeline] = @P1 AND [run_id] = @P2 AND [sequence] = @P3;
