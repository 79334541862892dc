SELECT CONVERT(nvarchar(40), [k.e y]), [part], RTRIM(CONVERT(nvarchar(10), [note])), CONVERT(decimal(19,4), [amount]), [paid], [rv], CASE WHEN (([paid] = 1) AND (NOT (CASE WHEN (([note] LIKE N'50\[%' ESCAPE N'\') OR ([amount] > 1.5)) THEN 1 ELSE 0 END = 1))) THEN 1 ELSE 0 END FROM [dbo].[or'ders x]
 ORDER BY [rv], CONVERT(nvarchar(40), [k.e y]) COLLATE Latin1_General_100_BIN2, [part];
