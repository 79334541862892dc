GRANT SELECT, INSERT, UPDATE, DELETE ON OBJECT::[etl].[quarantine] TO [etl_writer];
