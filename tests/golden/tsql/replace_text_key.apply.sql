SET XACT_ABORT ON; SET NOCOUNT ON; SET DEADLOCK_PRIORITY LOW;
DECLARE @pipeline nvarchar(250) = @P1, @run_id uniqueidentifier = @P2, @sequence bigint = @P3, @generation bigint = @P4, @definition nvarchar(max) = @P5, @lease_ms int = @P6, @allow_empty bit = @P7;
DECLARE @lock int, @resource nvarchar(255) = N'etl:' + @P1, @begins bit = 1, @deleted bigint = 0, @updated bigint = 0, @inserted bigint = 0;
DECLARE @staged bigint;
BEGIN TRANSACTION;
EXEC @lock = sys.sp_getapplock @Resource = @resource, @LockMode = N'Exclusive', @LockOwner = N'Transaction', @LockTimeout = 30000;
IF @lock IN (-1, -2, -3) THROW 51000, N'the pipeline lock was not granted', 1;
IF @lock < 0 THROW 51002, N'the pipeline lock could not be asked for', 1;
IF EXISTS (SELECT 1 FROM [etl].[checkpoint] WHERE [pipeline] = @pipeline AND [generation] = @generation AND [phase] = N'loading') SET @begins = 0;
UPDATE [etl].[checkpoint]
   SET [phase] = N'idle', [generation] = @generation, [definition] = @definition, [sequence] = [sequence] + 1, [lease_until] = DATEADD(millisecond, @lease_ms, SYSUTCDATETIME()), [updated_at] = SYSUTCDATETIME()
 WHERE [pipeline] = @pipeline AND [sequence] = @sequence AND [run_id] = @run_id;
IF @@ROWCOUNT <> 1 THROW 51001, N'the checkpoint moved', 1;
IF @begins = 1 DELETE FROM [etl_stage].[or'ders "x"_6e9a783b5f50d3cc];
SET @staged = (SELECT COUNT_BIG(*) FROM [etl_stage].[or'ders "x"_6e9a783b5f50d3cc]);
IF @staged = 0 AND @allow_empty = 0 AND EXISTS (SELECT 1 FROM [sales].[or'ders "x"]) THROW 51005, N'the load has no row', 1;
DELETE t FROM [sales].[or'ders "x"] AS t WHERE NOT EXISTS (SELECT 1 FROM [etl_stage].[or'ders "x"_6e9a783b5f50d3cc] AS s WHERE t.[k.e y] = s.[k.e y] COLLATE Latin1_General_BIN AND t.[id] = s.[id]);
SET @deleted = @@ROWCOUNT;
UPDATE t SET t.[updated_at] = s.[updated_at]
  FROM [sales].[or'ders "x"] AS t INNER JOIN [etl_stage].[or'ders "x"_6e9a783b5f50d3cc] AS s ON t.[k.e y] = s.[k.e y] COLLATE Latin1_General_BIN AND t.[id] = s.[id]
 WHERE (
      (s.[updated_at] <> t.[updated_at] OR (s.[updated_at] IS NULL AND t.[updated_at] IS NOT NULL) OR (s.[updated_at] IS NOT NULL AND t.[updated_at] IS NULL)));
SET @updated = @@ROWCOUNT;
INSERT INTO [sales].[or'ders "x"] ([k.e y], [id], [updated_at])
SELECT s.[k.e y], s.[id], s.[updated_at] FROM [etl_stage].[or'ders "x"_6e9a783b5f50d3cc] AS s
 WHERE NOT EXISTS (SELECT 1 FROM [sales].[or'ders "x"] AS t WITH (UPDLOCK, SERIALIZABLE) WHERE t.[k.e y] = s.[k.e y] COLLATE Latin1_General_BIN AND t.[id] = s.[id]);
SET @inserted = @@ROWCOUNT;
IF EXISTS (SELECT 1 FROM sys.tables WHERE [object_id] = OBJECT_ID(N'[sales].[or''ders "x"]') AND CONVERT(nvarchar(40), [modify_date], 126) <> N'2024-02-29T10:00:00.123') THROW 51006, N'the target was altered', 1;
UPDATE [etl].[checkpoint] SET [rows_total] = [rows_total] + @deleted + @updated + @inserted, [lease_until] = DATEADD(millisecond, @lease_ms, SYSUTCDATETIME()) WHERE [pipeline] = @pipeline;
UPDATE [etl].[run]
   SET [rows_written] = [rows_written] + @inserted + @updated, [rows_updated] = [rows_updated] + @updated,
       [rows_deleted] = [rows_deleted] + @deleted, [rows_unchanged] = [rows_unchanged] + @staged - @inserted - @updated
 WHERE [run_id] = @run_id;
DELETE FROM [etl].[quarantine] WHERE [pipeline] = @pipeline AND [generation] <> @generation;
COMMIT TRANSACTION;
SELECT @deleted AS [deleted], @updated AS [updated], @inserted AS [inserted], @staged AS [staged];
