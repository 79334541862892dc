CREATE TABLE [#stage] (
  [is_delete] bit NOT NULL,
  [c0] bigint NOT NULL,
  UNIQUE CLUSTERED ([c0])
);
