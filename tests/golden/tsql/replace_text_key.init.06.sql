SET XACT_ABORT ON;
BEGIN TRANSACTION;
IF EXISTS (SELECT 1 FROM [etl].[schema_version] WHERE [version] = 1 AND [checksum] <> N'9ac03947b37e04290b8eb123a00c0277b3a3de9148f98f77eb7db04a6bcc132d')
  THROW 51004, N'this migration was applied with another text', 1;
IF NOT EXISTS (SELECT 1 FROM [etl].[schema_version] WHERE [version] = 1)
BEGIN
  EXEC(N'CREATE TABLE [etl].[checkpoint] (
  [pipeline]    nvarchar(250) COLLATE Latin1_General_100_BIN2 NOT NULL CONSTRAINT [pk_etl_checkpoint] PRIMARY KEY,
  [position]    nvarchar(max) NULL,
  [definition]  nvarchar(max) NULL,
  [sequence]    bigint NOT NULL,
  [run_id]      uniqueidentifier NULL,
  [lease_until] datetime2(3) NULL,
  [rows_total]  bigint NOT NULL,
  [updated_at]  datetime2(6) NOT NULL
);');
  EXEC(N'CREATE TABLE [etl].[run] (
  [run_id]           uniqueidentifier NOT NULL CONSTRAINT [pk_etl_run] PRIMARY KEY NONCLUSTERED,
  [pipeline]         nvarchar(250) COLLATE Latin1_General_100_BIN2 NOT NULL,
  [started_at]       datetime2(6) NOT NULL,
  [finished_at]      datetime2(6) NULL,
  [outcome]          nvarchar(20) NOT NULL,
  [rows_read]        bigint NOT NULL,
  [rows_written]     bigint NOT NULL,
  [rows_updated]     bigint NOT NULL,
  [rows_deleted]     bigint NOT NULL,
  [rows_unchanged]   bigint NOT NULL,
  [rows_reread]      bigint NOT NULL,
  [rows_quarantined] bigint NOT NULL,
  [source_horizon]   datetime2(6) NULL,
  [error_class]      nvarchar(20) NULL,
  [error_code]       nvarchar(20) NULL
);');
  EXEC(N'CREATE CLUSTERED INDEX [ix_etl_run_pipeline] ON [etl].[run] ([pipeline], [started_at]);');
  EXEC(N'CREATE TABLE [etl].[quarantine] (
  [pipeline]     nvarchar(250) COLLATE Latin1_General_100_BIN2 NOT NULL,
  [key_hash]     varbinary(32) NOT NULL,
  [column_name]  nvarchar(128) COLLATE Latin1_General_100_BIN2 NOT NULL,
  [key_json]     nvarchar(max) NULL,
  [reason]       nvarchar(400) NOT NULL,
  [error_code]   nvarchar(20) NULL,
  [run_id]       uniqueidentifier NOT NULL,
  [first_seen]   datetime2(6) NOT NULL,
  [last_seen]    datetime2(6) NOT NULL,
  [attempts]     int NOT NULL,
  CONSTRAINT [pk_etl_quarantine] PRIMARY KEY ([pipeline], [key_hash], [column_name])
);');
  INSERT INTO [etl].[schema_version] ([version], [name], [checksum], [applied_at])
  VALUES (1, N'checkpoint, run ledger, quarantine', N'9ac03947b37e04290b8eb123a00c0277b3a3de9148f98f77eb7db04a6bcc132d', SYSUTCDATETIME());
END;
COMMIT TRANSACTION;
