//! Statements that no loader sends: the double parses and runs, it does not recognise texts.

use super::client::{connect, fails, one, run, server, texts};

const FIXTURE: &str = "
CREATE TABLE dbo.person (
  pid int NOT NULL CONSTRAINT pk_person PRIMARY KEY,
  name nvarchar(50) NOT NULL,
  boss int NULL,
  born date NULL,
  pay decimal(10,2) NULL,
  code varchar(10) COLLATE Latin1_General_100_BIN2 NULL);
CREATE TABLE dbo.visit (vid int IDENTITY(10,5) NOT NULL, pid int NOT NULL, place nvarchar(20) NULL, at datetime2(3) NULL);
INSERT INTO dbo.person VALUES
 (1, N'Ada', NULL, '1815-12-10', 100.50, 'a'), (2, N'Bob', 1, '1990-02-28', 20.25, 'B'),
 (3, N'cid', 1, NULL, NULL, 'b'), (4, N'Dee', 2, '2000-01-01', 0.01, NULL);
INSERT dbo.visit (pid, place, at) VALUES (1, N'Rome', '2024-01-01T10:00:00'), (1, N'Oslo', '2024-02-01T10:00:00.126'), (3, NULL, NULL);";

/// Statement and its first result set.
const ANSWERS: &[(&str, &str)] = &[
    ("SELECT 1", "1"),
    ("SELECT name FROM dbo.person WHERE pid = 2", "Bob"),
    ("select NAME from DBO.Person where PID=2", "Bob"),
    ("SELECT name FROM person ORDER BY name DESC", "Dee|cid|Bob|Ada"),
    ("SELECT TOP (2) pid FROM person ORDER BY pay DESC", "1|2"),
    ("SELECT TOP 1 pid FROM person ORDER BY 1", "1"),
    ("SELECT pid FROM person ORDER BY pid OFFSET 1 ROWS FETCH NEXT 2 ROWS ONLY", "2|3"),
    (
        "SELECT COUNT(*), COUNT(pay), SUM(pay), MIN(name), MAX(born) FROM person WHERE 1 = 0",
        "0,0,NULL,NULL,Date(None)",
    ),
    (
        "SELECT COUNT(*), COUNT_BIG(pay), SUM(pay), AVG(pay), MIN(name), MAX(name) FROM person",
        "4,3,120.76,40.253333,Ada,Dee",
    ),
    ("SELECT boss, COUNT(*) FROM person GROUP BY boss ORDER BY boss", "NULL,1|1,2|2,1"),
    ("SELECT boss, COUNT(*) AS n FROM person GROUP BY boss HAVING COUNT(*) > 1", "1,2"),
    (
        "SELECT p.name, b.name FROM person p LEFT JOIN person AS b ON b.pid = p.boss ORDER BY p.pid",
        "Ada,NULL|Bob,Ada|cid,Ada|Dee,Bob",
    ),
    (
        "SELECT p.name FROM person p INNER JOIN visit v ON v.pid = p.pid WHERE v.place = 'OSLO'",
        "Ada",
    ),
    (
        "SELECT p.name, v.place FROM person p RIGHT JOIN visit v ON v.pid = p.pid ORDER BY v.vid",
        "Ada,Rome|Ada,Oslo|cid,NULL",
    ),
    ("SELECT COUNT(*) FROM person a CROSS JOIN person b", "16"),
    ("SELECT COUNT(*) FROM person a, visit v WHERE a.pid = v.pid AND a.pid > 1", "1"),
    (
        "SELECT a.pid, b.x FROM person a FULL JOIN (VALUES (3), (9)) AS b(x) ON a.pid = b.x ORDER BY a.pid, b.x",
        "NULL,9|1,NULL|2,NULL|3,3|4,NULL",
    ),
    (
        "SELECT name FROM person p WHERE EXISTS (SELECT * FROM visit v WHERE v.pid = p.pid) ORDER BY pid",
        "Ada|cid",
    ),
    (
        "SELECT name FROM person p WHERE NOT EXISTS (SELECT 1 FROM visit WHERE pid = p.pid) ORDER BY pid",
        "Bob|Dee",
    ),
    ("SELECT name FROM person WHERE pid IN (SELECT pid FROM visit) ORDER BY 1", "Ada|cid"),
    ("SELECT name FROM person WHERE boss NOT IN (SELECT boss FROM person)", ""),
    ("SELECT name FROM person WHERE boss IN (2, NULL)", "Dee"),
    ("SELECT pid FROM person WHERE pay > ALL (SELECT pay FROM person WHERE pid IN (2, 4))", "1"),
    (
        "SELECT (SELECT MAX(v.vid) FROM visit v WHERE v.pid = p.pid) FROM person p ORDER BY p.pid",
        "15|NULL|20|NULL",
    ),
    (
        "SELECT d.n FROM (SELECT boss AS b, COUNT(*) AS n FROM person GROUP BY boss) AS d WHERE d.b = 1",
        "2",
    ),
    (
        "WITH x AS (SELECT pid, name FROM person WHERE pid < 3), y (a) AS (SELECT name FROM x) SELECT a FROM y ORDER BY a DESC",
        "Bob|Ada",
    ),
    ("SELECT pid FROM person UNION SELECT pid FROM visit ORDER BY pid DESC", "4|3|2|1"),
    ("SELECT 1 AS v UNION ALL SELECT 1 UNION ALL SELECT 2", "1|1|2"),
    ("SELECT pid FROM person EXCEPT SELECT pid FROM visit", "2|4"),
    ("SELECT pid FROM person INTERSECT SELECT pid FROM visit", "1|3"),
    ("SELECT DISTINCT boss FROM person ORDER BY boss", "NULL|1|2"),
    (
        "SELECT p.name, v.place FROM person p OUTER APPLY (SELECT TOP 1 place FROM visit WHERE pid = p.pid ORDER BY vid DESC) v ORDER BY p.pid",
        "Ada,Oslo|Bob,NULL|cid,NULL|Dee,NULL",
    ),
    (
        "SELECT name, ROW_NUMBER() OVER (PARTITION BY boss ORDER BY pid DESC) FROM person ORDER BY pid",
        "Ada,1|Bob,2|cid,1|Dee,1",
    ),
    (
        "SELECT pid, COUNT(*) OVER (PARTITION BY boss), LAG(pid) OVER (ORDER BY pid) FROM person ORDER BY pid",
        "1,1,NULL|2,2,1|3,2,2|4,1,3",
    ),
    (
        "SELECT STRING_AGG(name, N'-') WITHIN GROUP (ORDER BY pid DESC) FROM person",
        "Dee-cid-Bob-Ada",
    ),
    (
        "SELECT CASE WHEN pay IS NULL THEN 'none' WHEN pay < 1 THEN 'low' ELSE 'high' END FROM person ORDER BY pid",
        "high|high|none|low",
    ),
    ("SELECT CASE pid WHEN 1 THEN N'x' END FROM person WHERE pid < 3", "x|NULL"),
    (
        "SELECT ISNULL(pay, 9), COALESCE(NULL, boss, -1), NULLIF(pid, 3), IIF(pid > 2, 'y', 'n') FROM person WHERE pid = 3",
        "9.00,1,NULL,y",
    ),
    ("SELECT 7 / 2, 7 % 2, -7 / 2, 7 / 2.0, 1.10 + 2, 0.1 * 0.1", "3,1,-3,3.500000,3.10,0.01"),
    (
        "SELECT CAST(10 AS decimal(10,4)) / 3, CAST(1 AS decimal(38,10)) * CAST(3 AS decimal(38,10))",
        "3.333333,3.000000",
    ),
    ("SELECT 5 & 3, 5 | 3, 5 ^ 3, ~5", "1,7,6,-6"),
    (
        "SELECT LEN(N'ab  '), DATALENGTH(N'ab  '), DATALENGTH('ab  '), LEN(N'😀'), DATALENGTH(N'😀')",
        "2,8,4,2,4",
    ),
    (
        "SELECT UPPER('aß'), LOWER(N'ÀB'), LTRIM('  x '), RTRIM(' x  ') + '|', TRIM(' x ')",
        "Aß,àb,x , x|,x",
    ),
    (
        "SELECT SUBSTRING(N'abcdef', 2, 3), LEFT('abc', 2), RIGHT('abc', 2), SUBSTRING('abc', 0, 2)",
        "bcd,ab,bc,a",
    ),
    (
        "SELECT REPLACE('aXbx', 'x', '-'), CHARINDEX('B', 'abc'), CHARINDEX('z', 'abc'), REPLICATE('ab', 3), STUFF('abcd', 2, 2, 'XY')",
        "a-b-,2,0,ababab,aXYd",
    ),
    (
        "SELECT CONCAT('a', NULL, 1, N'é'), 'a' + NULL, CONCAT_WS(',', 'x', NULL, 'y')",
        "a1é,NULL,x,y",
    ),
    (
        "SELECT ABS(-3), ROUND(2.345, 2), ROUND(-2.5, 0), CEILING(1.2), FLOOR(-1.2), SIGN(-4)",
        "3,2.350,-3.0,2.0,-2.0,-1",
    ),
    (
        "SELECT CAST('12' AS int) + 1, '3' + 4, CAST(3.99 AS int), CAST(CAST(3.99 AS money) AS int)",
        "13,7,3,4",
    ),
    (
        "SELECT TRY_CAST('x' AS int), TRY_CONVERT(decimal(4,1), '12.34'), TRY_CAST('2023-02-30' AS date), CAST(1 AS bit)",
        "NULL,12.3,Date(None),true",
    ),
    (
        "SELECT CONVERT(varchar(30), CAST('2024-02-29T13:14:15.1234567' AS datetime2), 126), CONVERT(char(8), CAST('2024-02-29' AS date), 112)",
        "2024-02-29T13:14:15.1234567,20240229",
    ),
    (
        "SELECT CONVERT(varchar(30), CAST('2024-01-01T00:00:00.126' AS datetime), 121), CONVERT(varchar(30), CAST('2024-01-01T00:00:30' AS smalldatetime), 120)",
        "2024-01-01 00:00:00.127,2024-01-01 00:01:00",
    ),
    (
        "SELECT CONVERT(varchar(40), TODATETIMEOFFSET(CAST('2024-01-01T10:00:00' AS datetime2(0)), '+02:00')), CONVERT(varchar(40), SWITCHOFFSET(CAST('2024-01-01T10:00:00 +02:00' AS datetimeoffset(0)), '-05:00'))",
        "2024-01-01 10:00:00 +02:00,2024-01-01 03:00:00 -05:00",
    ),
    (
        "SELECT DATEDIFF(day, '2024-02-28', '2024-03-01'), DATEDIFF(year, '2023-12-31', '2024-01-01'), DATEDIFF_BIG(microsecond, CAST('2024-01-01' AS datetime2), CAST('2024-01-02' AS datetime2))",
        "2,1,86400000000",
    ),
    (
        "SELECT CONVERT(varchar(10), DATEADD(month, 1, CAST('2024-01-31' AS date))), DATEPART(weekday, CAST('2024-01-01' AS date)), DATEPART(dayofyear, CAST('2024-12-31' AS date)), YEAR('2024-05-06')",
        "2024-02-29,2,366,2024",
    ),
    (
        "SELECT CONVERT(varchar(64), HASHBYTES('SHA2_256', 'abc'), 2)",
        "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
    ),
    (
        "SELECT CONVERT(varbinary(4), 258), CONVERT(varchar(20), 0xAB01, 1), CAST(0x41 AS varchar(4)), CONVERT(int, 0x0102)",
        "Binary(Some([0, 0, 1, 2])),0xAB01,A,258",
    ),
    (
        "SELECT JSON_VALUE(N'{\"a\":{\"b\":[1,\"x\"]}}', '$.a.b[1]'), ISJSON('{}'), ISJSON('x'), JSON_VALUE('{}', '$.q')",
        "x,1,0,NULL",
    ),
    ("SELECT QUOTENAME(N'a]b'), PARSENAME('s.t', 2), PARSENAME('[a.b].c', 2)", "[a]]b],s,a.b"),
    (
        "SELECT DB_NAME(), SCHEMA_NAME(), USER_NAME(), SUSER_SNAME(), ORIGINAL_LOGIN(), IS_SRVROLEMEMBER('sysadmin')",
        "test,dbo,dbo,sa,sa,1",
    ),
    (
        "SELECT OBJECT_ID('dbo.nothing'), OBJECT_NAME(OBJECT_ID(N'[dbo].[person]', 'U')), OBJECT_ID('dbo.person', 'V'), COL_LENGTH('dbo.person', 'name')",
        "NULL,person,NULL,100",
    ),
    (
        "SELECT COLUMNPROPERTY(OBJECT_ID('visit'), 'vid', 'IsIdentity'), TYPE_NAME(127), SCHEMA_ID('dbo'), DATABASE_PRINCIPAL_ID('dbo')",
        "1,bigint,1,1",
    ),
    (
        "SELECT CAST(SERVERPROPERTY('ProductMajorVersion') AS int), CAST(SERVERPROPERTY('EngineEdition') AS int), CAST(DATABASEPROPERTYEX('test', 'Collation') AS nvarchar(60))",
        "15,3,SQL_Latin1_General_CP1_CI_AS",
    ),
    (
        "SELECT name FROM person WHERE name LIKE 'a%' OR name LIKE N'_e_' OR name LIKE '[b-c]i%'",
        "Ada|cid|Dee",
    ),
    ("SELECT COUNT(*) FROM person WHERE name NOT LIKE '%[^a-z]%'", "4"),
    ("SELECT 'x' WHERE 'a_b' LIKE 'a!_b' ESCAPE '!' AND 'axb' NOT LIKE 'a!_b' ESCAPE '!'", "x"),
    ("SELECT pid FROM person WHERE name = 'CID   '", "3"),
    ("SELECT pid FROM person WHERE code = 'B'", "2"),
    (
        "SELECT pid FROM person WHERE code COLLATE SQL_Latin1_General_CP1_CI_AS = 'B' ORDER BY pid",
        "2|3",
    ),
    (
        "SELECT pid FROM person WHERE name COLLATE Latin1_General_100_BIN2 < N'a' ORDER BY 1",
        "1|2|4",
    ),
    ("SELECT pid FROM person WHERE NOT (pay > 1) ORDER BY pid", "4"),
    ("SELECT pid FROM person WHERE pay BETWEEN 1 AND 50 OR pay IS NULL", "2|3"),
    (
        "DECLARE @a int = 3, @b nvarchar(10) = N'x'; SET @a += 4; SELECT @a, @b + CAST(@a AS nvarchar(10))",
        "7,x7",
    ),
    (
        "DECLARE @n int, @m nvarchar(50); SELECT @n = pid, @m = name FROM person WHERE pid = 2; SELECT @n, @m",
        "2,Bob",
    ),
    (
        "DECLARE @s nvarchar(max) = N''; SELECT @s = @s + name FROM person ORDER BY pid; SELECT @s",
        "AdaBobcidDee",
    ),
    (
        "DECLARE @i int = 0, @t int = 0; WHILE @i < 10 BEGIN SET @i = @i + 1; IF @i = 3 CONTINUE; IF @i > 5 BREAK; SET @t += @i; END; SELECT @i, @t",
        "6,12",
    ),
    ("IF EXISTS (SELECT 1 FROM person WHERE pid = 77) SELECT 'yes' ELSE SELECT 'no'", "no"),
    ("DECLARE @q nvarchar(200) = N'SELECT pid FROM person WHERE name = N''Bob'''; EXEC(@q)", "2"),
    ("EXEC('SELECT 40 + ' + '2')", "42"),
    (
        "DECLARE @r int; EXEC sp_executesql N'SET @out = @in * 2', N'@in int, @out int OUTPUT', @in = 21, @out = @r OUTPUT; SELECT @r",
        "42",
    ),
    (
        "BEGIN TRY SELECT 1/0 END TRY BEGIN CATCH SELECT ERROR_NUMBER(), ERROR_MESSAGE(), XACT_STATE() END CATCH",
        "",
    ),
    (
        "BEGIN TRY THROW 60001, N'mine', 7; END TRY BEGIN CATCH SELECT ERROR_NUMBER(), ERROR_STATE(), ERROR_SEVERITY(), ERROR_MESSAGE(); END CATCH",
        "60001,7,16,mine",
    ),
    (
        "BEGIN TRY RAISERROR('n=%d s=%s', 16, 3, 5, 'q') END TRY BEGIN CATCH SELECT ERROR_NUMBER(), ERROR_MESSAGE() END CATCH",
        "50000,n=5 s=q",
    ),
    (
        "DECLARE @t TABLE (a int PRIMARY KEY, b nvarchar(5)); INSERT @t VALUES (1, 'x'), (2, NULL); UPDATE @t SET b = 'y' WHERE a = 2; SELECT a, b FROM @t ORDER BY a",
        "1,x|2,y",
    ),
    (
        "INSERT INTO visit (pid, place) OUTPUT inserted.vid, inserted.place VALUES (4, N'Bern')",
        "25,Bern",
    ),
    ("SELECT SCOPE_IDENTITY(), @@IDENTITY", "25.0,25.0"),
    (
        "UPDATE visit SET place = N'Wien', pid += 0 OUTPUT deleted.place, inserted.place WHERE vid = 25",
        "Bern,Wien",
    ),
    (
        "UPDATE v SET place = p.name OUTPUT inserted.place, p.pid FROM visit v JOIN person p ON p.pid = v.pid WHERE p.pid = 4",
        "Dee,4",
    ),
    ("DELETE FROM visit OUTPUT deleted.vid, deleted.pid WHERE place = 'dee'", "25,4"),
    (
        "DECLARE @d TABLE (x int); DELETE TOP (1) v OUTPUT deleted.vid INTO @d FROM visit v WHERE v.place IS NULL; SELECT x FROM @d; ",
        "20",
    ),
    (
        "SELECT pid, name INTO #copy FROM person WHERE pid > 2; SELECT COUNT(*), MAX(name) FROM #copy",
        "2,Dee",
    ),
    (
        "SELECT is_nullable FROM tempdb.sys.columns WHERE object_id = OBJECT_ID('tempdb..#copy') ORDER BY column_id",
        "false|false",
    ),
    ("DROP TABLE #copy; SELECT OBJECT_ID('tempdb..#copy')", "NULL"),
    ("BEGIN TRAN; DELETE FROM person; SELECT COUNT(*) FROM person; ROLLBACK; ", "0"),
    ("SELECT COUNT(*), @@TRANCOUNT FROM person", "4,0"),
    (
        "BEGIN TRAN; UPDATE person SET pay = 1 WHERE pid = 1; SAVE TRAN s; UPDATE person SET pay = 2 WHERE pid = 1; ROLLBACK TRAN s; SELECT pay, @@TRANCOUNT FROM person WHERE pid = 1; ROLLBACK",
        "1.00,1",
    ),
    (
        "BEGIN TRAN; CREATE TABLE dbo.gone (a int); ALTER TABLE person ADD extra int NULL; ROLLBACK; SELECT OBJECT_ID('dbo.gone'), COL_LENGTH('person', 'extra')",
        "NULL,NULL",
    ),
    ("BEGIN TRAN; TRUNCATE TABLE visit; SELECT COUNT(*) FROM visit; ROLLBACK", "0"),
    ("SELECT COUNT(*) FROM visit", "2"),
    (
        "SELECT t.name, SUM(p.rows) FROM sys.tables t JOIN sys.partitions p ON p.object_id = t.object_id AND p.index_id IN (0, 1) GROUP BY t.name ORDER BY t.name",
        "person,4|visit,2",
    ),
    (
        "SELECT c.name, TYPE_NAME(c.user_type_id), c.max_length, c.precision, c.scale, c.is_nullable FROM sys.columns c WHERE c.object_id = OBJECT_ID('person') ORDER BY c.column_id",
        "pid,int,4,10,0,false|name,nvarchar,100,0,0,false|boss,int,4,10,0,true|born,date,3,10,0,true|pay,decimal,9,10,2,true|code,varchar,10,0,0,true",
    ),
    (
        "SELECT i.name, i.type_desc, c.name FROM sys.indexes i JOIN sys.index_columns ic ON ic.object_id = i.object_id AND ic.index_id = i.index_id JOIN sys.columns c ON c.object_id = ic.object_id AND c.column_id = ic.column_id WHERE i.is_primary_key = 1",
        "pk_person,CLUSTERED,pid",
    ),
    (
        "SELECT COLUMN_NAME, DATA_TYPE, CHARACTER_MAXIMUM_LENGTH, COLLATION_NAME FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_NAME = 'person' AND DATA_TYPE LIKE '%char' ORDER BY ORDINAL_POSITION",
        "name,nvarchar,50,SQL_Latin1_General_CP1_CI_AS|code,varchar,10,Latin1_General_100_BIN2",
    ),
    (
        "SELECT k.COLUMN_NAME FROM INFORMATION_SCHEMA.TABLE_CONSTRAINTS t JOIN INFORMATION_SCHEMA.KEY_COLUMN_USAGE k ON k.CONSTRAINT_NAME = t.CONSTRAINT_NAME WHERE t.CONSTRAINT_TYPE = 'PRIMARY KEY' AND t.TABLE_NAME = 'person'",
        "pid",
    ),
    ("SELECT name FROM sys.databases WHERE database_id > 4 ORDER BY name", "test"),
    (
        "SELECT CASE WHEN 'a' = 'A' THEN 1 ELSE 0 END, CASE WHEN N'e' = N'é' THEN 1 ELSE 0 END, CASE WHEN 'a' = 'a ' THEN 1 ELSE 0 END, CASE WHEN N'a😀' = N'a' THEN 1 ELSE 0 END",
        "1,0,1,1",
    ),
    (
        "SELECT v FROM (VALUES (N'b'), (N'A'), (N'a'), (N'1'), (N'_')) x(v) ORDER BY v COLLATE Latin1_General_100_BIN2",
        "1|A|_|a|b",
    ),
    ("SELECT TOP (1) WITH_x = 5, [from] = N'q' FROM person", "5,q"),
    (
        "SELECT CONVERT(nvarchar(36), CAST('6F9619FF-8B86-D011-B42D-00C04FC964FF' AS uniqueidentifier)), CAST('6F9619FF-8B86-D011-B42D-00C04FC964FF' AS uniqueidentifier)",
        "6F9619FF-8B86-D011-B42D-00C04FC964FF,6f9619ff-8b86-d011-b42d-00c04fc964ff",
    ),
    (
        "SELECT CAST(1.5 AS float), CAST(1e100 AS float), CAST(CAST(0.1 AS real) AS nvarchar(20)), CAST(CAST(123456789 AS float) AS varchar(20))",
        "1.5,10000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000,0.1,1.23457e+008",
    ),
    (
        "SELECT CAST(-0.005 AS decimal(4,2)), CAST('1234567890123456789012345678.0123456789' AS decimal(38,10)), CAST(99.995 AS decimal(5,2))",
        "-0.01,1234567890123456789012345678.0123456789,100.00",
    ),
    ("SELECT pid FROM person; SELECT @@ROWCOUNT, @@ERROR", "1|2|3|4"),
    (
        "DECLARE @n int; UPDATE person SET boss = boss; SET @n = @@ROWCOUNT; SELECT @n, @@ROWCOUNT",
        "4,1",
    ),
    ("UPDATE person SET boss = boss; SET NOCOUNT OFF; SELECT @@ROWCOUNT", "0"),
    ("UPDATE person SET boss = boss; IF @@ROWCOUNT = 4 SELECT @@ROWCOUNT", "0"),
    (
        "EXEC('SET LOCK_TIMEOUT 77; SET XACT_ABORT ON'); SELECT @@LOCK_TIMEOUT, @@OPTIONS & 16384",
        "-1,0",
    ),
    (
        "SET NOCOUNT ON; SET XACT_ABORT ON; SET LOCK_TIMEOUT 5; SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT @@LOCK_TIMEOUT, @@OPTIONS & 512",
        "5,512",
    ),
    (
        "SELECT APPLOCK_TEST('public', 'q', 'Exclusive', 'Session'), APPLOCK_MODE('public', 'q', 'Session')",
        "1,NoLock",
    ),
    (
        "SELECT p.name FROM person AS p WITH (NOLOCK, INDEX(pk_person)) WHERE p.pid = 1 OPTION (RECOMPILE, MAXDOP 1)",
        "Ada",
    ),
    (
        "SELECT x.pid FROM (SELECT TOP 100 pid, name FROM person ORDER BY pid DESC) x WHERE x.name <> N'Ada' AND 2 <= x.pid -- comment\n /* and /* nested */ one */ ORDER BY 1",
        "2|3|4",
    ),
];

