IF OBJECT_ID(N'[dbo].[ids]') IS NULL
CREATE TABLE [dbo].[ids] (
  [id] bigint NOT NULL,
  [gone at] datetime2(6) NULL,
  CONSTRAINT [pk_dbo_ids] PRIMARY KEY CLUSTERED ([id])
);
