GRANT SELECT, INSERT, UPDATE, DELETE ON OBJECT::[dbo].[long] TO [etl_writer];
