//! Every T-SQL statement that a run sends, as functions of the target alone, so that each has a
//! golden file. Parameters are `@P1` …, named at the top of each batch.

use etl_core::Result;
use etl_sql::mssql::bulk::DELETE_FLAG;
use etl_sql::mssql::error::own;
use etl_sql::mssql::quote::{name, text};
use etl_sql::mssql::target::{MAX_CLUSTERED_BYTES, Target};
use etl_sql::mssql::types::BINARY_COLLATION;

use super::apply::apply;

/// The staging table: a session's own, gone with it.
pub const STAGE: &str = "[#stage]";

/// Statements of one stream.
#[derive(Debug, Clone)]
pub struct Statements {
    /// `CREATE TABLE [#stage]`, as a plain batch: inside `sp_executesql` it would be gone when the
    /// call returns.
    pub create_stage: String,
    /// Empties the stage.
    pub truncate_stage: String,
    /// Makes the stage's rows and the position durable.
    pub commit: Transaction,
    /// Makes a position durable without rows.
    pub commit_position: Transaction,
}

/// A batch of statements that does all its work in one transaction, which it opens, up to the end.
#[derive(Debug, Clone)]
pub struct Transaction {
    body: String,
    answer: &'static str,
}

impl Transaction {
    pub(super) fn new(body: String, answer: &'static str) -> Self {
        Self { body, answer }
    }

    /// The batch that commits; `beside` is done in the same transaction.
    #[must_use]
    pub fn commit(&self, beside: &str) -> String {
        format!("{}{beside}COMMIT TRANSACTION;\n{}", self.body, self.answer)
    }

    /// The batch that takes all of it back.
    #[must_use]
    pub fn probe(&self) -> String {
        format!("{}ROLLBACK TRANSACTION;\n{}", self.body, self.answer)
    }
}

impl Statements {
    /// The statements for a target as it was found.
    ///
    /// # Errors
    /// `Config` for bad names.
    pub fn new(state_schema: &str, target: &Target) -> Result<Self> {
        Ok(Self {
            create_stage: create_stage(target)?,
            truncate_stage: format!("TRUNCATE TABLE {STAGE};"),
            commit: commit(state_schema, &format!("{COUNT_STAGE}{}", apply(target)?))?,
            commit_position: commit(state_schema, "")?,
        })
    }
}

fn create_stage(target: &Target) -> Result<String> {
    let mut lines = vec![format!("  {DELETE_FLAG} bit NOT NULL")];
    for column in &target.columns {
        let staged = column.sql_type.staged();
        // tempdb has the server's collation, the target may have another: without a stated one
        // every comparison of texts would be error 468.
        let collation = match (staged.is_text(), column.key) {
            (true, true) => format!(" COLLATE {}", column.collation),
            (true, false) => format!(" COLLATE {BINARY_COLLATION}"),
            (false, _) => String::new(),
        };
        let null = if column.key { "NOT NULL" } else { "NULL" };
        lines.push(format!("  {} {staged}{collation} {null}", column.staged));
    }
    if target.mode.is_keyed() {
        // As the target's own key: a clustered index takes fewer bytes.
        let clustered = target.key_bytes()? <= MAX_CLUSTERED_BYTES;
        let kind = if clustered { "CLUSTERED" } else { "NONCLUSTERED" };
        let key: Vec<_> = target.key().map(|column| column.staged.as_str()).collect();
        lines.push(format!("  UNIQUE {kind} ({})", key.join(", ")));
    }
    Ok(format!("CREATE TABLE {STAGE} (\n{}\n);", lines.join(",\n")))
}

