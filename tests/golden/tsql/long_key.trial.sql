SET XACT_ABORT ON; SET NOCOUNT ON;
DECLARE @deleted bigint = 0, @updated bigint = 0, @inserted bigint = 0;
BEGIN TRANSACTION;
DELETE t FROM [dbo].[long] AS t INNER JOIN [#stage] AS s ON t.[k.e y] = s.[c0] WHERE s.[is_delete] = 1;
SET @deleted = @@ROWCOUNT;
UPDATE t SET t.[updated_at] = s.[c1]
  FROM [dbo].[long] AS t INNER JOIN [#stage] AS s ON t.[k.e y] = s.[c0]
 WHERE s.[is_delete] = 0 AND (
      (s.[c1] <> t.[updated_at] OR (s.[c1] IS NULL AND t.[updated_at] IS NOT NULL) OR (s.[c1] IS NOT NULL AND t.[updated_at] IS NULL)));
SET @updated = @@ROWCOUNT;
INSERT INTO [dbo].[long] ([k.e y], [updated_at])
SELECT s.[c0], s.[c1] FROM [#stage] AS s
 WHERE s.[is_delete] = 0 AND NOT EXISTS (SELECT 1 FROM [dbo].[long] AS t WHERE t.[k.e y] = s.[c0]);
SET @inserted = @@ROWCOUNT;
ROLLBACK TRANSACTION;
SELECT @inserted AS [inserted];
