SET XACT_ABORT ON;
BEGIN TRANSACTION;
IF EXISTS (SELECT 1 FROM [etl].[schema_version] WHERE [version] = 3 AND [checksum] <> N'e1b3920849cd6e954d472a17ac0a443fdd6599a5c241bb858e2473964fd48f25')
  THROW 51004, N'this migration was applied with another text', 1;
IF NOT EXISTS (SELECT 1 FROM [etl].[schema_version] WHERE [version] = 3)
BEGIN
  EXEC(N'ALTER TABLE [etl].[quarantine] ADD [generation] bigint NOT NULL CONSTRAINT [df_etl_quarantine_generation] DEFAULT 0;');
  INSERT INTO [etl].[schema_version] ([version], [name], [checksum], [applied_at])
  VALUES (3, N'the load of an entry of the quarantine', N'e1b3920849cd6e954d472a17ac0a443fdd6599a5c241bb858e2473964fd48f25', SYSUTCDATETIME());
END;
COMMIT TRANSACTION;