/// Takes the pipeline: one row back if it is ours now. `@P1` name, `@P2` run, `@P3` lease in
/// milliseconds, `@P4` whether another run's lease was seen before.
///
/// # Errors
/// `Config` for a bad schema name.
pub fn claim(state_schema: &str) -> Result<String> {
    let schema = name(state_schema)?;
    Ok(format!(
        "SET XACT_ABORT ON; SET NOCOUNT ON;
DECLARE @pipeline nvarchar(250) = @P1, @run_id uniqueidentifier = @P2, @lease_ms int = @P3, @waited bit = @P4;
BEGIN TRANSACTION;
UPDATE {schema}.[checkpoint]
   SET [run_id] = @run_id, [sequence] = [sequence] + 1, [lease_until] = DATEADD(millisecond, @lease_ms, SYSUTCDATETIME()), [updated_at] = SYSUTCDATETIME()
OUTPUT inserted.[sequence], inserted.[position], inserted.[definition], inserted.[rows_total], inserted.[generation], inserted.[phase]
 WHERE [pipeline] = @pipeline AND ([run_id] = @run_id OR [lease_until] < SYSUTCDATETIME() OR ([lease_until] IS NULL AND @waited = 0));
IF EXISTS (SELECT 1 FROM {schema}.[checkpoint] WHERE [pipeline] = @pipeline AND [run_id] = @run_id)
BEGIN
  UPDATE {schema}.[run] SET [outcome] = N'abandoned', [finished_at] = SYSUTCDATETIME()
   WHERE [pipeline] = @pipeline AND [outcome] = N'running' AND [run_id] <> @run_id;
  INSERT INTO {schema}.[run] ([run_id], [pipeline], [started_at], [outcome], [rows_read], [rows_written], [rows_updated], [rows_deleted], [rows_unchanged], [rows_reread], [rows_quarantined])
  SELECT @run_id, @pipeline, SYSUTCDATETIME(), N'running', 0, 0, 0, 0, 0, 0, 0
   WHERE NOT EXISTS (SELECT 1 FROM {schema}.[run] WHERE [run_id] = @run_id);
END;
COMMIT TRANSACTION;"
    ))
}

/// The checkpoint's row with its lease, and for how long runs have been skipped; no row if the
/// pipeline or its whole schema was never prepared. `@P1` name.
///
/// # Errors
/// `Config` for a bad schema name.
pub fn look(state_schema: &str) -> Result<String> {
    let schema = name(state_schema)?;
    let table = text(&format!("{schema}.[checkpoint]"));
    Ok(format!(
        "DECLARE @pipeline nvarchar(250) = @P1, @now datetime2(6) = SYSUTCDATETIME();
IF OBJECT_ID({table}) IS NOT NULL
SELECT c.[sequence], c.[position], c.[definition], c.[rows_total], c.[generation], c.[phase], c.[run_id],
       CONVERT(nvarchar(40), c.[lease_until], 126) AS [lease],
       CASE WHEN c.[lease_until] > @now THEN DATEDIFF(millisecond, @now, c.[lease_until]) ELSE 0 END AS [remaining_ms],
       (SELECT DATEDIFF(second, MIN(s.[started_at]), @now) FROM {schema}.[run] AS s
         WHERE s.[pipeline] = @pipeline AND s.[outcome] = N'skipped'
           AND s.[started_at] > COALESCE((SELECT MAX(r.[finished_at]) FROM {schema}.[run] AS r
                WHERE r.[pipeline] = @pipeline AND r.[outcome] NOT IN (N'skipped', N'running')), CONVERT(datetime2(6), N'0001-01-01'))) AS [skipped_seconds]
  FROM {schema}.[checkpoint] AS c WHERE c.[pipeline] = @pipeline;"
    ))
}

/// The version of the state tables; no row if there are none that we may see.
///
/// # Errors
/// `Config` for a bad schema name.
pub fn version(state_schema: &str) -> Result<String> {
    let table = format!("{}.[schema_version]", name(state_schema)?);
    Ok(format!(
        "IF OBJECT_ID({}) IS NOT NULL\nSELECT MAX([version]) AS [version] FROM {table};",
        text(&table)
    ))
}

