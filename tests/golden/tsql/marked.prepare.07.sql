IF OBJECT_ID(N'[dbo].[orders]') IS NULL
CREATE TABLE [dbo].[orders] (
  [id] bigint NOT NULL,
  [small] smallint NULL,
  [whole] int NOT NULL,
  [single] real NULL,
  [double] float(53) NULL,
  [amount] decimal(18,2) NOT NULL,
  [flag] bit NULL,
  [code] nvarchar(20) NULL,
  [title] nvarchar(3000) NULL,
  [note] nvarchar(max) NULL,
  [raw] varbinary(max) NULL,
  [day] date NULL,
  [local] datetime2(6) NULL,
  [updated_at] datetimeoffset(6) NOT NULL,
  [clock] time(6) NULL,
  [uid] uniqueidentifier NULL,
  [_deleted_at] datetime2(6) NULL,
  CONSTRAINT [pk_dbo_orders] PRIMARY KEY CLUSTERED ([id])
);
