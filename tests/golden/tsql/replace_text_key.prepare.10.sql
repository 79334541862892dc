IF OBJECT_ID(N'[etl_stage].[or''ders "x"_6e9a783b5f50d3cc]') IS NULL
BEGIN
  UPDATE [etl].[checkpoint] SET [phase] = N'idle', [sequence] = [sequence] + 1, [run_id] = NULL, [lease_until] = NULL
   WHERE [pipeline] = N'orders/public.orders' AND [phase] <> N'idle';
  CREATE TABLE [etl_stage].[or'ders "x"_6e9a783b5f50d3cc] (
  [k.e y] nvarchar(400) COLLATE Latin1_General_BIN NOT NULL,
  [id] int NOT NULL,
  [updated_at] date NULL,
  CONSTRAINT [pk_etl_stage_or'ders "x"_6e9a783b5f50d3cc] PRIMARY KEY CLUSTERED ([k.e y], [id])
);
END;
