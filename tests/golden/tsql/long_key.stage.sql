CREATE TABLE [#stage] (
  [is_delete] bit NOT NULL,
  [c0] nvarchar(800) COLLATE Latin1_General_100_BIN2 NOT NULL,
  [c1] date NULL,
  UNIQUE NONCLUSTERED ([c0])
);