/// Everything that the ledger says about a stream, as one row; none if the pipeline or its whole
/// schema was never prepared. `@P1` name.
///
/// Times are microseconds since 1970 UTC. Runs are in the order in which they began; the index of
/// the ledger has it.
///
/// # Errors
/// `Config` for a bad schema name.
pub fn ledger(state_schema: &str) -> Result<String> {
    let schema = name(state_schema)?;
    let table = text(&format!("{schema}.[checkpoint]"));
    let micros = |at: &str| {
        format!("DATEDIFF_BIG(microsecond, CONVERT(datetime2(6), N'1970-01-01', 126), {at})")
    };
    let (now, success, horizon) = (micros("@now"), micros("@success"), micros("@horizon"));
    let (started, changed) = (micros("@started"), micros("c.[updated_at]"));
    let runs = ["success", "stopped", "skipped", "fenced", "failed", "abandoned", "replayed"]
        .map(|outcome| format!("COALESCE(SUM(CASE WHEN [outcome] = N'{outcome}' THEN 1 ELSE 0 END), 0) AS [runs_{outcome}]"))
        .join(",\n               ");
    let rows = ["read", "written", "deleted", "unchanged", "reread", "quarantined"]
        .map(|kind| format!("COALESCE(SUM([rows_{kind}]), 0) AS [rows_{kind}]"))
        .join(",\n               ");
    Ok(format!(
        "DECLARE @pipeline nvarchar(250) = @P1, @now datetime2(6) = SYSUTCDATETIME(), @since datetime2(6), @success datetime2(6), @horizon datetime2(6), @started datetime2(6), @duration bigint;
IF OBJECT_ID({table}) IS NULL RETURN;
SELECT TOP (1) @since = [started_at], @success = [finished_at], @horizon = [source_horizon] FROM {schema}.[run]
 WHERE [pipeline] = @pipeline AND [outcome] = N'success' ORDER BY [started_at] DESC;
SELECT TOP (1) @started = [started_at] FROM {schema}.[run]
 WHERE [pipeline] = @pipeline AND [outcome] NOT IN (N'skipped', N'replayed') ORDER BY [started_at] DESC;
SELECT TOP (1) @duration = DATEDIFF_BIG(microsecond, [started_at], [finished_at]) FROM {schema}.[run]
 WHERE [pipeline] = @pipeline AND [outcome] NOT IN (N'skipped', N'replayed', N'running', N'abandoned') AND [finished_at] IS NOT NULL ORDER BY [started_at] DESC;
SELECT {now} AS [now], {success} AS [success], {horizon} AS [horizon],
       {started} AS [started], @duration AS [duration], {changed} AS [changed],
       CASE WHEN c.[lease_until] >= @now THEN 1 ELSE 0 END AS [lease_held], r.*,
       (SELECT COUNT_BIG(*) FROM {schema}.[quarantine] AS q WHERE q.[pipeline] = @pipeline) AS [quarantined]
  FROM {schema}.[checkpoint] AS c
 CROSS JOIN (SELECT {runs},
               {rows},
               COALESCE(SUM(CASE WHEN [outcome] IN (N'failed', N'fenced', N'abandoned') AND (@since IS NULL OR [started_at] > @since) THEN 1 ELSE 0 END), 0) AS [failures]
          FROM {schema}.[run] WHERE [pipeline] = @pipeline) AS r
 WHERE c.[pipeline] = @pipeline;"
    ))
}

/// The prepared streams whose names begin with `@P1`, with when each last ran; no rows if there is
/// no such schema.
///
/// # Errors
/// `Config` for a bad schema name.
pub fn streams(state_schema: &str) -> Result<String> {
    let schema = name(state_schema)?;
    let table = text(&format!("{schema}.[checkpoint]"));
    Ok(format!(
        "DECLARE @prefix nvarchar(250) = @P1;
IF OBJECT_ID({table}) IS NULL RETURN;
SELECT c.[pipeline],
       (SELECT DATEDIFF_BIG(microsecond, CONVERT(datetime2(6), N'1970-01-01', 126), MAX(r.[started_at]))
          FROM {schema}.[run] AS r WHERE r.[pipeline] = c.[pipeline] AND r.[outcome] NOT IN (N'skipped', N'replayed')) AS [started]
  FROM {schema}.[checkpoint] AS c
 WHERE LEFT(c.[pipeline], LEN(@prefix)) = @prefix;"
    ))
}

