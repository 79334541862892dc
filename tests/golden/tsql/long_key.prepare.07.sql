IF OBJECT_ID(N'[dbo].[long]') IS NULL
CREATE TABLE [dbo].[long] (
  [k.e y] nvarchar(800) COLLATE Latin1_General_100_BIN2 NOT NULL,
  [updated_at] date NULL,
  CONSTRAINT [pk_dbo_long] PRIMARY KEY NONCLUSTERED ([k.e y])
);
