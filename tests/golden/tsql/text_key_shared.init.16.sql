GRANT SELECT, INSERT, UPDATE ON OBJECT::[sales].[or'ders "x"] TO [etl_writer];
