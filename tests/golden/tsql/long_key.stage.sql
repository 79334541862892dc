CREATE TABLE [#stage] (
  [__delete] bit NOT NULL,
  [k.e y] nvarchar(800) COLLATE Latin1_General_100_BIN2 NOT NULL,
  [updated_at] date NULL,
  UNIQUE NONCLUSTERED ([k.e y])
);
