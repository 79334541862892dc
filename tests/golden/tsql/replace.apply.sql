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
IF @begins = 1 DELETE FROM [etl_stage].[orders_ed983b57dc8faa28];
SET @staged = (SELECT COUNT_BIG(*) FROM [etl_stage].[orders_ed983b57dc8faa28]);
IF @staged = 0 AND @allow_empty = 0 AND EXISTS (SELECT 1 FROM [dbo].[orders]) THROW 51005, N'the load has no row', 1;
DELETE t FROM [dbo].[orders] AS t WHERE NOT EXISTS (SELECT 1 FROM [etl_stage].[orders_ed983b57dc8faa28] AS s WHERE t.[id] = s.[id]);
SET @deleted = @@ROWCOUNT;
UPDATE t SET t.[small] = s.[small], t.[whole] = s.[whole], t.[single] = s.[single], t.[double] = s.[double], t.[amount] = s.[amount], t.[flag] = s.[flag], t.[code] = s.[code], t.[title] = s.[title], t.[note] = s.[note], t.[raw] = s.[raw], t.[day] = s.[day], t.[local] = s.[local], t.[updated_at] = s.[updated_at], t.[clock] = s.[clock], t.[uid] = s.[uid]
  FROM [dbo].[orders] AS t INNER JOIN [etl_stage].[orders_ed983b57dc8faa28] AS s ON t.[id] = s.[id]
 WHERE (
      (s.[small] <> t.[small] OR (s.[small] IS NULL AND t.[small] IS NOT NULL) OR (s.[small] IS NOT NULL AND t.[small] IS NULL))
   OR (s.[whole] <> t.[whole])
   OR (s.[single] <> t.[single] OR (s.[single] IS NULL AND t.[single] IS NOT NULL) OR (s.[single] IS NOT NULL AND t.[single] IS NULL))
   OR (s.[double] <> t.[double] OR (s.[double] IS NULL AND t.[double] IS NOT NULL) OR (s.[double] IS NOT NULL AND t.[double] IS NULL))
   OR (s.[amount] <> t.[amount])
   OR (s.[flag] <> t.[flag] OR (s.[flag] IS NULL AND t.[flag] IS NOT NULL) OR (s.[flag] IS NOT NULL AND t.[flag] IS NULL))
   OR (s.[code] COLLATE Latin1_General_100_BIN2 <> t.[code] COLLATE Latin1_General_100_BIN2 OR DATALENGTH(s.[code]) <> DATALENGTH(t.[code]) OR (s.[code] IS NULL AND t.[code] IS NOT NULL) OR (s.[code] IS NOT NULL AND t.[code] IS NULL))
   OR (s.[title] COLLATE Latin1_General_100_BIN2 <> t.[title] COLLATE Latin1_General_100_BIN2 OR DATALENGTH(s.[title]) <> DATALENGTH(t.[title]) OR (s.[title] IS NULL AND t.[title] IS NOT NULL) OR (s.[title] IS NOT NULL AND t.[title] IS NULL))
   OR (s.[note] COLLATE Latin1_General_100_BIN2 <> t.[note] COLLATE Latin1_General_100_BIN2 OR DATALENGTH(s.[note]) <> DATALENGTH(t.[note]) OR (s.[note] IS NULL AND t.[note] IS NOT NULL) OR (s.[note] IS NOT NULL AND t.[note] IS NULL))
   OR (s.[raw] <> t.[raw] OR DATALENGTH(s.[raw]) <> DATALENGTH(t.[raw]) OR (s.[raw] IS NULL AND t.[raw] IS NOT NULL) OR (s.[raw] IS NOT NULL AND t.[raw] IS NULL))
   OR (s.[day] <> t.[day] OR (s.[day] IS NULL AND t.[day] IS NOT NULL) OR (s.[day] IS NOT NULL AND t.[day] IS NULL))
   OR (s.[local] <> t.[local] OR (s.[local] IS NULL AND t.[local] IS NOT NULL) OR (s.[local] IS NOT NULL AND t.[local] IS NULL))
   OR (s.[updated_at] <> t.[updated_at])
   OR (s.[clock] <> t.[clock] OR (s.[clock] IS NULL AND t.[clock] IS NOT NULL) OR (s.[clock] IS NOT NULL AND t.[clock] IS NULL))
   OR (s.[uid] <> t.[uid] OR (s.[uid] IS NULL AND t.[uid] IS NOT NULL) OR (s.[uid] IS NOT NULL AND t.[uid] IS NULL)));
SET @updated = @@ROWCOUNT;
INSERT INTO [dbo].[orders] ([id], [small], [whole], [single], [double], [amount], [flag], [code], [title], [note], [raw], [day], [local], [updated_at], [clock], [uid])
SELECT s.[id], s.[small], s.[whole], s.[single], s.[double], s.[amount], s.[flag], s.[code], s.[title], s.[note], s.[raw], s.[day], s.[local], s.[updated_at], s.[clock], s.[uid] FROM [etl_stage].[orders_ed983b57dc8faa28] AS s
 WHERE NOT EXISTS (SELECT 1 FROM [dbo].[orders] AS t WHERE t.[id] = s.[id]);
SET @inserted = @@ROWCOUNT;
UPDATE [etl].[checkpoint] SET [rows_total] = [rows_total] + @deleted + @updated + @inserted, [lease_until] = DATEADD(millisecond, @lease_ms, SYSUTCDATETIME()) WHERE [pipeline] = @pipeline;
UPDATE [etl].[run]
   SET [rows_written] = [rows_written] + @inserted + @updated, [rows_updated] = [rows_updated] + @updated,
       [rows_deleted] = [rows_deleted] + @deleted, [rows_unchanged] = [rows_unchanged] + @staged - @inserted - @updated
 WHERE [run_id] = @run_id;
DELETE FROM [etl].[quarantine] WHERE [pipeline] = @pipeline AND [generation] <> @generation;
COMMIT TRANSACTION;
SELECT @deleted AS [deleted], @updated AS [updated], @inserted AS [inserted], @staged AS [staged];