/// What the ledger counts for a run. `@P1` run.
///
/// # Errors
/// `Config` for a bad schema name.
pub fn totals(state_schema: &str) -> Result<String> {
    let schema = name(state_schema)?;
    Ok(format!(
        "SELECT [rows_written], [rows_updated], [rows_deleted], [rows_unchanged] FROM {schema}.[run] WHERE [run_id] = @P1;"
    ))
}

/// Extends the lease: one row back if the pipeline is ours. `@P1` name, `@P2` run, `@P3`
/// sequence, `@P4` lease in milliseconds.
///
/// # Errors
/// `Config` for a bad schema name.
pub fn renew(state_schema: &str) -> Result<String> {
    let schema = name(state_schema)?;
    Ok(format!(
        "UPDATE {schema}.[checkpoint] SET [lease_until] = DATEADD(millisecond, @P4, SYSUTCDATETIME())
OUTPUT inserted.[sequence]
 WHERE [pipeline] = @P1 AND [run_id] = @P2 AND [sequence] = @P3;"
    ))
}

/// Gives the lease back and writes the ledger row. The parameters are named in its first line.
///
/// # Errors
/// `Config` for a bad schema name.
pub fn finish(state_schema: &str) -> Result<String> {
    let schema = name(state_schema)?;
    Ok(format!(
        "SET XACT_ABORT ON; SET NOCOUNT ON;
DECLARE @pipeline nvarchar(250) = @P1, @run_id uniqueidentifier = @P2, @outcome nvarchar(20) = @P3, @horizon nvarchar(40) = NULLIF(@P4, N''), @class nvarchar(20) = NULLIF(@P5, N''), @code nvarchar(20) = NULLIF(@P6, N''), @duration_ms int = @P7;
BEGIN TRANSACTION;
UPDATE {schema}.[checkpoint] SET [lease_until] = NULL WHERE [pipeline] = @pipeline AND [run_id] = @run_id;
UPDATE {schema}.[run] SET [finished_at] = SYSUTCDATETIME(), [outcome] = @outcome, [source_horizon] = CONVERT(datetime2(6), @horizon, 126), [error_class] = @class, [error_code] = @code WHERE [run_id] = @run_id;
IF @@ROWCOUNT = 0
INSERT INTO {schema}.[run] ([run_id], [pipeline], [started_at], [finished_at], [outcome], [rows_read], [rows_written], [rows_updated], [rows_deleted], [rows_unchanged], [rows_reread], [rows_quarantined], [source_horizon], [error_class], [error_code])
VALUES (@run_id, @pipeline, DATEADD(millisecond, -@duration_ms, SYSUTCDATETIME()), SYSUTCDATETIME(), @outcome, 0, 0, 0, 0, 0, 0, 0, NULL, @class, @code);
COMMIT TRANSACTION;"
    ))
}

/// Moves the checkpoint by hand. `@P1` name, `@P2` what (`position` or `definition`), `@P3` the
/// new text, empty for none. The row before it comes back.
///
/// # Errors
/// `Config` for a bad schema name.
pub fn change(state_schema: &str) -> Result<String> {
    let schema = name(state_schema)?;
    let table = text(&format!("{schema}.[checkpoint]"));
    Ok(format!(
        "SET XACT_ABORT ON; SET NOCOUNT ON;
DECLARE @pipeline nvarchar(250) = @P1, @what nvarchar(20) = @P2, @text nvarchar(max) = NULLIF(@P3, N'');
DECLARE @lock int, @resource nvarchar(255) = N'etl:' + @P1;
IF OBJECT_ID({table}) IS NULL RETURN;
BEGIN TRANSACTION;
{TAKE_LOCK}
SELECT [sequence], [position], [definition], [rows_total], [generation], [phase] FROM {schema}.[checkpoint] WITH (UPDLOCK) WHERE [pipeline] = @pipeline;
UPDATE {schema}.[checkpoint]
   SET [position] = CASE WHEN @what = N'position' THEN @text ELSE [position] END,
       [definition] = CASE WHEN @what = N'definition' THEN @text WHEN @text IS NULL THEN NULL ELSE [definition] END,
       [phase] = CASE WHEN @what = N'position' THEN N'idle' ELSE [phase] END,
       [sequence] = [sequence] + 1, [run_id] = NULL, [lease_until] = NULL, [updated_at] = SYSUTCDATETIME()
 WHERE [pipeline] = @pipeline;
COMMIT TRANSACTION;"
    ))
}

