//! SQLite as source and as sink: the contracts, and what only SQLite can get wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod contract;
mod horizon;
mod pair;
mod quoting;
mod read;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use etl_core::connector::Stream;
use etl_core::sink::{Sink, SinkAdmin};
use etl_core::source::Source;
use etl_core::{Batch, BatchLimits, Position, Result};
use futures::TryStreamExt;
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};
use tempfile::TempDir;

/// A file in a folder that goes with it.
struct File {
    _folder: TempDir,
    path: PathBuf,
}

impl File {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some \"file\".db");
        Self { _folder: folder, path }
    }

    /// A file in which `statements` have run.
    async fn with(statements: &str) -> Self {
        let file = Self::new();
        file.run("PRAGMA journal_mode = WAL").await;
        file.run(statements).await;
        file
    }

    fn section(&self) -> Value {
        json!({ "type": "sqlite", "path": self.path })
    }

    async fn connect(&self) -> SqliteConnection {
        connect(&self.path).await
    }

    async fn run(&self, statements: &str) {
        self.connect().await.execute(AssertSqlSafe(statements)).await.unwrap();
    }

    async fn number(&self, query: &str) -> i64 {
        let mut c = self.connect().await;
        sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut c).await.unwrap()
    }

    fn source(&self, stream: &Stream) -> Arc<dyn Source> {
        (etl_sources::find("sqlite").unwrap().build)(&self.section(), stream).unwrap()
    }

    fn sink(&self, stream: &Stream) -> Box<dyn Sink> {
        (etl_sinks::find("sqlite").unwrap().build)(&self.section(), stream).unwrap()
    }

    fn admin(&self, stream: &Stream) -> Box<dyn SinkAdmin> {
        (etl_sinks::find("sqlite").unwrap().admin)(&self.section(), stream).unwrap()
    }
}

/// A connection as an application would have it.
async fn connect(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .busy_timeout(std::time::Duration::from_secs(20))
        .connect()
        .await
        .unwrap()
}

/// A stream of `orders` with this config.
fn stream(config: Value) -> Stream {
    let config: etl_core::StreamConfig = serde_json::from_value(config).unwrap();
    config.validate().unwrap();
    Stream { pipeline: "test".to_owned(), name: "orders".to_owned(), config }
}

/// The whole of one sweep.
async fn sweep(
    source: &dyn Source,
    after: Option<Position>,
    limits: BatchLimits,
) -> Result<Vec<Batch>> {
    source.read(after, limits).await?.try_collect().await
}

fn rows(batches: &[Batch]) -> usize {
    batches.iter().map(|batch| batch.changes.len()).sum()
}
