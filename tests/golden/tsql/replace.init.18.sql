GRANT SELECT, INSERT, UPDATE, DELETE ON OBJECT::[dbo].[orders] TO [etl_writer];
