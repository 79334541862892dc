//! Claim, commit, renew, finish.

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use etl_core::connector::Mode;
use etl_core::error::{Error, Result, ResultExt};
use etl_core::sink::{Claim, Counts, Fence, Run, RunReport, Sink};
use etl_core::{Aside, Batch, Changes, Position, Progress, Rejected, StreamSchema, fail_point};
use etl_sql::sqlite::{plan, table};
use sqlx::sqlite::SqliteConnection;

use crate::sqlite::encode::Rows;
use crate::sqlite::session::Session;
use crate::sqlite::state::{self, Standing};
use crate::sqlite::write::{self, Target};
use crate::sqlite::{Settings, aside, deferred};
use crate::step::Step;

/// One stream's rows in one table of one file.
pub struct SqliteSink {
    settings: Arc<Settings>,
    session: Option<Session>,
    target: Option<Arc<Target>>,
    /// What this run's commits have done as far as we were told; the rest is in the ledger.
    tally: Counts,
}

impl SqliteSink {
    pub(super) fn new(settings: Arc<Settings>) -> Self {
        Self { settings, session: None, target: None, tally: Counts::default() }
    }

    /// The connection; whoever takes it gives it back only if nothing went wrong.
    async fn take(&mut self) -> Result<Session> {
        match self.session.take() {
            Some(session) => Ok(session),
            None => Session::open(&self.settings).await,
        }
    }

    async fn try_open(&self, session: &mut Session, schema: &StreamSchema) -> Result<Target> {
        let settings = &self.settings;
        settings.check_version(&mut session.connection).await?;
        for name in settings.tables() {
            check_table(settings, schema, &mut session.connection, &name).await?;
        }
        if state::read(&mut session.connection, &settings.name).await?.is_none() {
            return Err(settings.unprepared("the pipeline has no checkpoint row"));
        }
        Target::new(settings, schema)
    }

    /// Does a step in one transaction, or finds that it was done.
    async fn write(
        &mut self,
        mut session: Session,
        step: Step<'_>,
        fence: &Fence,
        rows: &Rows<'_>,
    ) -> Result<Counts> {
        let nothing = Aside::default();
        let aside = step.aside().unwrap_or(&nothing);
        let name = self.settings.name.clone();
        session.begin("taking the file's write lock").await?;
        fail_point!("sqlite.commit.begun");
        let counts = match state::standing(&mut session.connection, &name, step, fence).await? {
            Standing::Done => {
                let total = state::tally(&mut session.connection, &name, fence.run).await?;
                session.roll_back("giving the write lock back").await?;
                since(&total, &self.tally)
            }
            Standing::Here { begins } => {
                let counts = self.change(&mut session, step, begins, rows).await?;
                aside::put(&mut session.connection, &name, fence, aside).await?;
                if matches!(step, Step::Apply) {
                    aside::clear_other_loads(&mut session.connection, &name, fence).await?;
                }
                fail_point!("sqlite.commit.applied");
                state::advance(&mut session.connection, &name, step, fence, &counts).await?;
                fail_point!("sqlite.commit.advanced");
                fail_point!("sqlite.commit.sent", session.commit("committing"))?;
                fail_point!("sqlite.commit.answered");
                counts
            }
        };
        self.tally = sum(&self.tally, &counts);
        self.session = Some(session);
        Ok(counts)
    }

    /// The rows of a step, in the transaction that is open.
    async fn change(
        &self,
        session: &mut Session,
        step: Step<'_>,
        begins: bool,
        rows: &Rows<'_>,
    ) -> Result<Counts> {
        let target = self.opened()?;
        if let (Some(stage), true) = (&target.stage, begins) {
            stage.empty(session).await?;
        }
        match (step, &target.stage) {
            (Step::Write(_), _) if self.settings.stream.config.mode == Mode::Append => {
                write::append(session, &target, rows).await
            }
            (Step::Load(_), Some(_)) => {
                write::apply(session, &target, rows).await.map(|_| Counts::default())
            }
            (Step::Apply, Some(stage)) => stage.apply(session, &self.settings).await,
            _ => write::apply(session, &target, rows).await,
        }
    }

    fn opened(&self) -> Result<Arc<Target>> {
        self.target.clone().ok_or_else(|| Error::internal("the sink was not opened"))
    }
}

#[async_trait]
impl Sink for SqliteSink {
    async fn open(&mut self, schema: &StreamSchema) -> Result<()> {
        let mut session = self.take().await?;
        self.target = Some(Arc::new(self.try_open(&mut session, schema).await?));
        self.session = Some(session);
        Ok(())
    }

    async fn claim(&mut self, run: &Run) -> Result<Claim> {
        let mut session = self.take().await?;
        session.begin("claiming the pipeline").await?;
        let c = &mut session.connection;
        let claim = state::claim(c, &self.settings.name, run)
            .await?
            .ok_or_else(|| self.settings.unprepared("the pipeline has no checkpoint row"))?;
        let tally = state::tally(c, &self.settings.name, run.id).await?;
        fail_point!("sqlite.claim.taken");
        session.commit("claiming the pipeline").await?;
        self.tally = tally;
        self.session = Some(session);
        Ok(claim)
    }