pub(super) const TAKE_LOCK: &str = "EXEC @lock = sys.sp_getapplock @Resource = @resource, @LockMode = N'Exclusive', @LockOwner = N'Transaction', @LockTimeout = 30000;
IF @lock IN (-1, -2, -3) THROW 51000, N'the pipeline lock was not granted', 1;
IF @lock < 0 THROW 51002, N'the pipeline lock could not be asked for', 1;";

pub(super) const COUNT_STAGE: &str =
    "IF (SELECT COUNT_BIG(*) FROM [#stage]) <> @rows THROW 51003, N'not all rows were staged', 1;
";

/// The commit batch around the statements that apply the stage.
///
/// `@P1` name, `@P2` run, `@P3` sequence, `@P4` position, `@P5` definition, `@P6` lease in
/// milliseconds, `@P7` rows, `@P8` upserts among them, `@P9` rows read, `@P10` rows read again.
fn commit(state_schema: &str, apply: &str) -> Result<Transaction> {
    debug_assert_eq!(own::LOCK_NOT_GRANTED, 51_000);
    let schema = name(state_schema)?;
    let (check, apply) = apply.split_at(if apply.is_empty() { 0 } else { COUNT_STAGE.len() });
    let body = format!(
        "SET XACT_ABORT ON; SET NOCOUNT ON; SET DEADLOCK_PRIORITY LOW;
DECLARE @pipeline nvarchar(250) = @P1, @run_id uniqueidentifier = @P2, @sequence bigint = @P3, @position nvarchar(max) = @P4, @definition nvarchar(max) = @P5, @lease_ms int = @P6, @rows bigint = @P7, @upserts bigint = @P8, @read bigint = @P9, @reread bigint = @P10;
DECLARE @lock int, @resource nvarchar(255) = N'etl:' + @P1, @deleted bigint = 0, @updated bigint = 0, @inserted bigint = 0;
{check}BEGIN TRANSACTION;
{TAKE_LOCK}
UPDATE {schema}.[checkpoint]
   SET [position] = @position, [phase] = N'idle', [definition] = @definition, [sequence] = [sequence] + 1, [rows_total] = [rows_total] + @rows, [lease_until] = DATEADD(millisecond, @lease_ms, SYSUTCDATETIME()), [updated_at] = SYSUTCDATETIME()
 WHERE [pipeline] = @pipeline AND [sequence] = @sequence AND [run_id] = @run_id;
IF @@ROWCOUNT <> 1 THROW 51001, N'the checkpoint moved', 1;
{apply}UPDATE {schema}.[run]
   SET [rows_read] = [rows_read] + @read, [rows_reread] = [rows_reread] + @reread, [rows_written] = [rows_written] + @inserted + @updated, [rows_updated] = [rows_updated] + @updated,
       [rows_deleted] = [rows_deleted] + @deleted, [rows_unchanged] = [rows_unchanged] + @upserts - @inserted - @updated
 WHERE [run_id] = @run_id;
"
    );
    let answer = "SELECT @deleted AS [deleted], @updated AS [updated], @inserted AS [inserted];";
    Ok(Transaction::new(body, answer))
}

/// The statements of a commit on an empty stage, rolled back: every right is used, nothing stays.
///
/// # Errors
/// `Config` for bad names.
pub fn trial(target: &Target) -> Result<String> {
    Ok(format!(
        "SET XACT_ABORT ON; SET NOCOUNT ON;
DECLARE @deleted bigint = 0, @updated bigint = 0, @inserted bigint = 0;
BEGIN TRANSACTION;
{}ROLLBACK TRANSACTION;
SELECT @inserted AS [inserted];",
        apply(target)?
    ))
}
