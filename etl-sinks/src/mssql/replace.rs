//! A stage that is kept in the database, and how it becomes the target.

use etl_core::sink::{Counts, Fence};
use etl_core::{Batch, Error, Result, fail_point};
use etl_sql::mssql::connect::required;
use etl_sql::mssql::error::{Phase, own};
use etl_sql::mssql::quote::name;
use etl_sql::mssql::target::Target;

use super::apply::{From, apply, insert, join, unaltered, update};
use super::sink::{Ends, MssqlSink, milliseconds, signed, unsigned};
use super::statements::{COUNT_STAGE, TAKE_LOCK, Transaction};
use crate::step::empty_load;

/// Statements of one stream that replaces.
#[derive(Debug, Clone)]
pub struct Replace {
    /// Makes a batch's rows durable in the stage, and the position.
    pub load: Transaction,
    /// Makes a position durable without rows.
    pub load_position: Transaction,
    /// Brings the target to what the stage holds.
    pub apply: String,
}

impl Replace {
    /// The statements for a target and a stage as they were found.
    ///
    /// # Errors
    /// `Config` for bad names.
    pub fn new(state_schema: &str, target: &Target, stage: &Target) -> Result<Self> {
        let table = stage.table.quoted()?;
        let rows = apply(stage)?;
        Ok(Self {
            load: load(state_schema, &table, COUNT_STAGE, &rows)?,
            load_position: load(state_schema, &table, "", "")?,
            apply: replace(state_schema, target, &table)?,
        })
    }
}

/// `@P1` name, `@P2` run, `@P3` sequence, `@P4` generation, `@P5` definition, `@P6` lease in
/// milliseconds, `@P7` position, `@P8` rows, `@P9` rows read, `@P10` rows read again.
fn load(state_schema: &str, stage: &str, check: &str, rows: &str) -> Result<Transaction> {
    let schema = name(state_schema)?;
    let reach = reach(&schema, "[position] = @position, [phase] = N'loading'", stage);
    let body = format!(
        "{BEGIN}, @position nvarchar(max) = @P7, @rows bigint = @P8, @read bigint = @P9, @reread bigint = @P10;
{VARIABLES}
{check}{reach}{rows}UPDATE {schema}.[run] SET [rows_read] = [rows_read] + @read, [rows_reread] = [rows_reread] + @reread WHERE [run_id] = @run_id;
"
    );
    Ok(Transaction::new(body, "SELECT @begins AS [begins];"))
}

/// `@P1` name, `@P2` run, `@P3` sequence, `@P4` generation, `@P5` definition, `@P6` lease in
/// milliseconds, `@P7` whether the target may become empty.
fn replace(state_schema: &str, target: &Target, stage: &str) -> Result<String> {
    let (schema, table) = (name(state_schema)?, target.table.quoted()?);
    let (from, target) = (From::Load(stage.to_owned()), &target.under_own_names()?);
    let reach = reach(&schema, "[phase] = N'idle'", stage);
    Ok(format!(
        "{BEGIN}, @allow_empty bit = @P7;
{VARIABLES}
DECLARE @staged bigint;
{reach}SET @staged = (SELECT COUNT_BIG(*) FROM {stage});
IF @staged = 0 AND @allow_empty = 0 AND EXISTS (SELECT 1 FROM {table}) THROW {}, N'the load has no row', 1;
DELETE t FROM {table} AS t WHERE NOT EXISTS (SELECT 1 FROM {stage} AS s WHERE {});
SET @deleted = @@ROWCOUNT;
{}{}{}UPDATE {schema}.[checkpoint] SET [rows_total] = [rows_total] + @deleted + @updated + @inserted, [lease_until] = DATEADD(millisecond, @lease_ms, SYSUTCDATETIME()) WHERE [pipeline] = @pipeline;
UPDATE {schema}.[run]
   SET [rows_written] = [rows_written] + @inserted + @updated, [rows_updated] = [rows_updated] + @updated,
       [rows_deleted] = [rows_deleted] + @deleted, [rows_unchanged] = [rows_unchanged] + @staged - @inserted - @updated
 WHERE [run_id] = @run_id;
DELETE FROM {schema}.[quarantine] WHERE [pipeline] = @pipeline AND [generation] <> @generation;
COMMIT TRANSACTION;
SELECT @deleted AS [deleted], @updated AS [updated], @inserted AS [inserted], @staged AS [staged];",
        own::LOAD_EMPTY,
        join(target, &from)?,
        update(target, &from)?,
        insert(target, &from)?,
        unaltered(target)?,
    ))
}

