IF OBJECT_ID(N'[etl].[schema_version]') IS NULL
CREATE TABLE [etl].[schema_version] (
  [version]    int NOT NULL CONSTRAINT [pk_etl_schema_version] PRIMARY KEY,
  [name]       nvarchar(200) NOT NULL,
  [checksum]   nvarchar(64) NOT NULL,
  [applied_at] datetime2(6) NOT NULL
);