#[tokio::test]
async fn the_double_answers_statements_that_no_product_code_sends() {
    let server = server();
    let mut c = connect(&server).await;
    run(&mut c, FIXTURE).await;
    let mut wrong = Vec::new();
    for &(sql, expected) in ANSWERS {
        if sql.starts_with("BEGIN TRY SELECT 1/0") {
            // The failing SELECT has a result set of its own, without rows.
            let sets = texts(&mut c, sql).await;
            assert_eq!(sets.last().unwrap()[0][0], "8134");
            continue;
        }
        let got = one(&mut c, sql).await;
        if got != expected {
            wrong.push(format!("{sql}\n  got      {got}\n  expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), ANSWERS.len(), wrong.join("\n"));
}

/// Statement and the error that it must raise.
const ERRORS: &[(&str, u32)] = &[
    ("SELEC 1", 2812),
    ("1 SELECT", 102),
    ("SELECT FROM person", 156),
    ("SELECT * FROM nowhere", 208),
    ("SELECT nothing FROM person", 207),
    ("SELECT p.nothing FROM person p", 207),
    ("SELECT q.name FROM person p", 4104),
    ("SELECT pid FROM person, visit", 209),
    ("SELECT @undeclared", 137),
    ("SELECT 1/0", 8134),
    ("SELECT CAST('x' AS int)", 245),
    ("SELECT 'x' + 1", 245),
    ("SELECT CAST('9999999999' AS int)", 248),
    ("SELECT CAST('x' AS bigint)", 8114),
    ("SELECT CAST(3000000000 AS int)", 8115),
    ("SELECT CAST(300 AS tinyint)", 220),
    ("SELECT 2147483647 + 1", 8115),
    ("SELECT CAST('2023-02-30' AS datetime2)", 241),
    ("SELECT CAST('1752-01-01' AS datetime)", 242),
    ("SELECT CAST('zz' AS uniqueidentifier)", 8169),
    ("SELECT CAST(123.45 AS decimal(3,2))", 8115),
    ("SELECT CAST('x' AS decimal(3,2))", 8114),
    ("INSERT person (pid, name) VALUES (1, 'x')", 2627),
    ("INSERT person (pid, name) VALUES (50, NULL)", 515),
    ("INSERT person (pid) VALUES (50)", 515),
    ("UPDATE person SET name = NULL", 515),
    ("INSERT person (pid, name) VALUES (50, REPLICATE(N'x', 51))", 2628),
    ("UPDATE person SET pid = 2 WHERE pid = 1", 2627),
    ("UPDATE person SET pay = 123456789", 8115),
    ("INSERT person VALUES (50, 'x')", 213),
    ("INSERT person (pid, name) VALUES (50, 'x', 3)", 110),
    ("INSERT person (pid, nothing) VALUES (50, 'x')", 207),
    ("INSERT visit (vid, pid) VALUES (1, 1)", 544),
    ("UPDATE visit SET vid = 1", 8102),
    ("SELECT name, COUNT(*) FROM person", 8120),
    ("SELECT name FROM person WHERE COUNT(*) > 1", 147),
    ("SELECT pid FROM person WHERE pid = (SELECT pid FROM person)", 512),
    ("SELECT (SELECT pid, name FROM person)", 116),
    ("SELECT 1 UNION SELECT 1, 2", 205),
    ("SELECT x FROM (SELECT 1) d", 8155),
    ("SELECT * FROM (SELECT pid FROM person ORDER BY pid) d", 1033),
    ("CREATE TABLE person (a int)", 2714),
    ("CREATE TABLE t1 (a int, a int)", 2705),
    ("CREATE TABLE t1 (a nvarchar(max) PRIMARY KEY)", 1919),
    ("CREATE TABLE t1 (a nvarchar(5000))", 131),
    ("CREATE TABLE t1 (a wibble)", 2715),
    ("CREATE TABLE t1 (a decimal(39,0))", 2750),
    ("CREATE TABLE t1 (a int COLLATE Klingon_CI_AS)", 0),
    ("CREATE TABLE t1 (a varchar(5) COLLATE Klingon_CI_AS)", 448),
    ("CREATE TABLE nowhere.t1 (a int)", 2760),
    ("DROP TABLE nothing", 3701),
    ("ALTER TABLE nothing ADD a int", 4902),
    ("ALTER TABLE person ADD must int NOT NULL", 4901),
    ("ALTER TABLE person DROP COLUMN pid", 5074),
    ("ALTER TABLE person DROP CONSTRAINT nope", 3728),
    ("CREATE UNIQUE INDEX ux ON person (boss)", 1505),
    ("SELECT 1; CREATE SCHEMA late", 111),
    ("USE nodb", 911),
    ("CREATE DATABASE test", 1801),
    ("COMMIT", 3902),
    ("ROLLBACK", 3903),
    ("SAVE TRAN x", 628),
    ("BEGIN TRAN a; ROLLBACK TRAN b", 6401),
    ("ROLLBACK TRAN a", 3903),
    ("SELECT CAST('2024-01-01T00:00:00.1234' AS datetime)", 241),
    ("THROW 51001, N'moved', 1", 51001),
    ("RAISERROR('boo', 16, 1)", 50000),
    ("EXEC nothing", 2812),
    ("EXEC sp_getapplock @Resource = 'r', @LockMode = 'Exclusive'", 3918),
    ("EXEC sp_releaseapplock @Resource = 'r', @LockOwner = 'Session'", 1223),
    ("SELECT NOFUNCTION(1)", 195),
    ("SELECT LEN()", 174),
    ("SELECT 1 WHERE 1", 4145),
    ("SELECT CAST('2024-01-01' AS date) + 1", 206),
    ("SELECT 1 + CAST('2024-01-01' AS time)", 206),
    ("SELECT p.name FROM person p WHERE p.code = p.name", 468),
    ("SELECT code FROM person UNION SELECT name FROM person", 468),
    (
        "SELECT CASE WHEN code COLLATE Latin1_General_CI_AS = name COLLATE Latin1_General_100_BIN2 THEN 1 END FROM person",
        468,
    ),
    ("MERGE person AS t USING visit AS s ON t.pid = s.pid WHEN MATCHED THEN DELETE;", 50001),
    ("SELECT * FROM person FOR JSON AUTO", 50001),
    ("SELECT TOP 10 PERCENT pid FROM person", 50001),
    ("SELECT name FROM person WITH (SNAPSHOT)", 50001),
    ("SET ANSI_NULLS OFF", 50001),
    ("SET WIBBLE ON", 50001),
    ("WITH r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT n FROM r", 50001),
    ("GO", 102),
    ("SELECT 'open", 105),
    ("CREATE PROCEDURE p AS SELECT 1", 50001),
];

#[tokio::test]
async fn what_is_wrong_or_not_supported_is_refused_with_the_servers_number() {
    let server = server();
    let mut c = connect(&server).await;
    run(&mut c, FIXTURE).await;
    let mut wrong = Vec::new();
    for &(sql, expected) in ERRORS {
        if expected == 0 {
            continue;
        }
        let got = super::client::try_run(&mut c, sql).await.err().and_then(|e| e.code());
        super::client::try_run(&mut c, "IF @@TRANCOUNT > 0 ROLLBACK").await.unwrap();
        if got != Some(expected) {
            wrong.push(format!("{sql}\n  got {got:?}, expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), ERRORS.len(), wrong.join("\n"));
    assert_eq!(
        one(&mut c, "SELECT COUNT(*), SUM(pay), @@TRANCOUNT FROM person").await,
        "4,120.76,0"
    );
}

#[tokio::test]
async fn errors_name_their_line_and_severity() {
    let server = server();
    let mut c = connect(&server).await;
    let e =
        c.simple_query("SELECT 1;\n\nSELECT 1/0;").await.unwrap().into_results().await.unwrap_err();
    let tiberius::error::Error::Server(t) = e else { panic!("{e}") };
    assert_eq!((t.code(), t.class(), t.line()), (8134, 16, 3));
    let Err(e) = c.simple_query("\nSELECT * FROM nowhere").await else { panic!("no error") };
    let tiberius::error::Error::Server(t) = e else { panic!("{e}") };
    assert_eq!((t.code(), t.class(), t.line()), (208, 16, 2));
}

#[tokio::test]
async fn an_error_ends_what_it_ends_on_the_server() {
    let server = server();
    let mut c = connect(&server).await;
    run(&mut c, "CREATE TABLE t (a int PRIMARY KEY CHECK (a < 100))").await;
    // XACT_ABORT off: the statement only; the batch goes on, the transaction stays.
    assert_eq!(
        fails(&mut c, "BEGIN TRAN; INSERT t VALUES (1); INSERT t VALUES (1); INSERT t VALUES (2);")
            .await,
        2627
    );
    assert_eq!(one(&mut c, "SELECT COUNT(*), @@TRANCOUNT FROM t; ROLLBACK").await, "2,1");
    // A conversion error ends the batch and the transaction.
    assert_eq!(
        fails(
            &mut c,
            "BEGIN TRAN; INSERT t VALUES (1); INSERT t VALUES ('x'); INSERT t VALUES (2);"
        )
        .await,
        245
    );
    assert_eq!(one(&mut c, "SELECT COUNT(*), @@TRANCOUNT FROM t").await, "0,0");
    // XACT_ABORT on: everything.
    assert_eq!(fails(&mut c, "SET XACT_ABORT ON; BEGIN TRAN; INSERT t VALUES (1); INSERT t VALUES (1); INSERT t VALUES (2);").await, 2627);
    assert_eq!(one(&mut c, "SELECT COUNT(*), @@TRANCOUNT FROM t").await, "0,0");
    assert_eq!(fails(&mut c, "INSERT t VALUES (100)").await, 547);
    // In TRY the transaction is doomed with it, and only then.
    assert_eq!(one(&mut c, "BEGIN TRAN; BEGIN TRY INSERT t VALUES (1); INSERT t VALUES (1); END TRY BEGIN CATCH SELECT XACT_STATE(); IF @@TRANCOUNT > 0 ROLLBACK; END CATCH").await, "-1");
    assert_eq!(one(&mut c, "SET XACT_ABORT OFF; BEGIN TRAN; BEGIN TRY INSERT t VALUES (1); INSERT t VALUES (1); END TRY BEGIN CATCH SELECT XACT_STATE(); COMMIT; END CATCH").await, "1");
    assert_eq!(one(&mut c, "SELECT COUNT(*) FROM t").await, "1");
    assert_eq!(fails(&mut c, "SET XACT_ABORT ON; BEGIN TRAN; BEGIN TRY INSERT t VALUES (1); END TRY BEGIN CATCH COMMIT; END CATCH").await, 3930);
    assert_eq!(one(&mut c, "SELECT @@TRANCOUNT").await, "0");
    assert_eq!(fails(&mut c, "BEGIN TRAN; BEGIN TRY INSERT t VALUES (1); END TRY BEGIN CATCH PRINT 'left open'; END CATCH").await, 3998);
    // THROW in CATCH sends the error on; an error of an inner text ends the inner text.
    assert_eq!(
        fails(&mut c, "BEGIN TRY INSERT t VALUES (1); END TRY BEGIN CATCH THROW; END CATCH").await,
        2627
    );
    assert_eq!(fails(&mut c, "SET XACT_ABORT OFF; EXEC('SELECT * FROM missing; INSERT t VALUES (7)'); INSERT t VALUES (8)").await, 208);
    assert_eq!(one(&mut c, "SELECT a FROM t ORDER BY a").await, "1|8");
    // What compiling finds is not caught in the same text, only around it.
    assert_eq!(
        fails(&mut c, "BEGIN TRY SELECT * FROM missing END TRY BEGIN CATCH SELECT 1 END CATCH")
            .await,
        208
    );
    assert_eq!(one(&mut c, "BEGIN TRY EXEC('SELECT * FROM missing') END TRY BEGIN CATCH SELECT ERROR_NUMBER() END CATCH").await, "208");
}

#[tokio::test]
async fn temporary_tables_have_the_servers_collation_and_their_scope() {
    let server = server();
    let mut c = connect(&server).await;
    run(&mut c, "CREATE TABLE t (k nvarchar(10) NOT NULL PRIMARY KEY); CREATE TABLE #s (k nvarchar(10)); INSERT t VALUES ('a'); INSERT #s VALUES ('a')").await;
    assert_eq!(fails(&mut c, "SELECT * FROM t JOIN #s s ON s.k = t.k").await, 468);
    assert_eq!(fails(&mut c, "DELETE t FROM t JOIN #s s ON s.k = t.k").await, 468);
    assert_eq!(
        one(&mut c, "SELECT t.k FROM t JOIN #s s ON s.k COLLATE DATABASE_DEFAULT = t.k").await,
        "a"
    );
    // A table made inside sp_executesql is gone when the call returns.
    c.execute("CREATE TABLE #inner (a int)", &[]).await.unwrap();
    assert_eq!(fails(&mut c, "SELECT * FROM #inner").await, 208);
    run(&mut c, "EXEC('CREATE TABLE #inner (a int); INSERT #s VALUES (''b'')')").await;
    assert_eq!(fails(&mut c, "SELECT * FROM #inner").await, 208);
    assert_eq!(one(&mut c, "SELECT COUNT(*) FROM #s").await, "2");
    let mut other = connect(&server).await;
    assert_eq!(fails(&mut other, "SELECT * FROM #s").await, 208);
}

#[tokio::test]
async fn tables_change_shape() {
    let server = server();
    let mut c = connect(&server).await;
    run(&mut c, "CREATE TABLE p (a int NOT NULL CONSTRAINT pk_p PRIMARY KEY, b nvarchar(10) NULL CONSTRAINT df_b DEFAULT (N'd'), c AS (a * 2) PERSISTED)").await;
    run(&mut c, "INSERT p (a) VALUES (1), (2); ALTER TABLE p ADD d int NOT NULL CONSTRAINT df_d DEFAULT 7, e bit NULL; UPDATE p SET e = 1 WHERE a = 2").await;
    assert_eq!(
        one(&mut c, "SELECT a, b, c, d, e FROM p ORDER BY a").await,
        "1,d,2,7,NULL|2,d,4,7,true"
    );
    run(&mut c, "ALTER TABLE p ALTER COLUMN b nvarchar(20) NOT NULL; ALTER TABLE p DROP COLUMN e; ALTER TABLE p ADD CONSTRAINT ck CHECK (d > 0)").await;
    assert_eq!(fails(&mut c, "UPDATE p SET d = 0").await, 547);
    assert_eq!(fails(&mut c, "INSERT p (a, b) VALUES (3, NULL)").await, 515);
    run(&mut c, "CREATE TABLE k (id int IDENTITY PRIMARY KEY, pa int NOT NULL CONSTRAINT fk REFERENCES p (a)); INSERT k (pa) VALUES (1)").await;
    assert_eq!(fails(&mut c, "INSERT k (pa) VALUES (99)").await, 547);
    assert_eq!(fails(&mut c, "DELETE p WHERE a = 1").await, 547);
    assert_eq!(fails(&mut c, "DROP TABLE p").await, 3726);
    assert_eq!(fails(&mut c, "TRUNCATE TABLE p").await, 4712);
    run(&mut c, "UPDATE p SET d = 8 WHERE a = 2; CREATE UNIQUE INDEX ux ON p (b) WHERE d = 7")
        .await;
    assert_eq!(fails(&mut c, "UPDATE p SET d = 7").await, 2601);
    assert_eq!(
        one(
            &mut c,
            "SELECT name, has_filter, filter_definition FROM sys.indexes WHERE name = 'ux'"
        )
        .await,
        "ux,true,(d = 7)"
    );
    run(&mut c, "DROP INDEX ux ON p; ALTER TABLE k DROP CONSTRAINT fk; DELETE p WHERE a = 1; TRUNCATE TABLE k; INSERT k (pa) VALUES (5)").await;
    assert_eq!(one(&mut c, "SELECT id, pa FROM k").await, "1,5");
    run(&mut c, "SET IDENTITY_INSERT k ON; INSERT k (id, pa) VALUES (40, 6); SET IDENTITY_INSERT k OFF; INSERT k (pa) VALUES (7)").await;
    assert_eq!(one(&mut c, "SELECT id FROM k ORDER BY id").await, "1|40|41");
    run(&mut c, "CREATE VIEW dbo.w AS SELECT a, b FROM p WHERE d > 1").await;
    assert_eq!(one(&mut c, "SELECT w.a FROM w").await, "2");
    run(&mut c, "DROP VIEW IF EXISTS w; DROP TABLE IF EXISTS k, p, nothing").await;
    assert_eq!(one(&mut c, "SELECT COUNT(*) FROM sys.objects").await, "0");
}

#[tokio::test]
async fn behind_a_schema_a_name_that_begins_as_a_variables_is_a_tables() {
    let server = server();
    let mut c = connect(&server).await;
    run(&mut c, "CREATE TABLE [dbo].[@t] ([@a] int); INSERT INTO [dbo].[@t] ([@a]) VALUES (7);")
        .await;
    assert_eq!(one(&mut c, "SELECT [@a] FROM [dbo].[@t]").await, "7");
    assert_eq!(fails(&mut c, "SELECT 1 FROM @t").await, 1087);
}
