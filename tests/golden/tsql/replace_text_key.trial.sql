SET XACT_ABORT ON; SET NOCOUNT ON;
DECLARE @deleted bigint = 0, @updated bigint = 0, @inserted bigint = 0;
BEGIN TRANSACTION;
DELETE t FROM [sales].[or'ders "x"] AS t INNER JOIN [#stage] AS s ON t.[k.e y] = s.[c0] AND t.[id] = s.[c1] WHERE s.[is_delete] = 1;
SET @deleted = @@ROWCOUNT;
UPDATE t SET t.[updated_at] = s.[c2]
  FROM [sales].[or'ders "x"] AS t INNER JOIN [#stage] AS s ON t.[k.e y] = s.[c0] AND t.[id] = s.[c1]
 WHERE s.[is_delete] = 0 AND (
      (s.[c2] <> t.[updated_at] OR (s.[c2] IS NULL AND t.[updated_at] IS NOT NULL) OR (s.[c2] IS NOT NULL AND t.[updated_at] IS NULL)));
SET @updated = @@ROWCOUNT;
INSERT INTO [sales].[or'ders "x"] ([k.e y], [id], [updated_at])
SELECT s.[c0], s.[c1], s.[c2] FROM [#stage] AS s
 WHERE s.[is_delete] = 0 AND NOT EXISTS (SELECT 1 FROM [sales].[or'ders "x"] AS t WITH (UPDLOCK, SERIALIZABLE) WHERE t.[k.e y] = s.[c0] AND t.[id] = s.[c1]);
SET @inserted = @@ROWCOUNT;
IF EXISTS (SELECT 1 FROM sys.tables WHERE [object_id] = OBJECT_ID(N'[sales].[or''ders "x"]') AND CONVERT(nvarchar(40), [modify_date], 126) <> N'2024-02-29T10:00:00.123') THROW 51006, N'the target was altered', 1;
ROLLBACK TRANSACTION;
SELECT @inserted AS [inserted];
