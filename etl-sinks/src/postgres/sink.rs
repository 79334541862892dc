//! The run's side: claim, stage, commit, finish. Each is one transaction.

use std::time::Duration;

use async_trait::async_trait;
use etl_core::connector::{Mode, Stream};
use etl_core::schema::StreamSchema;
use etl_core::sink::{Claim, Counts, Fence, Run, RunReport, Sink};
use etl_core::{Batch, Changes, Class, Error, Position, Progress, Rejected, Result, fail_point};
use etl_sql::postgres::bulk;
use etl_sql::postgres::quote::TableName;
use etl_sql::postgres::session::Session;
use etl_sql::postgres::shape::Shape;
use etl_sql::postgres::target::Target;
use sqlx::AssertSqlSafe;

use super::apply::Statements;
use super::replace::Replace;
use super::state::{self, checkpoint, lease, look};
use super::{Link, PostgresTarget, aside, statements};
use crate::altered;
use crate::step::Step;

/// One stream's way into Postgres: one connection, thrown away after any error.
pub struct PostgresSink {
    pub(super) link: Link,
    opened: Option<Opened>,
    /// What the ledger counts for our run, as far as we know.
    known: Counts,
}

/// How a transaction ends that did everything of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    Commit,
    /// Rolled back, after what is put off until a commit was checked.
    Probe,
}

/// What `open` found out.
struct Opened {
    /// Where batches go.
    target: Target,
    statements: Statements,
    /// Where they go from there, in a stream that replaces.
    replace: Option<Replace>,
    /// What the tables looked like: where batches go, and the target itself.
    shapes: (Shape, Shape),
    schema: StreamSchema,
}

impl PostgresSink {
    /// A sink for a stream; nothing is opened.
    ///
    /// # Errors
    /// `Config` if the URL or the target's name cannot be used.
    pub fn new(config: &PostgresTarget, stream: &Stream) -> Result<Self> {
        let table = TableName::parse(&stream.config.object)?;
        let ours = ["checkpoint", "run", "quarantine", "schema_version"];
        if table.schema == config.state_schema && ours.contains(&table.table.as_str()) {
            return Err(Error::config(format!(
                "streams.{}.object: {table} is a state table of ours",
                stream.name
            )));
        }
        let link = Link {
            connect: config.connect(&stream.pipeline)?,
            limits: config.limits(),
            state_schema: config.state_schema.clone(),
            grant_to: config.grant_to.clone(),
            stream: stream.config.clone(),
            name: stream.full_name(),
            session: None,
        };
        Ok(Self { link, opened: None, known: Counts::default() })
    }

    fn opened(&self) -> Result<&Opened> {
        self.opened
            .as_ref()
            .ok_or_else(|| Error::internal(format!("{}: the sink was not opened", self.link.name)))
    }

    async fn try_commit(&mut self, batch: &Batch, fence: &Fence, ends: Ends) -> Result<Counts> {
        let doing = self.link.doing("committing a batch");
        // Before the server is asked for anything: a row that cannot be sent costs it nothing.
        let data = (!batch.changes.is_empty())
            .then(|| bulk::encode(&self.opened()?.target, &batch.changes))
            .transpose()?;
        let mut session = self.link.take().await?;
        let Opened { statements, replace, shapes, .. } = self.opened()?;
        session.begin(&doing).await?;
        fail_point!("postgres.commit.begun");
        if let Some(data) = &data {
            stage(&mut session, statements, data, batch, &doing).await?;
        }
        fail_point!("postgres.commit.staged");
        let step = Step::commit(self.link.stream.mode, batch);
        let begins = self.link.reach(&mut session, step, fence, &doing).await?;
        if let (Some(replace), true) = (replace, begins) {
            session.run(&replace.empty, &doing).await?;
        }
        fail_point!("postgres.commit.advanced");
        let counts = match data {
            Some(_) => apply(&mut session, statements, batch, &doing).await?,
            None => Counts::default(),
        };
        if data.is_some() {
            shapes.0.check(&mut session, &doing).await?;
        }
        fail_point!("postgres.commit.applied");
        // What is in a stage only is nothing yet.
        let counts = if replace.is_some() { Counts::default() } else { counts };
        aside::put(&mut session, &self.link, fence, &batch.aside, &doing).await?;
        count(&mut session, &self.link, step, fence, &counts, &doing).await?;
        fail_point!("postgres.commit.counted");
        if ends == Ends::Probe {
            session.run(statements::CHECK_NOW, &doing).await?;
            session.roll_back(&doing).await?;
        } else {
            fail_point!("postgres.commit.sent", session.commit_once(&doing))?;
            fail_point!("postgres.commit.answered");
        }
        self.link.keep(session);
        Ok(counts)
    }

