//! Preparing a file, looking at it, and changing where a pipeline stands.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use etl_core::connector::Finding;
use etl_core::error::{Class, Result, ResultExt};
use etl_core::ledger::Ledger;
use etl_core::sink::{Checkpoint, Prepared, SinkAdmin, StateChange, Statement, siblings};
use etl_core::{Definition, Entry, Phase, Position, StreamSchema};
use etl_sql::sqlite::connect::{Access, BUSY_TIMEOUT, connect};
use etl_sql::sqlite::table::{self, get};
use etl_sql::sqlite::{error, migrations, plan};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Executor};

use crate::sqlite::session::Session;
use crate::sqlite::sink::check_table;
use crate::sqlite::{Settings, aside, ledger, state};

/// What operators do to a file.
pub struct SqliteAdmin {
    settings: Arc<Settings>,
}

impl SqliteAdmin {
    pub(super) fn new(settings: Arc<Settings>) -> Self {
        Self { settings }
    }

    /// What the stream needs beside the state tables.
    fn of_stream(&self, schema: &StreamSchema) -> Result<Vec<Statement>> {
        let config = &self.settings.stream.config;
        let mark = config.mark_beside(schema)?;
        plan::statements(schema, &self.settings.table, config.mode, mark.as_deref())
    }

    async fn look(&self, schema: &StreamSchema) -> Result<Vec<Finding>> {
        let settings = &self.settings;
        let mut session = Session::open(settings).await?;
        let mut findings = vec![Finding::good("file", settings.config.shown().to_string())];
        let c = &mut session.connection;
        let what = "state tables and checkpoint row";
        findings.push(match stored(settings, c).await? {
            Some(row) => Finding::good(what, format!("sequence {}", row.checkpoint.sequence)),
            None => Finding::bad(what, settings.unprepared("something is missing").to_string()),
        });
        for name in settings.tables() {
            let what = format!("table {name}");
            findings.push(match check_table(settings, schema, c, &name).await {
                Ok(()) => Finding::good(&what, "columns, types and key fit"),
                Err(error) => Finding::from_error(&what, &error),
            });
        }
        findings.push(match self.try_write(&mut session).await {
            Ok(()) => Finding::good("writing", "the write lock was taken, a write rolled back"),
            Err(error) => Finding::from_error("writing", &error),
        });
        Ok(findings)
    }

    /// A write that is rolled back.
    async fn try_write(&self, session: &mut Session) -> Result<()> {
        session.begin("taking the file's write lock").await?;
        sqlx::query("UPDATE etl_checkpoint SET updated_at = updated_at WHERE name = ?")
            .bind(&self.settings.name)
            .execute(&mut session.connection)
            .await
            .map_err(|cause| error::classify(cause, "writing to etl_checkpoint"))?;
        session.roll_back("taking the write back").await
    }
}

#[async_trait]
impl SinkAdmin for SqliteAdmin {
    fn plan(&self, schema: &StreamSchema) -> Result<Vec<Statement>> {
        let mut all = migrations::statements();
        all.extend(self.of_stream(schema)?);
        Ok(all)
    }

    async fn prepare(&mut self, schema: &StreamSchema) -> Result<()> {
        let settings = &self.settings;
        let statements = self.of_stream(schema)?;
        let connection = connect(&settings.config, Access::Create, BUSY_TIMEOUT).await?;
        let mut session = Session { connection, staged: false };
        write_ahead(&mut session.connection).await?;
        session.begin("preparing the file").await?;
        migrations::apply(&mut session.connection).await.context(|| settings.name.clone())?;
        for statement in statements {
            let doing = format!("{}: preparing {}", settings.name, statement.name);
            session
                .connection
                .execute(AssertSqlSafe(statement.text))
                .await
                .map_err(|cause| error::classify(cause, doing))?;
        }
        for name in settings.tables() {
            check_table(settings, schema, &mut session.connection, &name).await?;
        }
        session.commit("preparing the file").await
    }

    async fn check(&mut self, schema: &StreamSchema) -> Result<Vec<Finding>> {
        match self.look(schema).await {
            Err(error) if matches!(error.class(), Class::Config | Class::Permission) => {
                Ok(vec![Finding::from_error("file", &error)])
            }
            found => found.context(|| self.settings.name.clone()),
        }
    }

