IF OBJECT_ID(N'[etl_stage].[orders_ed983b57dc8faa28]') IS NULL
BEGIN
  UPDATE [etl].[checkpoint] SET [phase] = N'idle', [sequence] = [sequence] + 1, [run_id] = NULL, [lease_until] = NULL
   WHERE [pipeline] = N'orders/public.orders' AND [phase] <> N'idle';
  CREATE TABLE [etl_stage].[orders_ed983b57dc8faa28] (
  [id] bigint NOT NULL,
  [small] smallint NULL,
  [whole] int NOT NULL,
  [single] real NULL,
  [double] float(53) NULL,
  [amount] decimal(18,2) NOT NULL,
  [flag] bit NULL,
  [code] nvarchar(20) NULL,
  [title] nvarchar(3000) NULL,
  [note] nvarchar(max) NULL,
  [raw] varbinary(max) NULL,
  [day] date NULL,
  [local] datetime2(6) NULL,
  [updated_at] datetimeoffset(6) NOT NULL,
  [clock] time(6) NULL,
  [uid] uniqueidentifier NULL,
  CONSTRAINT [pk_etl_stage_orders_ed983b57dc8faa28] PRIMARY KEY CLUSTERED ([id])
);
END;
