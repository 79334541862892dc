SET XACT_ABORT ON; SET NOCOUNT ON; SET DEADLOCK_PRIORITY LOW;
DECLARE @pipeline nvarchar(250) = @P1, @run_id uniqueidentifier = @P2, @sequence bigint = @P3, @position nvarchar(max) = @P4, @definition nvarchar(max) = @P5, @lease_ms int = @P6, @rows bigint = @P7, @upserts bigint = @P8, @read bigint = @P9, @reread bigint = @P10;
DECLARE @lock int, @resource nvarchar(255) = N'etl:' + @P1, @deleted bigint = 0, @updated bigint = 0, @inserted bigint = 0;
IF (SELECT COUNT_BIG(*) FROM [#stage]) <> @rows THROW 51003, N'not all rows were staged', 1;
BEGIN TRANSACTION;
EXEC @lock = sys.sp_getapplock @Resource = @resource, @LockMode = N'Exclusive', @LockOwner = N'Transaction', @LockTimeout = 30000;
IF @lock IN (-1, -2, -3) THROW 51000, N'the pipeline lock was not granted', 1;
IF @lock < 0 THROW 51002, N'the pipeline lock could not be asked for', 1;
UPDATE [etl].[checkpoint]
   SET [position] = @position, [phase] = N'idle', [definition] = @definition, [sequence] = [sequence] + 1, [rows_total] = [rows_total] + @rows, [lease_until] = DATEADD(millisecond, @lease_ms, SYSUTCDATETIME()), [updated_at] = SYSUTCDATETIME()
 WHERE [pipeline] = @pipeline AND [sequence] = @sequence AND [run_id] = @run_id;
IF @@ROWCOUNT <> 1 THROW 51001, N'the checkpoint moved', 1;
DELETE t FROM [etl_stage].[or'ders "x"_6e9a783b5f50d3cc] AS t INNER JOIN [#stage] AS s ON t.[k.e y] = s.[c0] AND t.[id] = s.[c1] WHERE s.[is_delete] = 1;
SET @deleted = @@ROWCOUNT;
UPDATE t SET t.[updated_at] = s.[c2]
  FROM [etl_stage].[or'ders "x"_6e9a783b5f50d3cc] AS t INNER JOIN [#stage] AS s ON t.[k.e y] = s.[c0] AND t.[id] = s.[c1]
 WHERE s.[is_delete] = 0 AND (
      (s.[c2] <> t.[updated_at] OR (s.[c2] IS NULL AND t.[updated_at] IS NOT NULL) OR (s.[c2] IS NOT NULL AND t.[updated_at] IS NULL)));
SET @updated = @@ROWCOUNT;
INSERT INTO [etl_stage].[or'ders "x"_6e9a783b5f50d3cc] ([k.e y], [id], [updated_at])
SELECT s.[c0], s.[c1], s.[c2] FROM [#stage] AS s
 WHERE s.[is_delete] = 0 AND NOT EXISTS (SELECT 1 FROM [etl_stage].[or'ders "x"_6e9a783b5f50d3cc] AS t WHERE t.[k.e y] = s.[c0] AND t.[id] = s.[c1]);
SET @inserted = @@ROWCOUNT;
IF EXISTS (SELECT 1 FROM sys.tables WHERE [object_id] = OBJECT_ID(N'[etl_stage].[or''ders "x"_6e9a783b5f50d3cc]') AND CONVERT(nvarchar(40), [modify_date], 126) <> N'2024-02-29T10:00:00.123') THROW 51006, N'the target was altered', 1;
UPDATE [etl].[run]
   SET [rows_read] = [rows_read] + @read, [rows_reread] = [rows_reread] + @reread, [rows_written] = [rows_written] + @inserted + @updated, [rows_updated] = [rows_updated] + @updated,
       [rows_deleted] = [rows_deleted] + @deleted, [rows_unchanged] = [rows_unchanged] + @upserts - @inserted - @updated
 WHERE [run_id] = @run_id;
ROLLBACK TRANSACTION;
SELECT @deleted AS [deleted], @updated AS [updated], @inserted AS [inserted];
