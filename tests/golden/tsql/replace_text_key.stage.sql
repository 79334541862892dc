CREATE TABLE [#stage] (
  [is_delete] bit NOT NULL,
  [c0] nvarchar(400) COLLATE Latin1_General_BIN NOT NULL,
  [c1] int NOT NULL,
  [c2] date NULL,
  UNIQUE CLUSTERED ([c0], [c1])
);
