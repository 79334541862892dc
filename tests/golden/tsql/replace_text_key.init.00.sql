SET XACT_ABORT ON;
DECLARE @lock int;
EXEC @lock = sys.sp_getapplock @Resource = N'etl:prepare', @LockMode = N'Exclusive', @LockOwner = N'Session', @LockTimeout = 60000;
IF @lock < 0 THROW 51000, N'another preparation did not end', 1;