    async fn try_apply(&mut self, fence: &Fence) -> Result<Counts> {
        let doing = self.link.doing("replacing the target");
        let mut session = self.link.take().await?;
        let Opened { replace, shapes, .. } = self.opened()?;
        let replace =
            replace.as_ref().ok_or_else(|| Error::internal(format!("{doing}: it has no stage")))?;
        session.begin(&doing).await?;
        let begins = self.link.reach(&mut session, Step::Apply, fence, &doing).await?;
        fail_point!("postgres.replace.advanced");
        if begins {
            session.run(&replace.empty, &doing).await?;
        }
        let counts = replace.apply(&mut session, &self.link, &doing).await?;
        shapes.1.check(&mut session, &doing).await?;
        aside::clear_other_loads(&mut session, &self.link, fence, &doing).await?;
        fail_point!("postgres.replace.applied");
        let total = sqlx::query(AssertSqlSafe(statements::total(&self.link.state_schema)?))
            .bind(&self.link.name)
            .bind(signed(counts.inserted + counts.updated + counts.deleted)?)
            .bind(milliseconds(fence.ttl));
        session.execute(total, &doing).await?;
        count(&mut session, &self.link, Step::Apply, fence, &counts, &doing).await?;
        fail_point!("postgres.replace.sent", session.commit_once(&doing))?;
        fail_point!("postgres.replace.answered");
        self.link.keep(session);
        Ok(counts)
    }

    /// What the server refused because the target was altered, said by what the target is now.
    async fn explained(&mut self, counts: Result<Counts>) -> Result<Counts> {
        let Err(error) = counts else { return counts };
        let Some(opened) = self.opened.as_ref().filter(|_| altered::may_be(&error)) else {
            return Err(error);
        };
        let (schema, before) = (opened.schema.clone(), opened.shapes.clone());
        let looked = self.open(&schema).await;
        let changed = self.opened()?.shapes != before;
        Err(altered::explained(&self.link.name, error, changed, looked))
    }

    /// Remembers what a step did; where the fence was refused, finds out whether an earlier try of
    /// the same step had done it.
    async fn known(
        &mut self,
        step: Step<'_>,
        fence: &Fence,
        tried: Result<Counts>,
    ) -> Result<Counts> {
        let counts = match tried {
            Err(error) if error.class() == Class::Fenced => {
                self.resolve(step, fence, error).await?
            }
            other => other?,
        };
        self.known.inserted += counts.inserted;
        self.known.updated += counts.updated;
        self.known.deleted += counts.deleted;
        self.known.unchanged += counts.unchanged;
        Ok(counts)
    }

    /// The checkpoint is not at our fence: either an earlier try of ours had committed, or
    /// somebody else moved it. Our own update has waited for the checkpoint's row, so no earlier
    /// transaction of ours is still under way.
    async fn resolve(&mut self, step: Step<'_>, fence: &Fence, fenced: Error) -> Result<Counts> {
        let doing = self.link.doing("looking whether an earlier try had committed");
        let mut session = self.link.take().await?;
        session.begin(&doing).await?;
        let row = look(&mut session, &self.link, &doing).await?;
        let row = row.ok_or_else(|| self.link.unprepared(&doing))?;
        if state::holder(&row)? != Some(fence.run) || !step.left(&checkpoint(&row)?, fence) {
            return Err(fenced);
        }
        let now = state::totals(&mut session, &self.link, fence.run, &doing).await?;
        session.commit(&doing).await?;
        self.link.keep(session);
        let before = self.known;
        Ok(Counts {
            inserted: now.inserted.saturating_sub(before.inserted),
            updated: now.updated.saturating_sub(before.updated),
            deleted: now.deleted.saturating_sub(before.deleted),
            unchanged: now.unchanged.saturating_sub(before.unchanged),
        })
    }
}

