SELECT CONVERT(nvarchar(40), [k.e y]), [part], RTRIM(CONVERT(nvarchar(10), [note])), CONVERT(decimal(19,4), [amount]), [paid], [rv], CASE WHEN (([paid] = 1) AND (NOT (CASE WHEN (([note] LIKE N'50\[%' ESCAPE N'\') OR ([amount] > 1.5)) THEN 1 ELSE 0 END = 1))) THEN 1 ELSE 0 END FROM [dbo].[or'ders x]
 WHERE (CONVERT(nvarchar(40), [k.e y]) = @P1 AND [part] = CONVERT(int, @P2))
    OR (CONVERT(nvarchar(40), [k.e y]) = @P3 AND [part] = CONVERT(int, @P4));
