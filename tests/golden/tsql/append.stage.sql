CREATE TABLE [#stage] (
  [__delete] bit NOT NULL,
  [id] bigint NOT NULL,
  [small] smallint NULL,
  [whole] int NULL,
  [single] real NULL,
  [double] float(53) NULL,
  [amount] decimal(18,2) NULL,
  [flag] bit NULL,
  [code] nvarchar(20) COLLATE Latin1_General_100_BIN2 NULL,
  [title] nvarchar(max) COLLATE Latin1_General_100_BIN2 NULL,
  [note] nvarchar(max) COLLATE Latin1_General_100_BIN2 NULL,
  [raw] varbinary(max) NULL,
  [day] date NULL,
  [local] datetime2(7) NULL,
  [updated_at] datetimeoffset(7) NULL,
  [clock] time(7) NULL,
  [uid] uniqueidentifier NULL
);
