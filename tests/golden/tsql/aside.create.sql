CREATE TABLE [#aside] (
  [key_hash]    varbinary(32) NOT NULL PRIMARY KEY,
  [column_name] nvarchar(128) COLLATE Latin1_General_100_BIN2 NOT NULL,
  [key_json]    nvarchar(max) COLLATE Latin1_General_100_BIN2 NULL,
  [reason]      nvarchar(400) COLLATE Latin1_General_100_BIN2 NOT NULL,
  [error_code]  nvarchar(20) COLLATE Latin1_General_100_BIN2 NULL,
  [put]         bit NOT NULL
);
