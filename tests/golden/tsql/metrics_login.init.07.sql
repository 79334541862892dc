GRANT SELECT ON OBJECT::[etl].[quarantine] TO [etl_reader];
