SET XACT_ABORT ON; SET NOCOUNT ON;
DECLARE @deleted bigint = 0, @updated bigint = 0, @inserted bigint = 0;
BEGIN TRANSACTION;
DELETE t FROM [dbo].[ids] AS t INNER JOIN [#stage] AS s ON t.[id] = s.[c0] WHERE s.[is_delete] = 1;
SET @deleted = @@ROWCOUNT;
INSERT INTO [dbo].[ids] ([id])
SELECT s.[c0] FROM [#stage] AS s
 WHERE s.[is_delete] = 0 AND NOT EXISTS (SELECT 1 FROM [dbo].[ids] AS t WHERE t.[id] = s.[c0]);
SET @inserted = @@ROWCOUNT;
ROLLBACK TRANSACTION;
SELECT @inserted AS [inserted];