#[async_trait]
impl Sink for PostgresSink {
    async fn open(&mut self, schema: &StreamSchema) -> Result<()> {
        let planned = self.link.planned(schema)?;
        let mut session = self.link.take().await?;
        let doing = self.link.doing("looking at the target");
        let shape = Shape::look(&mut session, &planned.table, &doing).await?;
        let found = planned.found(&mut session).await?;
        let (target, replace, written) = match planned.stage(&self.link.state_schema)? {
            Some(stage) => {
                let written = Shape::look(&mut session, &stage.table, &doing).await?;
                let stage = stage.found(&mut session).await?;
                let replace = Replace::new(&found, &stage)?;
                (stage, Some(replace), written)
            }
            None => (found, None, shape.clone()),
        };
        let statements = Statements::new(&target)?;
        let (shapes, schema) = ((written, shape), schema.clone());
        self.opened = Some(Opened { target, statements, replace, shapes, schema });
        // Whether they are there at all, the claim says.
        let doing = self.link.doing("looking at the state tables");
        session.begin(&doing).await?;
        if state::are_there(&mut session, &self.link, &doing).await? {
            session.commit(&doing).await?;
            self.link.keep(session);
        }
        Ok(())
    }

    async fn claim(&mut self, run: &Run) -> Result<Claim> {
        let doing = self.link.doing("claiming the pipeline");
        let mut session = self.link.take().await?;
        session.begin(&doing).await?;
        let schema = &self.link.state_schema;
        let claim = sqlx::query(AssertSqlSafe(statements::claim(schema)?))
            .bind(&self.link.name)
            .bind(run.id.to_string())
            .bind(milliseconds(run.ttl))
            .bind(run.waited);
        let row = match session.row(claim, &doing).await {
            Err(error) if state::is_missing(&error) => return Err(self.link.unprepared(&doing)),
            row => row?,
        };
        fail_point!("postgres.claim.taken");
        let claim = if let Some(row) = row {
            for sql in [statements::abandon(schema)?, statements::open_ledger(schema)?] {
                let query =
                    sqlx::query(AssertSqlSafe(sql)).bind(&self.link.name).bind(run.id.to_string());
                session.execute(query, &doing).await?;
            }
            // A run that claims again has counts already.
            self.known = state::totals(&mut session, &self.link, run.id, &doing).await?;
            Claim::Claimed(checkpoint(&row)?)
        } else {
            let row = look(&mut session, &self.link, &doing).await?;
            Claim::Busy(lease(&row.ok_or_else(|| self.link.unprepared(&doing))?)?)
        };
        session.commit(&doing).await?;
        self.link.keep(session);
        Ok(claim)
    }

    async fn commit(&mut self, batch: &Batch, fence: &Fence) -> Result<Counts> {
        let tried = self.try_commit(batch, fence, Ends::Commit).await;
        let counts = self.known(Step::commit(self.link.stream.mode, batch), fence, tried).await;
        self.explained(counts).await
    }

    async fn probe(&mut self, changes: &Changes, fence: &Fence) -> Result<()> {
        let batch = Batch::new(changes.clone(), Position::encode(&())?, Progress::default());
        self.try_commit(&batch, fence, Ends::Probe).await.map(drop)
    }

    async fn quarantined(&mut self) -> Result<Vec<Rejected>> {
        Ok(self.entries().await?.into_iter().map(|entry| entry.rejected).collect())
    }

    fn replaces(&self) -> bool {
        self.link.stream.mode == Mode::Replace
    }

    async fn apply(&mut self, fence: &Fence) -> Result<Counts> {
        let tried = self.try_apply(fence).await;
        let counts = self.known(Step::Apply, fence, tried).await;
        self.explained(counts).await
    }

    async fn renew(&mut self, fence: &Fence) -> Result<()> {
        let doing = self.link.doing("renewing the lease");
        let mut session = self.link.take().await?;
        session.begin(&doing).await?;
        let renew = sqlx::query(AssertSqlSafe(statements::renew(&self.link.state_schema)?))
            .bind(&self.link.name)
            .bind(fence.run.to_string())
            .bind(fence.sequence)
            .bind(milliseconds(fence.ttl));
        if session.execute(renew, &doing).await? != 1 {
            return Err(Error::fenced(format!("{doing}: another run or a person took it over")));
        }
        session.commit(&doing).await?;
        self.link.keep(session);
        Ok(())
    }

