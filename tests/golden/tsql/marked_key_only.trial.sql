SET XACT_ABORT ON; SET NOCOUNT ON;
DECLARE @deleted bigint = 0, @updated bigint = 0, @inserted bigint = 0;
BEGIN TRANSACTION;
UPDATE t SET t.[gone at] = SYSUTCDATETIME()
  FROM [dbo].[ids] AS t INNER JOIN [#stage] AS s ON t.[id] = s.[c0] WHERE s.[is_delete] = 1 AND t.[gone at] IS NULL;
SET @deleted = @@ROWCOUNT;
UPDATE t SET t.[gone at] = NULL
  FROM [dbo].[ids] AS t INNER JOIN [#stage] AS s ON t.[id] = s.[c0]
 WHERE s.[is_delete] = 0 AND (
      t.[gone at] IS NOT NULL);
SET @updated = @@ROWCOUNT;
INSERT INTO [dbo].[ids] ([id], [gone at])
SELECT s.[c0], NULL FROM [#stage] AS s
 WHERE s.[is_delete] = 0 AND NOT EXISTS (SELECT 1 FROM [dbo].[ids] AS t WHERE t.[id] = s.[c0]);
SET @inserted = @@ROWCOUNT;
ROLLBACK TRANSACTION;
SELECT @inserted AS [inserted];
