//! Opening a file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use etl_core::error::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteSynchronous};
use sqlx::{ConnectOptions, Executor, Row};

use crate::sqlite::error;

/// How long a statement waits for another writer before it fails as `Transient`.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The path of the file. Not on a network file system: SQLite's locks do not hold there.
    pub path: PathBuf,
}

impl Config {
    /// Checks what can be checked without opening the file.
    ///
    /// # Errors
    /// `Config` if the path is empty or names a database in memory, which nobody else could see.
    pub fn validate(&self) -> Result<()> {
        let text = self.path.to_string_lossy();
        if text.is_empty() || text.contains(":memory:") || text.starts_with("file:") {
            return Err(Error::config(
                "path: give the path of a file, such as data/orders.db; a database in memory is \
                 gone with its process",
            ));
        }
        Ok(())
    }

    /// The path without links and dots: what tells this file from others.
    ///
    /// # Errors
    /// `Config` if there is no such file.
    pub fn canonical(&self) -> Result<String> {
        self.path
            .canonicalize()
            .map(|path| path.to_string_lossy().into_owned())
            .map_err(|cause| self.unopenable("there is no such file").with_source(cause))
    }

    /// A path for messages.
    #[must_use]
    pub fn shown(&self) -> impl std::fmt::Display {
        self.path.display()
    }

    fn unopenable(&self, why: &str) -> Error {
        Error::config(format!("cannot open the SQLite file {}: {why}", self.shown()))
    }
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading; works on files that we may not write.
    Read,
    /// Reading and writing a file that exists.
    Write,
    /// The same, and the file is made if it is missing.
    Create,
}

/// A connection with its settings: commits are durable when they return (`synchronous = FULL`),
/// a locked file is waited for up to `busy`, foreign keys hold as the file declares them.
///
/// Dropped half way, the file is closed; [`Access::Create`] may have made it.
///
/// # Errors
/// `Config` if the file is missing or not a database, else as [`error::classify`].
pub async fn connect(config: &Config, access: Access, busy: Duration) -> Result<SqliteConnection> {
    config.validate()?;
    let path: &Path = &config.path;
    if access != Access::Create && !path.is_file() {
        return Err(config.unopenable("there is no such file"));
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(access == Access::Read)
        .create_if_missing(access == Access::Create)
        .busy_timeout(busy)
        .synchronous(SqliteSynchronous::Full)
        .pragma("temp_store", "MEMORY")
        .disable_statement_logging();
    let doing = || format!("opening the SQLite file {}", config.shown());
    let mut connection =
        options.connect().await.map_err(|cause| error::classify(cause, doing()))?;
    // SQLite looks into the file only now: a file that is none is found here.
    connection
        .execute("SELECT count(*) FROM sqlite_schema")
        .await
        .map_err(|cause| error::classify(cause, doing()))?;
    Ok(connection)
}

/// The clock of the file: this machine's, in microseconds since 1970 UTC, exact to a millisecond.
///
/// Dropped half way, it has changed nothing.
///
/// # Errors
/// As [`error::classify`].
pub async fn now_micros(connection: &mut SqliteConnection) -> Result<i64> {
    let row = connection
        .fetch_one("SELECT CAST(round(unixepoch('subsec') * 1000) AS INTEGER)")
        .await
        .map_err(|cause| error::classify(cause, "asking for the time"))?;
    let millis: i64 = row.try_get(0).map_err(|cause| error::classify(cause, "reading the time"))?;
    Ok(millis.saturating_mul(1000))
}
