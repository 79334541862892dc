IF OBJECT_ID(N'[sales].[or''ders "x"]') IS NULL
CREATE TABLE [sales].[or'ders "x"] (
  [k.e y] nvarchar(400) COLLATE Latin1_General_100_BIN2 NOT NULL,
  [id] int NOT NULL,
  [updated_at] date NULL,
  CONSTRAINT [pk_sales_or'ders "x"] PRIMARY KEY CLUSTERED ([k.e y], [id])
);
