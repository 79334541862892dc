GRANT SELECT, INSERT, UPDATE, DELETE ON OBJECT::[etl_stage].[or'ders "x"_6e9a783b5f50d3cc] TO [etl_writer];
