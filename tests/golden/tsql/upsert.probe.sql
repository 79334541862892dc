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
DELETE t FROM [dbo].[orders] AS t INNER JOIN [#stage] AS s ON t.[id] = s.[c0] WHERE s.[is_delete] = 1;
SET @deleted = @@ROWCOUNT;
UPDATE t SET t.[small] = s.[c1], t.[whole] = s.[c2], t.[single] = s.[c3], t.[double] = s.[c4], t.[amount] = s.[c5], t.[flag] = s.[c6], t.[code] = s.[c7], t.[title] = s.[c8], t.[note] = s.[c9], t.[raw] = s.[c10], t.[day] = s.[c11], t.[local] = s.[c12], t.[updated_at] = s.[c13], t.[clock] = s.[c14], t.[uid] = s.[c15]
  FROM [dbo].[orders] AS t INNER JOIN [#stage] AS s ON t.[id] = s.[c0]
 WHERE s.[is_delete] = 0 AND (
      (s.[c1] <> t.[small] OR (s.[c1] IS NULL AND t.[small] IS NOT NULL) OR (s.[c1] IS NOT NULL AND t.[small] IS NULL))
   OR (s.[c2] <> t.[whole])
   OR (s.[c3] <> t.[single] OR (s.[c3] IS NULL AND t.[single] IS NOT NULL) OR (s.[c3] IS NOT NULL AND t.[single] IS NULL))
   OR (s.[c4] <> t.[double] OR (s.[c4] IS NULL AND t.[double] IS NOT NULL) OR (s.[c4] IS NOT NULL AND t.[double] IS NULL))
   OR (s.[c5] <> t.[amount])
   OR (s.[c6] <> t.[flag] OR (s.[c6] IS NULL AND t.[flag] IS NOT NULL) OR (s.[c6] IS NOT NULL AND t.[flag] IS NULL))
   OR (s.[c7] COLLATE Latin1_General_100_BIN2 <> t.[code] COLLATE Latin1_General_100_BIN2 OR DATALENGTH(s.[c7]) <> DATALENGTH(t.[code]) OR (s.[c7] IS NULL AND t.[code] IS NOT NULL) OR (s.[c7] IS NOT NULL AND t.[code] IS NULL))
   OR (s.[c8] COLLATE Latin1_General_100_BIN2 <> t.[title] COLLATE Latin1_General_100_BIN2 OR DATALENGTH(s.[c8]) <> DATALENGTH(t.[title]) OR (s.[c8] IS NULL AND t.[title] IS NOT NULL) OR (s.[c8] IS NOT NULL AND t.[title] IS NULL))
   OR (s.[c9] COLLATE Latin1_General_100_BIN2 <> t.[note] COLLATE Latin1_General_100_BIN2 OR DATALENGTH(s.[c9]) <> DATALENGTH(t.[note]) OR (s.[c9] IS NULL AND t.[note] IS NOT NULL) OR (s.[c9] IS NOT NULL AND t.[note] IS NULL))
   OR (s.[c10] <> t.[raw] OR DATALENGTH(s.[c10]) <> DATALENGTH(t.[raw]) OR (s.[c10] IS NULL AND t.[raw] IS NOT NULL) OR (s.[c10] IS NOT NULL AND t.[raw] IS NULL))
   OR (s.[c11] <> t.[day] OR (s.[c11] IS NULL AND t.[day] IS NOT NULL) OR (s.[c11] IS NOT NULL AND t.[day] IS NULL))
   OR (s.[c12] <> t.[local] OR (s.[c12] IS NULL AND t.[local] IS NOT NULL) OR (s.[c12] IS NOT NULL AND t.[local] IS NULL))
   OR (s.[c13] <> t.[updated_at])
   OR (s.[c14] <> t.[clock] OR (s.[c14] IS NULL AND t.[clock] IS NOT NULL) OR (s.[c14] IS NOT NULL AND t.[clock] IS NULL))
   OR (s.[c15] <> t.[uid] OR (s.[c15] IS NULL AND t.[uid] IS NOT NULL) OR (s.[c15] IS NOT NULL AND t.[uid] IS NULL)));
SET @updated = @@ROWCOUNT;
INSERT INTO [dbo].[orders] ([id], [small], [whole], [single], [double], [amount], [flag], [code], [title], [note], [raw], [day], [local], [updated_at], [clock], [uid])
SELECT s.[c0], s.[c1], s.[c2], s.[c3], s.[c4], s.[c5], s.[c6], s.[c7], s.[c8], s.[c9], s.[c10], s.[c11], s.[c12], s.[c13], s.[c14], s.[c15] FROM [#stage] AS s
 WHERE s.[is_delete] = 0 AND NOT EXISTS (SELECT 1 FROM [dbo].[orders] AS t WHERE t.[id] = s.[c0]);
SET @inserted = @@ROWCOUNT;
UPDATE [etl].[run]
   SET [rows_read] = [rows_read] + @read, [rows_reread] = [rows_reread] + @reread, [rows_written] = [rows_written] + @inserted + @updated, [rows_updated] = [rows_updated] + @updated,
       [rows_deleted] = [rows_deleted] + @deleted, [rows_unchanged] = [rows_unchanged] + @upserts - @inserted - @updated
 WHERE [run_id] = @run_id;
ROLLBACK TRANSACTION;
SELECT @deleted AS [deleted], @updated AS [updated], @inserted AS [inserted];
