GRANT SELECT, INSERT, UPDATE, DELETE ON OBJECT::[etl_stage].[orders_ed983b57dc8faa28] TO [etl_writer];
