GRANT SELECT ON OBJECT::[etl].[schema_version] TO [etl_writer];
