IF OBJECT_ID(N'[dbo].[ids]') IS NULL
CREATE TABLE [dbo].[ids] (
  [id] bigint NOT NULL,
  CONSTRAINT [pk_dbo_ids] PRIMARY KEY CLUSTERED ([id])
);
