//! The run's side: claim, stage, commit, finish.

use std::time::Duration;

use async_trait::async_trait;
use etl_core::connector::Stream;
use etl_core::schema::StreamSchema;
use etl_core::sink::{Checkpoint, Claim, Counts, Fence, Lease, Run, RunReport, Sink};
use etl_core::{Batch, Class, Definition, Error, Position, Result};
use etl_sql::mssql::MssqlConfig;
use etl_sql::mssql::bulk;
use etl_sql::mssql::connect::{Connection, required, value};
use etl_sql::mssql::error::Phase;
use etl_sql::mssql::target::Target;
use tiberius::{Row, Uuid};

use super::Link;
use super::statements::{self, STAGE, Statements};

/// One stream's way into SQL Server: one connection, thrown away after any error.
pub struct MssqlSink {
    pub(super) link: Link,
    opened: Option<Opened>,
    /// What the ledger counts for our run, as far as we know.
    known: Totals,
}

/// What `open` found out.
struct Opened {
    target: Target,
    statements: Statements,
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
        let link = Link { config, stream, name, connection: None, staged: false };
        Ok(Self { link, opened: None, known: Totals::default() })
    }

    fn opened(&self) -> Result<&Opened> {
        self.opened
            .as_ref()
            .ok_or_else(|| Error::internal(format!("{}: the sink was not opened", self.link.name)))
    }

    fn doing(&self, what: &str) -> String {
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
        self.link.staged = true;
        Ok(connection)
    }

    /// Sends the commit batch and reads what it did.
    async fn send_commit(&mut self, batch: &Batch, fence: &Fence) -> Result<Counts> {
        let doing = self.doing("committing a batch");
        let changes = &batch.changes;
        let mut connection = if changes.is_empty() {
            self.link.take().await?
        } else {
            let connection = self.staging().await?;
            bulk::load(connection, STAGE, &self.opened()?.target, changes).await?
        };
        let statements = &self.opened()?.statements;
        let sql = if changes.is_empty() { &statements.commit_position } else { &statements.commit };
        let rows = signed(changes.len())?;
        let upserts = signed(changes.len() - changes.delete_count())?;
        let row = connection
            .query_row(
                sql,
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
                Phase::Commit,
                &doing,
            )
            .await?
            .ok_or_else(|| Error::unknown(format!("{doing}: the answer holds no counts")))?;
        let count = |column| required::<i64>(&row, column);
        let (deleted, updated, inserted) =
            (count("deleted")?, count("updated")?, count("inserted")?);
        let unchanged = upserts - inserted - updated;
        self.link.keep(connection);
        self.known.written += inserted + updated;
        self.known.updated += updated;
        self.known.deleted += deleted;
        self.known.unchanged += unchanged;
        Ok(Counts {
            inserted: unsigned(inserted),
            updated: unsigned(updated),
            deleted: unsigned(deleted),
            unchanged: unsigned(unchanged),
        })
    }

    /// The checkpoint is not at our fence: either an earlier try of ours had committed, or
    /// somebody else moved it. The commit batch has waited for the pipeline's lock, so no
    /// earlier transaction of ours is still under way.
    async fn resolve(&mut self, batch: &Batch, fence: &Fence, error: Error) -> Result<Counts> {
        let mut connection = self.link.take().await?;
        let doing = self.doing("looking whether an earlier try had committed");
        let row = look(&mut connection, &self.link, &doing).await?;
        // The position as well: a claim of ours that arrives late bumps the sequence, too.
        let ours = value::<Uuid>(&row, "run_id")? == Some(fence.run)
            && required::<i64>(&row, "sequence")? == fence.sequence + 1
            && value::<&str>(&row, "position")? == Some(batch.position.as_str());
        if !ours {
            return Err(Error::fenced(format!(
                "{}: another run or a person moved the checkpoint; nothing of this batch was written",
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
        let mut connection = self.link.take().await?;
        let target = planned.found(&mut connection).await?;
        let statements = Statements::new(&self.link.config.state_schema, &target)?;
        self.opened = Some(Opened { target, statements });
        // A table of another shape may wait under the stage's name in this session.
        drop(connection);
        Ok(())
    }

    async fn claim(&mut self, run: &Run) -> Result<Claim> {
        let mut connection = self.link.take().await?;
        let doing = self.doing("claiming the pipeline");
        let sql = statements::claim(&self.link.config.state_schema)?;
        let row = connection
            .query_row(
                &sql,
                &[&self.link.name.as_str(), &run.id, &milliseconds(run.ttl), &run.waited],
                Phase::Repeatable,
                &doing,
            )
            .await?;
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
        match self.send_commit(batch, fence).await {
            Err(error) if error.class() == Class::Fenced => self.resolve(batch, fence, error).await,
            other => other,
        }
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
        connection
            .query(
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
            .await?;
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
        .ok_or_else(|| {
            Error::config(format!(
                "{doing}: {} has no row in [{}].[checkpoint]; run mssql-init with this pipeline file",
                link.name, link.config.state_schema
            ))
        })
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

fn milliseconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

fn signed<T: TryInto<i64>>(count: T) -> Result<i64> {
    count.try_into().map_err(|_| Error::internal("a count does not fit 64 bits"))
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

/// ISO 8601 without zone, as style 126 of CONVERT reads it.
fn timestamp_text(micros: i64) -> String {
    chrono::DateTime::from_timestamp_micros(micros)
        .map(|time| time.format("%Y-%m-%dT%H:%M:%S%.6f").to_string())
        .unwrap_or_default()
}
