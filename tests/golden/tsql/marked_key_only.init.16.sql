GRANT SELECT, INSERT, UPDATE ON OBJECT::[dbo].[ids] TO [etl_writer];
