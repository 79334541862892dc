//! The run's side: claim, stage, commit, finish.

use std::time::Duration;

use async_trait::async_trait;
use etl_core::connector::{Mode, Stream};
use etl_core::schema::StreamSchema;
use etl_core::sink::{self, Checkpoint, Claim, Counts, Fence, Lease, Run, RunReport, Sink};
use etl_core::{
    Batch, Changes, Class, Definition, Error, Position, Progress, Rejected, Result, fail_point,
};
use etl_sql::mssql::MssqlConfig;
use etl_sql::mssql::bulk;
use etl_sql::mssql::connect::{Connection, required, value};
use etl_sql::mssql::error::{Phase, own};
use etl_sql::mssql::target::Target;
use tiberius::{Row, Uuid};

use super::Link;
use super::replace::Replace;
use super::statements::{self, STAGE, Statements, Transaction};
use crate::altered;
use crate::step::Step;

/// One stream's way into SQL Server: one connection, thrown away after any error.
pub struct MssqlSink {
    pub(super) link: Link,
    opened: Option<Opened>,
    /// What the ledger counts for our run, as far as we know.
    known: Totals,
}

/// What `open` found out.
pub(super) struct Opened {
    /// Where batches go.
    target: Target,
    statements: Statements,
    /// Where they go from there, in a stream that replaces.
    pub(super) replace: Option<Replace>,
    schema: StreamSchema,
}

/// How a transaction ends that did everything of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    Commit,
    /// Taken back: the server puts no check off.
    Probe,
}

