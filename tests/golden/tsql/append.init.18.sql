GRANT SELECT, INSERT, UPDATE ON OBJECT::[etl].[run] TO [etl_writer];
