SET XACT_ABORT ON; SET NOCOUNT ON;
DECLARE @deleted bigint = 0, @updated bigint = 0, @inserted bigint = 0;
BEGIN TRANSACTION;
INSERT INTO [dbo].[orders_log] ([id], [small], [whole], [single], [double], [amount], [flag], [code], [title], [note], [raw], [day], [local], [updated_at], [clock], [uid])
SELECT s.[id], s.[small], s.[whole], s.[single], s.[double], s.[amount], s.[flag], s.[code], s.[title], s.[note], s.[raw], s.[day], s.[local], s.[updated_at], s.[clock], s.[uid] FROM [#stage] AS s
 WHERE s.[__delete] = 0;
SET @inserted = @@ROWCOUNT;
ROLLBACK TRANSACTION;
SELECT @inserted AS [inserted];
