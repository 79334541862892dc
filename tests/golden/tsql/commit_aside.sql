SET XACT_ABORT ON; SET NOCOUNT ON; SET DEADLOCK_PRIORITY LOW;
DECLARE @pipeline nvarchar(250) = @P1, @run_id uniqueidentifier = @P2, @sequence bigint = @P3, @position nvarchar(max) = @P4, @definition nvarchar(max) = @P5, @lease_ms int = @P6, @rows bigint = @P7, @upserts bigint = @P8, @read bigint = @P9, @reread bigint = @P10;
DECLARE @lock int, @resource nvarchar(255) = N'etl:' + @P1, @deleted bigint = 0, @updated bigint = 0, @inserted bigint = 0;
BEGIN TRANSACTION;
EXEC @lock = sys.sp_getapplock @Resource = @resource, @LockMode = N'Exclusive', @LockOwner = N'Transaction', @LockTimeout = 30000;
IF @lock IN (-1, -2, -3) THROW 51000, N'the pipeline lock was not granted', 1;
IF @lock < 0 THROW 51002, N'the pipeline lock could not be asked for', 1;
UPDATE [etl].[checkpoint]
   SET [position] = @position, [phase] = N'idle', [definition] = @definition, [sequence] = [sequence] + 1, [rows_total] = [rows_total] + @rows, [lease_until] = DATEADD(millisecond, @lease_ms, SYSUTCDATETIME()), [updated_at] = SYSUTCDATETIME()
 WHERE [pipeline] = @pipeline AND [sequence] = @sequence AND [run_id] = @run_id;
IF @@ROWCOUNT <> 1 THROW 51001, N'the checkpoint moved', 1;
UPDATE [etl].[run]
   SET [rows_read] = [rows_read] + @read, [rows_reread] = [rows_reread] + @reread, [rows_written] = [rows_written] + @inserted + @updated, [rows_updated] = [rows_updated] + @updated,
       [rows_deleted] = [rows_deleted] + @deleted, [rows_unchanged] = [rows_unchanged] + @upserts - @inserted - @updated
 WHERE [run_id] = @run_id;
DECLARE @seen datetime2(6) = SYSUTCDATETIME(), @load bigint;
SET @load = (SELECT [generation] FROM [etl].[checkpoint] WHERE [pipeline] = @pipeline);
DELETE q FROM [etl].[quarantine] AS q INNER JOIN [#aside] AS a ON a.[key_hash] = q.[key_hash] WHERE q.[pipeline] = @pipeline AND a.[put] = 0;
UPDATE q SET q.[column_name] = a.[column_name], q.[key_json] = a.[key_json], q.[reason] = a.[reason], q.[error_code] = a.[error_code], q.[run_id] = @run_id, q.[generation] = @load, q.[last_seen] = @seen, q.[attempts] = q.[attempts] + 1
  FROM [etl].[quarantine] AS q INNER JOIN [#aside] AS a ON a.[key_hash] = q.[key_hash] WHERE q.[pipeline] = @pipeline AND a.[put] = 1;
INSERT INTO [etl].[quarantine] ([pipeline], [key_hash], [column_name], [key_json], [reason], [error_code], [run_id], [generation], [first_seen], [last_seen], [attempts])
SELECT @pipeline, a.[key_hash], a.[column_name], a.[key_json], a.[reason], a.[error_code], @run_id, @load, @seen, @seen, 1 FROM [#aside] AS a
 WHERE a.[put] = 1 AND NOT EXISTS (SELECT 1 FROM [etl].[quarantine] AS q WHERE q.[pipeline] = @pipeline AND q.[key_hash] = a.[key_hash]);
UPDATE [etl].[run] SET [rows_quarantined] = [rows_quarantined] + (SELECT COUNT_BIG(*) FROM [#aside] WHERE [put] = 1) WHERE [run_id] = @run_id;
COMMIT TRANSACTION;
SELECT @deleted AS [deleted], @updated AS [updated], @inserted AS [inserted];
