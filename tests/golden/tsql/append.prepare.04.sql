SET XACT_ABORT ON;
BEGIN TRANSACTION;
IF EXISTS (SELECT 1 FROM [etl].[schema_version] WHERE [version] = 2 AND [checksum] <> N'ae79eb6aba78978859e317980b9c251f5b8a0c2197509eddb54103146d461f53')
  THROW 51004, N'this migration was applied with another text', 1;
IF NOT EXISTS (SELECT 1 FROM [etl].[schema_version] WHERE [version] = 2)
BEGIN
  EXEC(N'ALTER TABLE [etl].[checkpoint] ADD [generation] bigint NOT NULL CONSTRAINT [df_etl_checkpoint_generation] DEFAULT 0;');
  EXEC(N'ALTER TABLE [etl].[checkpoint] ADD [phase] nvarchar(10) COLLATE Latin1_General_100_BIN2 NOT NULL CONSTRAINT [df_etl_checkpoint_phase] DEFAULT N''idle'';');
  INSERT INTO [etl].[schema_version] ([version], [name], [checksum], [applied_at])
  VALUES (2, N'loads', N'ae79eb6aba78978859e317980b9c251f5b8a0c2197509eddb54103146d461f53', SYSUTCDATETIME());
END;
COMMIT TRANSACTION;
