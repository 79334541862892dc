GRANT SELECT, UPDATE ON OBJECT::[etl].[checkpoint] TO [etl_writer];
