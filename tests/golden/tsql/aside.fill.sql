INSERT INTO [#aside] ([key_hash], [column_name], [key_json], [reason], [error_code], [put])
VALUES (@P1, @P2, @P3, @P4, NULLIF(@P5, N''), @P6), (@P7, @P8, @P9, @P10, NULLIF(@P11, N''), @P12);
