GRANT SELECT, INSERT ON OBJECT::[dbo].[orders_log] TO [etl_writer];
