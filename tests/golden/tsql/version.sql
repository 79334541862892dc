IF OBJECT_ID(N'[etl].[schema_version]') IS NOT NULL
SELECT MAX([version]) AS [version] FROM [etl].[schema_version];
