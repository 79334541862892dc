SET XACT_ABORT ON; SET NOCOUNT ON;
DECLARE @deleted bigint = 0, @updated bigint = 0, @inserted bigint = 0;
BEGIN TRANSACTION;
DELETE t FROM [sales].[or'ders "x"] AS t INNER JOIN [#stage] AS s ON t.[k.e y] = s.[k.e y] AND t.[id] = s.[id] WHERE s.[__delete] = 1;
SET @deleted = @@ROWCOUNT;
UPDATE t SET t.[updated_at] = s.[updated_at]
  FROM [sales].[or'ders "x"] AS t INNER JOIN [#stage] AS s ON t.[k.e y] = s.[k.e y] AND t.[id] = s.[id]
 WHERE s.[__delete] = 0 AND (
      (s.[updated_at] <> t.[updated_at] OR (s.[updated_at] IS NULL AND t.[updated_at] IS NOT NULL) OR (s.[updated_at] IS NOT NULL AND t.[updated_at] IS NULL)));
SET @updated = @@ROWCOUNT;
INSERT INTO [sales].[or'ders "x"] ([k.e y], [id], [updated_at])
SELECT s.[k.e y], s.[id], s.[updated_at] FROM [#stage] AS s
 WHERE s.[__delete] = 0 AND NOT EXISTS (SELECT 1 FROM [sales].[or'ders "x"] AS t WITH (UPDLOCK, SERIALIZABLE) WHERE t.[k.e y] = s.[k.e y] AND t.[id] = s.[id]);
SET @inserted = @@ROWCOUNT;
ROLLBACK TRANSACTION;
SELECT @inserted AS [inserted];
