SET XACT_ABORT ON; SET NOCOUNT ON;
DECLARE @deleted bigint = 0, @updated bigint = 0, @inserted bigint = 0;
BEGIN TRANSACTION;
INSERT INTO [dbo].[orders_log] ([id], [small], [whole], [single], [double], [amount], [flag], [code], [title], [note], [raw], [day], [local], [updated_at], [clock], [uid])
SELECT s.[c0], s.[c1], s.[c2], s.[c3], s.[c4], s.[c5], s.[c6], s.[c7], s.[c8], s.[c9], s.[c10], s.[c11], s.[c12], s.[c13], s.[c14], s.[c15] FROM [#stage] AS s
 WHERE s.[is_delete] = 0;
SET @inserted = @@ROWCOUNT;
ROLLBACK TRANSACTION;
SELECT @inserted AS [inserted];
