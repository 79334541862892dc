//! Claim, commit, renew, finish.

use std::sync::Arc;

use async_trait::async_trait;
use etl_core::connector::Mode;
use etl_core::error::{Error, Result, ResultExt};
use etl_core::sink::{Claim, Counts, Fence, Run, RunReport, Sink};
use etl_core::{Batch, StreamSchema};
use etl_sql::sqlite::{plan, table};

use crate::sqlite::Settings;
use crate::sqlite::encode::Rows;
use crate::sqlite::session::Session;
use crate::sqlite::state::{self, Standing};
use crate::sqlite::write::{self, Target};

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
        for name in ["etl_checkpoint", "etl_run"] {
            if table::look_up(&mut session.connection, name).await?.is_none() {
                return Err(settings.unprepared(&format!("there is no table {name}")));
            }
        }
        let Some(found) = table::look_up(&mut session.connection, &settings.table).await? else {
            return Err(settings.unprepared(&format!("there is no table {}", settings.table)));
        };
        check_target(settings, schema, &found)?;
        if state::read(&mut session.connection, &settings.name).await?.is_none() {
            return Err(settings.unprepared("the pipeline has no checkpoint row"));
        }
        Target::new(settings, schema)
    }

    /// Writes a batch in the open transaction, or finds that it is written.
    async fn write(
        &mut self,
        session: &mut Session,
        target: &Target,
        rows: &Rows<'_>,
        batch: &Batch,
        fence: &Fence,
    ) -> Result<Counts> {
        let name = &self.settings.name;
        session.begin("taking the file's write lock").await?;
        if let Standing::Committed =
            state::standing(&mut session.connection, name, batch, fence).await?
        {
            let total = state::tally(&mut session.connection, name, fence.run).await?;
            session.roll_back("giving the write lock back").await?;
            return Ok(since(&total, &self.tally));
        }
        let counts = match self.settings.stream.config.mode {
            Mode::Upsert => write::apply(session, target, rows).await?,
            Mode::Append => write::append(session, target, rows).await?,
        };
        state::advance(&mut session.connection, name, batch, fence, &counts).await?;
        session.commit("committing a batch").await?;
        Ok(counts)
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
        session.commit("claiming the pipeline").await?;
        self.tally = tally;
        self.session = Some(session);
        Ok(claim)
    }

    async fn commit(&mut self, batch: &Batch, fence: &Fence) -> Result<Counts> {
        let target = self.target.clone().ok_or_else(|| Error::internal("commit before open"))?;
        let rows = Rows::new(&target, &batch.changes)?;
        let mut session = self.take().await?;
        let written = async {
            if self.settings.stream.config.mode == Mode::Upsert {
                write::stage(&mut session, &target, &rows).await?;
            }
            self.write(&mut session, &target, &rows, batch, fence).await
        };
        let counts = written.await?;
        self.tally = sum(&self.tally, &counts);
        self.session = Some(session);
        Ok(counts)
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
        session.commit("ending the run").await?;
        self.session = Some(session);
        Ok(())
    }
}

/// # Errors
/// `Schema` with everything that differs.
pub(super) fn check_target(
    settings: &Settings,
    schema: &StreamSchema,
    found: &table::Table,
) -> Result<()> {
    let config = &settings.stream.config;
    let mark = config.mark_beside(schema)?;
    let differences = plan::differences(schema, found, config.mode, mark.as_deref())
        .context(|| settings.name.clone())?;
    if differences.is_empty() {
        return Ok(());
    }
    Err(Error::schema(format!(
        "{}: table {} in {} does not fit the stream: {}. Change the table, or give the stream \
         another object and run `etl-job prepare`",
        settings.name,
        settings.table,
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
