CREATE TABLE [#stage] (
  [is_delete] bit NOT NULL,
  [c0] bigint NOT NULL,
  [c1] smallint NULL,
  [c2] int NULL,
  [c3] real NULL,
  [c4] float(53) NULL,
  [c5] decimal(18,2) NULL,
  [c6] bit NULL,
  [c7] nvarchar(20) COLLATE Latin1_General_100_BIN2 NULL,
  [c8] nvarchar(max) COLLATE Latin1_General_100_BIN2 NULL,
  [c9] nvarchar(max) COLLATE Latin1_General_100_BIN2 NULL,
  [c10] varbinary(max) NULL,
  [c11] date NULL,
  [c12] datetime2(7) NULL,
  [c13] datetimeoffset(7) NULL,
  [c14] time(7) NULL,
  [c15] uniqueidentifier NULL
);
