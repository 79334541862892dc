CREATE TABLE [#stage] (
  [__delete] bit NOT NULL,
  [id] bigint NOT NULL,
  UNIQUE CLUSTERED ([id])
);
