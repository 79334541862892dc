GRANT SELECT, INSERT, UPDATE ON OBJECT::[dbo].[orders] TO [etl_writer];
