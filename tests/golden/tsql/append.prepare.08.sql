INSERT INTO [etl].[checkpoint] ([pipeline], [position], [definition], [sequence], [run_id], [lease_until], [rows_total], [updated_at])
SELECT N'orders/public.orders', NULL, NULL, 0, NULL, NULL, 0, SYSUTCDATETIME()
 WHERE NOT EXISTS (SELECT 1 FROM [etl].[checkpoint] WHERE [pipeline] = N'orders/public.orders');
