GRANT SELECT, INSERT, UPDATE, DELETE ON OBJECT::[sales].[or'ders "x"] TO [etl_writer];
