CREATE TABLE [#stage] (
  [__delete] bit NOT NULL,
  [k.e y] nvarchar(400) COLLATE Latin1_General_BIN NOT NULL,
  [id] int NOT NULL,
  [updated_at] date NULL,
  UNIQUE CLUSTERED ([k.e y], [id])
);
