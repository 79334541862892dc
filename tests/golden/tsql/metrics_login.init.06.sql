GRANT SELECT ON OBJECT::[etl].[run] TO [etl_reader];