const BEGIN: &str = "SET XACT_ABORT ON; SET NOCOUNT ON; SET DEADLOCK_PRIORITY LOW;
DECLARE @pipeline nvarchar(250) = @P1, @run_id uniqueidentifier = @P2, @sequence bigint = @P3, @generation bigint = @P4, @definition nvarchar(max) = @P5, @lease_ms int = @P6";

const VARIABLES: &str = "DECLARE @lock int, @resource nvarchar(255) = N'etl:' + @P1, @begins bit = 1, @deleted bigint = 0, @updated bigint = 0, @inserted bigint = 0;";

/// Moves the checkpoint, if it stands at the fence. A load that begins finds an empty stage: `DELETE`,
/// since `TRUNCATE` takes the right to alter the table.
fn reach(schema: &str, sets: &str, stage: &str) -> String {
    format!(
        "BEGIN TRANSACTION;
{TAKE_LOCK}
IF EXISTS (SELECT 1 FROM {schema}.[checkpoint] WHERE [pipeline] = @pipeline AND [generation] = @generation AND [phase] = N'loading') SET @begins = 0;
UPDATE {schema}.[checkpoint]
   SET {sets}, [generation] = @generation, [definition] = @definition, [sequence] = [sequence] + 1, [lease_until] = DATEADD(millisecond, @lease_ms, SYSUTCDATETIME()), [updated_at] = SYSUTCDATETIME()
 WHERE [pipeline] = @pipeline AND [sequence] = @sequence AND [run_id] = @run_id;
IF @@ROWCOUNT <> 1 THROW {}, N'the checkpoint moved', 1;
IF @begins = 1 DELETE FROM {stage};
",
        own::CHECKPOINT_MOVED
    )
}

impl MssqlSink {
    /// Sends a batch to the stage.
    pub(super) async fn send_load(
        &mut self,
        batch: &Batch,
        fence: &Fence,
        ends: Ends,
    ) -> Result<Counts> {
        let doing = self.doing("loading a batch");
        let mut connection = self.staged(&batch.changes).await?;
        let beside = self.beside(&mut connection, &batch.aside).await?;
        let replace = self.replacing()?;
        let empty = batch.changes.is_empty();
        let sql = if empty { &replace.load_position } else { &replace.load };
        let (sql, phase) = ends.of(sql, &beside);
        let row = fail_point!(
            "mssql.replace.load.sent",
            connection.query_row(
                &sql,
                &[
                    &self.link.name.as_str(),
                    &fence.run,
                    &fence.sequence,
                    &fence.generation,
                    &fence.definition.as_str(),
                    &milliseconds(fence.ttl),
                    &batch.position.as_str(),
                    &signed(batch.changes.len())?,
                    &signed(batch.progress.read)?,
                    &signed(batch.progress.reread)?,
                ],
                phase,
                &doing,
            )
        )?;
        row.ok_or_else(|| Error::unknown(format!("{doing}: no answer")))?;
        fail_point!("mssql.replace.load.answered");
        self.link.keep(connection);
        Ok(Counts::default())
    }

    /// Brings the target to what the stage holds, and reads what that did.
    pub(super) async fn send_apply(&mut self, fence: &Fence) -> Result<Counts> {
        let doing = self.doing("replacing the target");
        let mut connection = self.link.take().await?;
        let row = fail_point!(
            "mssql.replace.apply.sent",
            connection.query_row(
                &self.replacing()?.apply,
                &[
                    &self.link.name.as_str(),
                    &fence.run,
                    &fence.sequence,
                    &fence.generation,
                    &fence.definition.as_str(),
                    &milliseconds(fence.ttl),
                    &self.link.stream.allow_empty,
                ],
                Phase::Commit,
                &doing,
            )
        )
        .map_err(|error| self.explain(error))?
        .ok_or_else(|| Error::unknown(format!("{doing}: the answer holds no counts")))?;
        fail_point!("mssql.replace.apply.answered");
        let count = |column| required::<i64>(&row, column).map(unsigned);
        let (inserted, updated) = (count("inserted")?, count("updated")?);
        let (deleted, staged) = (count("deleted")?, count("staged")?);
        self.link.keep(connection);
        let unchanged = staged.saturating_sub(inserted + updated);
        Ok(Counts { inserted, updated, deleted, unchanged })
    }

    fn explain(&self, error: Error) -> Error {
        if error.code() == Some(own::LOAD_EMPTY.to_string().as_str()) {
            return empty_load(&self.link.name, &self.link.stream.object);
        }
        error
    }

    fn replacing(&self) -> Result<&Replace> {
        let replace = self.opened()?.replace.as_ref();
        replace.ok_or_else(|| Error::internal(format!("{}: it has no stage", self.link.name)))
    }
}
