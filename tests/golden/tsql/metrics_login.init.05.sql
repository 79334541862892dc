GRANT SELECT ON OBJECT::[etl].[checkpoint] TO [etl_reader];