impl Ends {
    /// The batch to send, and what an answer that does not come means.
    pub(super) fn of(self, transaction: &Transaction, beside: &str) -> (String, Phase) {
        match self {
            Self::Commit => (transaction.commit(beside), Phase::Commit),
            Self::Probe => (transaction.probe(), Phase::Repeatable),
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    written: i64,
    updated: i64,
    deleted: i64,
    unchanged: i64,
}

impl MssqlSink {
    /// A sink for a stream; nothing is opened.
    ///
    /// # Errors
    /// `Config` if the target's name cannot be used.
    pub fn new(config: MssqlConfig, stream: &Stream) -> Result<Self> {
        etl_sql::mssql::quote::TableName::parse(&stream.config.object)?;
        let (name, stream) = (stream.full_name(), stream.config.clone());
        let link = Link { config, stream, name, connection: None, staged: false, parks: false };
        Ok(Self { link, opened: None, known: Totals::default() })
    }

    pub(super) fn opened(&self) -> Result<&Opened> {
        self.opened
            .as_ref()
            .ok_or_else(|| Error::internal(format!("{}: the sink was not opened", self.link.name)))
    }

    pub(super) fn doing(&self, what: &str) -> String {
        format!("{}: {what}", self.link.name)
    }

    /// A connection that has a staging table.
    async fn staging(&mut self) -> Result<Connection> {
        let mut connection = self.link.take().await?;
        let doing = self.doing("preparing the staging table");
        let statements = &self.opened()?.statements;
        let sql =
            if self.link.staged { &statements.truncate_stage } else { &statements.create_stage };
        connection.batch(sql, &doing).await?;
        fail_point!("mssql.stage.empty");
        self.link.staged = true;
        Ok(connection)
    }

    /// A connection whose staging table has these rows; it may have none if there are none.
    pub(super) async fn staged(&mut self, changes: &Changes) -> Result<Connection> {
        if changes.is_empty() {
            return self.link.take().await;
        }
        let connection = self.staging().await?;
        bulk::load(connection, STAGE, &self.opened()?.target, changes).await
    }

    /// Sends the commit batch and reads what it did.
    async fn send_commit(&mut self, batch: &Batch, fence: &Fence, ends: Ends) -> Result<Counts> {
        let doing = self.doing("committing a batch");
        let changes = &batch.changes;
        let mut connection = self.staged(changes).await?;
        let beside = self.beside(&mut connection, &batch.aside).await?;
        let statements = &self.opened()?.statements;
        let sql = if changes.is_empty() { &statements.commit_position } else { &statements.commit };
        let (sql, phase) = ends.of(sql, &beside);
        let rows = signed(changes.len())?;
        let upserts = signed(changes.len() - changes.delete_count())?;
        let row = fail_point!(
            "mssql.commit.sent",
            connection.query_row(
                &sql,
                &[
                    &self.link.name.as_str(),
                    &fence.run,
                    &fence.sequence,
                    &batch.position.as_str(),
                    &fence.definition.as_str(),
                    &milliseconds(fence.ttl),
                    &rows,
                    &upserts,
                    &signed(batch.progress.read)?,
                    &signed(batch.progress.reread)?,
                ],
                phase,
                &doing,
            )
        )?
        .ok_or_else(|| Error::unknown(format!("{doing}: the answer holds no counts")))?;
        fail_point!("mssql.commit.answered");
        let count = |column| required::<i64>(&row, column);
        let (deleted, updated, inserted) =
            (count("deleted")?, count("updated")?, count("inserted")?);
        let unchanged = upserts - inserted - updated;
        self.link.keep(connection);
        Ok(Counts {
            inserted: unsigned(inserted),
            updated: unsigned(updated),
            deleted: unsigned(deleted),
            unchanged: unsigned(unchanged),
        })
    }

    /// What the server refused because the target was altered, said by what the target is now.
    async fn explained(&mut self, counts: Result<Counts>) -> Result<Counts> {
        let Err(error) = counts else { return counts };
        let Some(opened) = self.opened.as_ref().filter(|_| altered::may_be(&error)) else {
            return Err(error);
        };
        let (schema, before) = (opened.schema.clone(), opened.target.altered.clone());
        let seen = error.code() == Some(own::TARGET_ALTERED.to_string().as_str());
        let looked = self.open(&schema).await;
        let changed = seen || self.opened()?.target.altered != before;
        Err(altered::explained(&self.link.name, error, changed, looked))
    }

    /// Sends a batch to the target, or to the stage of one that is replaced.
    async fn send(&mut self, batch: &Batch, fence: &Fence, ends: Ends) -> Result<Counts> {
        if self.replaces() {
            self.send_load(batch, fence, ends).await
        } else {
            self.send_commit(batch, fence, ends).await
        }
    }

    /// Remembers what a step did; where the fence was refused, finds out whether an earlier try of
    /// the same step had done it.
    async fn known(
        &mut self,
        step: Step<'_>,
        fence: &Fence,
        sent: Result<Counts>,
    ) -> Result<Counts> {
        let counts = match sent {
            Err(error) if error.class() == Class::Fenced => {
                return self.resolve(step, fence, error).await;
            }
            other => other?,
        };
        let Counts { inserted, updated, deleted, unchanged } = counts;
        self.known.written += signed(inserted + updated)?;
        self.known.updated += signed(updated)?;
        self.known.deleted += signed(deleted)?;
        self.known.unchanged += signed(unchanged)?;
        Ok(counts)
    }

    /// The checkpoint is not at our fence: either an earlier try of ours had committed, or
    /// somebody else moved it. The commit batch has waited for the pipeline's lock, so no
    /// earlier transaction of ours is still under way.
    async fn resolve(&mut self, step: Step<'_>, fence: &Fence, error: Error) -> Result<Counts> {
        let mut connection = self.link.take().await?;
        let doing = self.doing("looking whether an earlier try had committed");
        let row = look(&mut connection, &self.link, &doing).await?;
        let ours = value::<Uuid>(&row, "run_id")? == Some(fence.run);
        if !ours || !step.left(&checkpoint(&row)?, fence) {
            return Err(Error::fenced(format!(
                "{}: another run or a person moved the checkpoint; nothing of this was written",
                self.link.name
            ))
            .with_code(error.code().unwrap_or_default()));
        }
        let sql = statements::totals(&self.link.config.state_schema)?;
        let row = connection
            .query_row(&sql, &[&fence.run], Phase::Repeatable, &doing)
            .await?
            .ok_or_else(|| Error::internal(format!("{doing}: the run has no ledger row")))?;
        let now = totals(&row)?;
        let before = std::mem::replace(&mut self.known, now);
        self.link.keep(connection);
        let updated = now.updated - before.updated;
        Ok(Counts {
            inserted: unsigned(now.written - before.written - updated),
            updated: unsigned(updated),
            deleted: unsigned(now.deleted - before.deleted),
            unchanged: unsigned(now.unchanged - before.unchanged),
        })
    }
}

#[async_trait]
impl Sink for MssqlSink {
    async fn open(&mut self, schema: &StreamSchema) -> Result<()> {
        let planned = self.link.planned(schema)?;
        let state_schema = &self.link.config.state_schema;
        let stage = planned.stage(state_schema)?;
        let doing = self.doing("looking at the state tables");
        let mut connection = self.link.take().await?;
        let found = planned.found(&mut connection).await?;
        let state_schema = &self.link.config.state_schema;
        let (target, replace) = match stage {
            Some(stage) => {
                let stage = stage.found(&mut connection).await?;
                let replace = Replace::new(state_schema, &found, &stage)?;
                (stage, Some(replace))
            }
            None => (found, None),
        };
        let statements = Statements::new(state_schema, &target)?;
        let schema = schema.clone();
        self.opened = Some(Opened { target, statements, replace, schema });
        // Whether they are there at all, the claim says.
        self.link.has_state(&mut connection, &doing).await?;
        // A table of another shape may wait under the stage's name in this session.
        drop(connection);
        Ok(())
    }

    async fn claim(&mut self, run: &Run) -> Result<Claim> {
        let mut connection = self.link.take().await?;
        let doing = self.doing("claiming the pipeline");
        let sql = statements::claim(&self.link.config.state_schema)?;
        let row = fail_point!(
            "mssql.claim.sent",
            connection.query_row(
                &sql,
                &[&self.link.name.as_str(), &run.id, &milliseconds(run.ttl), &run.waited],
                Phase::Repeatable,
                &doing,
            )
        )?;
        fail_point!("mssql.claim.answered");
        let claim = match row {
            Some(row) => Claim::Claimed(checkpoint(&row)?),
            None => Claim::Busy(lease(&look(&mut connection, &self.link, &doing).await?)?),
        };
        if matches!(claim, Claim::Claimed(_)) {
            // A run that claims again has counts already.
            let sql = statements::totals(&self.link.config.state_schema)?;
            let row = connection.query_row(&sql, &[&run.id], Phase::Repeatable, &doing).await?;
            self.known = row.as_ref().map(totals).transpose()?.unwrap_or_default();
        }
        self.link.keep(connection);
        Ok(claim)
    }

    async fn commit(&mut self, batch: &Batch, fence: &Fence) -> Result<Counts> {
        let step = Step::commit(self.link.stream.mode, batch);
        let sent = self.send(batch, fence, Ends::Commit).await;
        let counts = self.known(step, fence, sent).await;
        self.explained(counts).await
    }

    async fn probe(&mut self, changes: &Changes, fence: &Fence) -> Result<()> {
        let batch = Batch::new(changes.clone(), Position::encode(&())?, Progress::default());
        self.send(&batch, fence, Ends::Probe).await.map(drop)
    }

    async fn quarantined(&mut self) -> Result<Vec<Rejected>> {
        Ok(self.entries().await?.into_iter().map(|entry| entry.rejected).collect())
    }

    fn replaces(&self) -> bool {
        self.link.stream.mode == Mode::Replace
    }

    async fn apply(&mut self, fence: &Fence) -> Result<Counts> {
        let sent = self.send_apply(fence).await;
        let counts = self.known(Step::Apply, fence, sent).await;
        self.explained(counts).await
    }

    async fn renew(&mut self, fence: &Fence) -> Result<()> {
        let mut connection = self.link.take().await?;
        let doing = self.doing("renewing the lease");
        let sql = statements::renew(&self.link.config.state_schema)?;
        let row = connection
            .query_row(
                &sql,
                &[&self.link.name.as_str(), &fence.run, &fence.sequence, &milliseconds(fence.ttl)],
                Phase::Repeatable,
                &doing,
            )
            .await?;
        self.link.keep(connection);
        match row {
            Some(_) => Ok(()),
            None => Err(Error::fenced(format!("{doing}: another run or a person took it over"))),
        }
    }

    async fn finish(&mut self, report: &RunReport) -> Result<()> {
        let mut connection = self.link.take().await?;
        let doing = self.doing("writing the run's ledger row");
        let sql = statements::finish(&self.link.config.state_schema)?;
        let horizon = report.horizon_micros.map(timestamp_text).unwrap_or_default();
        let class = report.error_class.map_or("", Class::as_str);
        let code: String =
            report.error_code.as_deref().unwrap_or_default().chars().take(20).collect();
        fail_point!(
            "mssql.finish.sent",
            connection.query(
                &sql,
                &[
                    &self.link.name.as_str(),
                    &report.run,
                    &report.outcome.as_str(),
                    &horizon.as_str(),
                    &class,
                    &code.as_str(),
                    &milliseconds(report.duration),
                ],
                Phase::Repeatable,
                &doing,
            )
        )?;
        self.link.keep(connection);
        Ok(())
    }
}

/// The checkpoint's row.
pub(super) async fn look(connection: &mut Connection, link: &Link, doing: &str) -> Result<Row> {
    let sql = statements::look(&link.config.state_schema)?;
    connection
        .query_row(&sql, &[&link.name.as_str()], Phase::Repeatable, doing)
        .await?
        .ok_or_else(|| link.unprepared(doing))
}

fn totals(row: &Row) -> Result<Totals> {
    let total = |column| required::<i64>(row, column);
    Ok(Totals {
        written: total("rows_written")?,
        updated: total("rows_updated")?,
        deleted: total("rows_deleted")?,
        unchanged: total("rows_unchanged")?,
    })
}

pub(super) fn checkpoint(row: &Row) -> Result<Checkpoint> {
    let text = |column| value::<&str>(row, column);
    Ok(Checkpoint {
        sequence: required(row, "sequence")?,
        position: text("position")?.map(Position::from_text).transpose()?,
        definition: text("definition")?.map(Definition::from_text).transpose()?,
        rows_total: required(row, "rows_total")?,
        generation: required(row, "generation")?,
        phase: sink::Phase::from_text(required(row, "phase")?)?,
    })
}

fn lease(row: &Row) -> Result<Lease> {
    let holder = value::<Uuid>(row, "run_id")?;
    let until = value::<&str>(row, "lease")?;
    let remaining = u64::try_from(required::<i32>(row, "remaining_ms")?).unwrap_or(0);
    let skipped = value::<i32>(row, "skipped_seconds")?.unwrap_or(0);
    Ok(Lease {
        token: match (holder, until) {
            (Some(holder), Some(until)) => format!("{holder} {until}"),
            _ => String::new(),
        },
        holder,
        remaining: Duration::from_millis(remaining),
        skipped_for: Duration::from_secs(u64::try_from(skipped).unwrap_or(0)),
    })
}

pub(super) fn milliseconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

pub(super) fn signed<T: TryInto<i64>>(count: T) -> Result<i64> {
    count.try_into().map_err(|_| Error::internal("a count does not fit 64 bits"))
}

pub(super) fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

/// ISO 8601 without zone, as style 126 of CONVERT reads it.
fn timestamp_text(micros: i64) -> String {
    chrono::DateTime::from_timestamp_micros(micros)
        .map(|time| time.format("%Y-%m-%dT%H:%M:%S%.6f").to_string())
        .unwrap_or_default()
}
