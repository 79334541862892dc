SELECT DATEDIFF_BIG(microsecond, '1970-01-01', SYSUTCDATETIME()) AS [clock],
       CONVERT(bigint, MIN_ACTIVE_ROWVERSION()) AS [settled], CONVERT(bigint, @@DBTS) AS [given_out];