    async fn finish(&mut self, report: &RunReport) -> Result<()> {
        let doing = self.link.doing("writing the run's ledger row");
        let mut session = self.link.take().await?;
        session.begin(&doing).await?;
        let schema = &self.link.state_schema;
        let release = sqlx::query(AssertSqlSafe(statements::release(schema)?))
            .bind(&self.link.name)
            .bind(report.run.to_string());
        session.execute(release, &doing).await?;
        fail_point!("postgres.finish.released");
        let close = sqlx::query(AssertSqlSafe(statements::close_ledger(schema)?))
            .bind(&self.link.name)
            .bind(report.run.to_string())
            .bind(report.outcome.as_str())
            .bind(report.horizon_micros)
            .bind(report.error_class.map(Class::as_str))
            .bind(report.error_code.as_deref())
            .bind(milliseconds(report.duration));
        session.execute(close, &doing).await?;
        session.commit(&doing).await?;
        self.link.keep(session);
        Ok(())
    }
}

/// Brings the batch's rows to the server, into a table of this transaction.
pub(super) async fn stage(
    session: &mut Session,
    statements: &Statements,
    data: &[u8],
    batch: &Batch,
    doing: &str,
) -> Result<()> {
    session.run(&statements.create_stage, doing).await?;
    let arrived = session.copy_in(&statements.copy, data, doing).await?;
    if usize::try_from(arrived).is_ok_and(|arrived| arrived == batch.changes.len()) {
        return Ok(());
    }
    let sent = batch.changes.len();
    Err(Error::internal(format!("{doing}: {sent} rows were sent, {arrived} arrived")))
}

impl Link {
    /// Moves the checkpoint behind a step, if it stands at the fence, and keeps its row locked. Gives
    /// whether a load begins.
    async fn reach(
        &self,
        session: &mut Session,
        step: Step<'_>,
        fence: &Fence,
        doing: &str,
    ) -> Result<bool> {
        let mut begins = false;
        if step.generation(fence).is_some() {
            let look = statements::look_and_lock(&self.state_schema)?;
            let look = sqlx::query(AssertSqlSafe(look)).bind(&self.name);
            let row = session.row(look, doing).await?;
            let row = row.ok_or_else(|| self.unprepared(doing))?;
            begins = step.begins(&checkpoint(&row)?, fence);
        }
        let rows = if let Step::Write(batch) = step { signed(batch.changes.len())? } else { 0 };
        let advance = sqlx::query(AssertSqlSafe(statements::advance(&self.state_schema)?))
            .bind(&self.name)
            .bind(fence.run.to_string())
            .bind(fence.sequence)
            .bind(step.position().map(Position::as_str))
            .bind(&fence.definition)
            .bind(milliseconds(fence.ttl))
            .bind(rows)
            .bind(step.generation(fence))
            .bind(step.phase().as_str());
        if session.execute(advance, doing).await? == 1 {
            return Ok(begins);
        }
        Err(Error::fenced(format!(
            "{}: another run or a person moved the checkpoint; nothing of this was written",
            self.name
        )))
    }
}

/// Brings the target to what the stage says.
pub(super) async fn apply(
    session: &mut Session,
    statements: &Statements,
    batch: &Batch,
    doing: &str,
) -> Result<Counts> {
    let mut done = session.run(&statements.apply(), doing).await?.into_iter();
    let mut next = |sent: bool| if sent { done.next().unwrap_or(0) } else { 0 };
    let deleted = next(statements.leave.is_some());
    let updated = next(statements.update.is_some());
    let inserted = next(true);
    let upserts = batch.changes.len() - batch.changes.delete_count();
    let unchanged = u64::try_from(upserts)
        .ok()
        .and_then(|upserts| upserts.checked_sub(inserted + updated))
        .ok_or_else(|| Error::internal(format!("{doing}: more rows were written than sent")))?;
    Ok(Counts { inserted, updated, deleted, unchanged })
}

async fn count(
    session: &mut Session,
    link: &Link,
    step: Step<'_>,
    fence: &Fence,
    counts: &Counts,
    doing: &str,
) -> Result<()> {
    let progress = step.progress();
    let count = sqlx::query(AssertSqlSafe(statements::count(&link.state_schema)?))
        .bind(fence.run.to_string())
        .bind(signed(progress.read)?)
        .bind(signed(progress.reread)?)
        .bind(signed(counts.inserted)?)
        .bind(signed(counts.updated)?)
        .bind(signed(counts.deleted)?)
        .bind(signed(counts.unchanged)?)
        .bind(signed(step.put_aside())?);
    session.execute(count, doing).await.map(drop)
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn signed<T: TryInto<i64>>(count: T) -> Result<i64> {
    count.try_into().map_err(|_| Error::internal("a count does not fit 64 bits"))
}
