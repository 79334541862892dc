SET XACT_ABORT ON; SET NOCOUNT ON;
DECLARE @pipeline nvarchar(250) = @P1, @run_id uniqueidentifier = @P2, @outcome nvarchar(20) = @P3, @horizon nvarchar(40) = NULLIF(@P4, N''), @class nvarchar(20) = NULLIF(@P5, N''), @code nvarchar(20) = NULLIF(@P6, N''), @duration_ms int = @P7;
BEGIN TRANSACTION;
UPDATE [etl].[checkpoint] SET [lease_until] = NULL WHERE [pipeline] = @pipeline AND [run_id] = @run_id;
UPDATE [etl].[run] SET [finished_at] = SYSUTCDATETIME(), [outcome] = @outcome, [source_horizon] = CONVERT(datetime2(6), @horizon, 126), [error_class] = @class, [error_code] = @code WHERE [run_id] = @run_id;
IF @@ROWCOUNT = 0
INSERT INTO [etl].[run] ([run_id], [pipeline], [started_at], [finished_at], [outcome], [rows_read], [rows_written], [rows_updated], [rows_deleted], [rows_unchanged], [rows_reread], [rows_quarantined], [source_horizon], [error_class], [error_code])
VALUES (@run_id, @pipeline, DATEADD(millisecond, -@duration_ms, SYSUTCDATETIME()), SYSUTCDATETIME(), @outcome, 0, 0, 0, 0, 0, 0, 0, NULL, @class, @code);
COMMIT TRANSACTION;
