SET XACT_ABORT ON;
BEGIN TRANSACTION;
IF EXISTS (SELECT 1 FROM [etl].[schema_version] WHERE [version] = 2 AND [checksum] <> N'd97e3df26d34a454c405149e21eedc7462352fa540ab351758ee7255a550ebc2')
  THROW 51004, N'this migration was applied with another text', 1;
IF NOT EXISTS (SELECT 1 FROM [etl].[schema_version] WHERE [version] = 2)
BEGIN
  EXEC(N'ALTER TABLE [etl].[checkpoint] ADD
  [generation] bigint NOT NULL CONSTRAINT [df_etl_checkpoint_generation] DEFAULT 0,
  [phase]      nvarchar(10) COLLATE Latin1_General_100_BIN2 NOT NULL CONSTRAINT [df_etl_checkpoint_phase] DEFAULT N''idle'';');
  INSERT INTO [etl].[schema_version] ([version], [name], [checksum], [applied_at])
  VALUES (2, N'loads', N'd97e3df26d34a454c405149e21eedc7462352fa540ab351758ee7255a550ebc2', SYSUTCDATETIME());
END;
COMMIT TRANSACTION;
