SET XACT_ABORT ON; SET NOCOUNT ON;
DECLARE @pipeline nvarchar(250) = @P1, @what nvarchar(20) = @P2, @text nvarchar(max) = NULLIF(@P3, N'');
DECLARE @lock int, @resource nvarchar(255) = N'etl:' + @P1;
IF OBJECT_ID(N'[etl].[checkpoint]') IS NULL RETURN;
BEGIN TRANSACTION;
EXEC @lock = sys.sp_getapplock @Resource = @resource, @LockMode = N'Exclusive', @LockOwner = N'Transaction', @LockTimeout = 30000;
IF @lock IN (-1, -2, -3) THROW 51000, N'the pipeline lock was not granted', 1;
IF @lock < 0 THROW 51002, N'the pipeline lock could not be asked for', 1;
SELECT [sequence], [position], [definition], [rows_total], [generation], [phase] FROM [etl].[checkpoint] WITH (UPDLOCK) WHERE [pipeline] = @pipeline;
UPDATE [etl].[checkpoint]
   SET [position] = CASE WHEN @what = N'position' THEN @text ELSE [position] END,
       [definition] = CASE WHEN @what = N'definition' THEN @text WHEN @text IS NULL THEN NULL ELSE [definition] END,
       [phase] = CASE WHEN @what = N'position' THEN N'idle' ELSE [phase] END,
       [sequence] = [sequence] + 1, [run_id] = NULL, [lease_until] = NULL, [updated_at] = SYSUTCDATETIME()
 WHERE [pipeline] = @pipeline;
COMMIT TRANSACTION;
