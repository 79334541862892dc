SET XACT_ABORT ON; SET NOCOUNT ON;
DECLARE @pipeline nvarchar(250) = @P1, @run_id uniqueidentifier = @P2, @lease_ms int = @P3, @waited bit = @P4;
BEGIN TRANSACTION;
UPDATE [etl].[checkpoint]
   SET [run_id] = @run_id, [sequence] = [sequence] + 1, [lease_until] = DATEADD(millisecond, @lease_ms, SYSUTCDATETIME()), [updated_at] = SYSUTCDATETIME()
OUTPUT inserted.[sequence], inserted.[position], inserted.[definition], inserted.[rows_total], inserted.[generation], inserted.[phase]
 WHERE [pipeline] = @pipeline AND ([run_id] = @run_id OR [lease_until] < SYSUTCDATETIME() OR ([lease_until] IS NULL AND @waited = 0));
IF EXISTS (SELECT 1 FROM [etl].[checkpoint] WHERE [pipeline] = @pipeline AND [run_id] = @run_id)
BEGIN
  UPDATE [etl].[run] SET [outcome] = N'abandoned', [finished_at] = SYSUTCDATETIME()
   WHERE [pipeline] = @pipeline AND [outcome] = N'running' AND [run_id] <> @run_id;
  INSERT INTO [etl].[run] ([run_id], [pipeline], [started_at], [outcome], [rows_read], [rows_written], [rows_updated], [rows_deleted], [rows_unchanged], [rows_reread], [rows_quarantined])
  SELECT @run_id, @pipeline, SYSUTCDATETIME(), N'running', 0, 0, 0, 0, 0, 0, 0
   WHERE NOT EXISTS (SELECT 1 FROM [etl].[run] WHERE [run_id] = @run_id);
END;
COMMIT TRANSACTION;
