//! One connection, thrown away after any error.

use etl_core::error::Result;
use etl_sql::sqlite::connect::{Access, BUSY_TIMEOUT, connect};
use etl_sql::sqlite::error;
use sqlx::Executor;
use sqlx::sqlite::SqliteConnection;

use crate::sqlite::Settings;

/// A connection and what it holds beside the file.
pub(super) struct Session {
    pub(super) connection: SqliteConnection,
    /// Whether this connection has its stage table.
    pub(super) staged: bool,
}

impl Session {
    /// # Errors
    /// `Config` if there is no such file: it was never prepared.
    pub(super) async fn open(settings: &Settings) -> Result<Self> {
        if !settings.config.path.is_file() {
            return Err(settings.unprepared("there is no such file"));
        }
        let connection = connect(&settings.config, Access::Write, BUSY_TIMEOUT).await?;
        Ok(Self { connection, staged: false })
    }

    /// Takes the write lock of the file; waits for another writer, our own earlier one included.
    pub(super) async fn begin(&mut self, doing: &str) -> Result<()> {
        self.run("BEGIN IMMEDIATE", doing).await
    }

    pub(super) async fn commit(&mut self, doing: &str) -> Result<()> {
        let answer = self.connection.execute("COMMIT").await;
        answer.map(drop).map_err(|cause| error::classify_commit(cause, doing))
    }

    pub(super) async fn roll_back(&mut self, doing: &str) -> Result<()> {
        self.run("ROLLBACK", doing).await
    }

    pub(super) async fn run(&mut self, statement: &'static str, doing: &str) -> Result<()> {
        let answer = self.connection.execute(statement).await;
        answer.map(drop).map_err(|cause| error::classify(cause, doing))
    }
}