    async fn commit(&mut self, batch: &Batch, fence: &Fence) -> Result<Counts> {
        let target = self.opened()?;
        let mode = self.settings.stream.config.mode;
        let rows = Rows::new(&target, &batch.changes)?;
        let mut session = self.take().await?;
        if mode.is_keyed() {
            write::stage(&mut session, &target, &rows).await?;
            fail_point!("sqlite.commit.staged");
        }
        self.write(session, Step::commit(mode, batch), fence, &rows).await
    }

    async fn probe(&mut self, changes: &Changes, fence: &Fence) -> Result<()> {
        let batch = Batch::new(changes.clone(), Position::encode(&())?, Progress::default());
        let target = self.opened()?;
        let mode = self.settings.stream.config.mode;
        let rows = Rows::new(&target, changes)?;
        let mut session = self.take().await?;
        if mode.is_keyed() {
            write::stage(&mut session, &target, &rows).await?;
        }
        session.begin("taking the file's write lock").await?;
        let (name, step) = (&self.settings.name, Step::commit(mode, &batch));
        match state::standing(&mut session.connection, name, step, fence).await? {
            Standing::Here { begins } => {
                let before = deferred::broken(&mut session.connection).await?;
                self.change(&mut session, step, begins, &rows).await?;
                deferred::check(&mut session.connection, before).await?;
            }
            Standing::Done => return Err(Error::fenced(format!("{name}: this was committed"))),
        }
        session.roll_back("taking the trial back").await?;
        self.session = Some(session);
        Ok(())
    }

    async fn quarantined(&mut self) -> Result<Vec<Rejected>> {
        let mut session = self.take().await?;
        let entries = aside::read(&mut session.connection, &self.settings.name).await?;
        self.session = Some(session);
        Ok(entries.into_iter().map(|entry| entry.rejected).collect())
    }

    fn replaces(&self) -> bool {
        self.settings.stream.config.mode == Mode::Replace
    }

    async fn apply(&mut self, fence: &Fence) -> Result<Counts> {
        let target = self.opened()?;
        let nothing = Changes::upserts(RecordBatch::new_empty(target.schema.schema.clone()));
        let rows = Rows::new(&target, &nothing)?;
        let session = self.take().await?;
        self.write(session, Step::Apply, fence, &rows).await
    }

    async fn renew(&mut self, fence: &Fence) -> Result<()> {
        let mut session = self.take().await?;
        session.begin("renewing the lease").await?;
        state::renew(&mut session.connection, &self.settings.name, fence).await?;
        session.commit("renewing the lease").await?;
        self.session = Some(session);
        Ok(())
    }

    async fn finish(&mut self, report: &RunReport) -> Result<()> {
        let mut session = self.take().await?;
        session.begin("ending the run").await?;
        state::finish(&mut session.connection, report).await?;
        fail_point!("sqlite.finish.released");
        session.commit("ending the run").await?;
        self.session = Some(session);
        Ok(())
    }
}

/// Looks whether the target or the stage takes the stream.
///
/// # Errors
/// `Schema` with everything that differs; `Config` if there is no such table.
pub(super) async fn check_table(
    settings: &Settings,
    schema: &StreamSchema,
    c: &mut SqliteConnection,
    name: &str,
) -> Result<()> {
    let Some(found) = table::look_up(c, name).await? else {
        return Err(settings.unprepared(&format!("there is no table {name}")));
    };
    let config = &settings.stream.config;
    let mark = config.mark_beside(schema)?;
    let differences = plan::differences(schema, &found, config.mode, mark.as_deref())
        .context(|| settings.name.clone())?;
    if differences.is_empty() {
        return Ok(());
    }
    let change = if settings.stage().as_deref() == Some(name) {
        "It holds nothing but a load: drop it"
    } else {
        "Change the table, or give the stream another object"
    };
    Err(Error::schema(format!(
        "{}: table {name} in {} does not fit the stream: {}. {change} and run `etl-job prepare`",
        settings.name,
        settings.config.shown(),
        differences.join("; ")
    )))
}

fn since(total: &Counts, known: &Counts) -> Counts {
    Counts {
        inserted: total.inserted.saturating_sub(known.inserted),
        updated: total.updated.saturating_sub(known.updated),
        deleted: total.deleted.saturating_sub(known.deleted),
        unchanged: total.unchanged.saturating_sub(known.unchanged),
    }
}

fn sum(a: &Counts, b: &Counts) -> Counts {
    Counts {
        inserted: a.inserted + b.inserted,
        updated: a.updated + b.updated,
        deleted: a.deleted + b.deleted,
        unchanged: a.unchanged + b.unchanged,
    }
}
