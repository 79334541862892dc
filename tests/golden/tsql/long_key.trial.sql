SET XACT_ABORT ON; SET NOCOUNT ON;
DECLARE @deleted bigint = 0, @updated bigint = 0, @inserted bigint = 0;
BEGIN TRANSACTION;
DELETE t FROM [dbo].[long] AS t INNER JOIN [#stage] AS s ON t.[k.e y] = s.[k.e y] WHERE s.[__delete] = 1;
SET @deleted = @@ROWCOUNT;
UPDATE t SET t.[updated_at] = s.[updated_at]
  FROM [dbo].[long] AS t INNER JOIN [#stage] AS s ON t.[k.e y] = s.[k.e y]
 WHERE s.[__delete] = 0 AND (
      (s.[updated_at] <> t.[updated_at] OR (s.[updated_at] IS NULL AND t.[updated_at] IS NOT NULL) OR (s.[updated_at] IS NOT NULL AND t.[updated_at] IS NULL)));
SET @updated = @@ROWCOUNT;
INSERT INTO [dbo].[long] ([k.e y], [updated_at])
SELECT s.[k.e y], s.[updated_at] FROM [#stage] AS s
 WHERE s.[__delete] = 0 AND NOT EXISTS (SELECT 1 FROM [dbo].[long] AS t WHERE t.[k.e y] = s.[k.e y]);
SET @inserted = @@ROWCOUNT;
ROLLBACK TRANSACTION;
SELECT @inserted AS [inserted];