    async fn checkpoint(&mut self) -> Result<Option<Checkpoint>> {
        if !self.settings.config.path.is_file() {
            return Ok(None);
        }
        let mut session = Session::open(&self.settings).await?;
        let row = stored(&self.settings, &mut session.connection).await?;
        Ok(row.map(|row| row.checkpoint))
    }

    async fn ledger(&mut self) -> Result<Option<Ledger>> {
        let settings = &self.settings;
        if !settings.config.path.is_file() {
            return Ok(None);
        }
        // Anew each time: a file that was put in another's place is not seen through an open one.
        let mut connection = connect(&settings.config, Access::Read, BUSY_TIMEOUT).await?;
        if !has_state(&mut connection).await? {
            return Ok(None);
        }
        ledger::read(&mut connection, &settings.name).await
    }

    async fn streams(&mut self) -> Result<Vec<Prepared>> {
        let settings = &self.settings;
        if !settings.config.path.is_file() {
            return Ok(Vec::new());
        }
        let mut connection = connect(&settings.config, Access::Read, BUSY_TIMEOUT).await?;
        if !has_state(&mut connection).await? {
            return Ok(Vec::new());
        }
        ledger::streams(&mut connection, &siblings(&settings.name)).await
    }

    async fn quarantined(&mut self) -> Result<Vec<Entry>> {
        let settings = &self.settings;
        if !settings.config.path.is_file() {
            return Ok(Vec::new());
        }
        let mut connection = connect(&settings.config, Access::Read, BUSY_TIMEOUT).await?;
        if table::look_up(&mut connection, "etl_quarantine").await?.is_none() {
            return Ok(Vec::new());
        }
        aside::read(&mut connection, &settings.name).await
    }

    async fn change(&mut self, change: StateChange) -> Result<Checkpoint> {
        let settings = &self.settings;
        let doing = "changing the checkpoint";
        let mut session = Session::open(settings).await?;
        session.begin(doing).await?;
        let Some(row) = stored(settings, &mut session.connection).await? else {
            return Err(settings.unprepared("the pipeline has no checkpoint row"));
        };
        let before = row.checkpoint;
        let (position, definition, phase): (Option<&Position>, Option<&Definition>, Phase) =
            match &change {
                StateChange::Position(position) => {
                    (position.as_ref(), before.definition.as_ref(), Phase::Idle)
                }
                StateChange::Definition(definition) => {
                    (before.position.as_ref(), Some(definition), before.phase)
                }
            };
        let c = &mut session.connection;
        state::change(c, &settings.name, position, definition, phase).await?;
        session.commit(doing).await?;
        Ok(before)
    }
}

/// The checkpoint row; `None` also if the file has no state tables.
///
/// # Errors
/// `Config` if they are of an older version.
async fn stored(settings: &Settings, c: &mut SqliteConnection) -> Result<Option<state::Row>> {
    if !has_state(c).await? {
        return Ok(None);
    }
    settings.check_version(c).await?;
    state::read(c, &settings.name).await
}

async fn has_state(c: &mut SqliteConnection) -> Result<bool> {
    for needed in ["etl_checkpoint", "etl_run"] {
        if table::look_up(c, needed).await?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Switches the file to write-ahead logging, which it remembers: readers then do not stop
/// writers. SQLite does not wait for others here by itself.
async fn write_ahead(c: &mut SqliteConnection) -> Result<()> {
    let doing = "switching the file to write-ahead logging";
    let patience = tokio::time::Instant::now() + BUSY_TIMEOUT;
    loop {
        let answer = c.fetch_one("PRAGMA journal_mode = WAL").await;
        match answer.map_err(|cause| error::classify(cause, doing)) {
            Ok(row) => {
                let mode: String = get(&row, 0, doing)?;
                if mode != "wal" {
                    tracing::warn!(mode, "the file stays without write-ahead logging");
                }
                return Ok(());
            }
            Err(error)
                if error.class() == Class::Transient && tokio::time::Instant::now() < patience =>
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => return Err(error),
        }
    }
}
