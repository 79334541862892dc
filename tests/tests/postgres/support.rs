//! A table to read from, and what a target would make of what is read.

use std::collections::BTreeMap;
use std::sync::Arc;

use etl_core::batch::{Batch, BatchLimits};
use etl_core::connector::Stream;
use etl_core::error::{Error, Result};
use etl_core::position::Position;
use etl_core::source::Source;
use etl_core::testing::{CanonicalRow, canonical};
use etl_sources::SOURCES;
use etl_tests::postgres::Database;
use futures::{StreamExt, TryStreamExt};
use serde_json::{Value, json};

/// A table with a cursor that the database sets.
pub(super) struct Trial {
    pub(super) database: Database,
    pub(super) table: String,
}

pub(super) const WIDE: BatchLimits = BatchLimits { rows: 100_000, bytes: 1 << 26 };

pub(super) fn rows(rows: usize) -> BatchLimits {
    BatchLimits { rows, ..WIDE }
}

impl Trial {
    /// Makes the table with these columns and `updated_at`, its trigger and its index.
    pub(super) async fn create(database: Database, table: &str, columns: &str) -> Self {
        let sql = format!(
            "CREATE TABLE {table} ({columns}, updated_at timestamptz NOT NULL DEFAULT now()); \
             CREATE FUNCTION {table}_touch() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN NEW.updated_at := now(); RETURN NEW; END $$; \
             CREATE TRIGGER touch BEFORE UPDATE ON {table} \
             FOR EACH ROW EXECUTE FUNCTION {table}_touch(); \
             CREATE INDEX ON {table} (updated_at)"
        );
        database.execute(&sql).await;
        Self { database, table: table.to_owned() }
    }

    /// A table `public.orders` of `id` and `note`.
    pub(super) async fn orders() -> Self {
        Self::create(Database::new().await, "public.orders", "id bigint PRIMARY KEY, note text")
            .await
    }

    pub(super) async fn execute(&self, sql: &str) {
        self.database.execute(sql).await;
    }

    /// A source of `id`, `note` and `updated_at`, with `change` made to the stream's config.
    pub(super) fn source(&self, change: impl FnOnce(&mut Value)) -> Arc<dyn Source> {
        self.try_source(change).expect("a source")
    }

    pub(super) fn try_source(&self, change: impl FnOnce(&mut Value)) -> Result<Arc<dyn Source>> {
        build(&self.database.section(), &stream(&self.table, change))
    }
}

/// The stream of `table` with `change` made to its config.
pub(super) fn stream(table: &str, change: impl FnOnce(&mut Value)) -> Stream {
    let mut config = json!({
        "object": "dbo.orders",
        "primary_key": ["id"],
        "cursor": { "column": "updated_at", "guard": "1s" },
        "select": ["id", "note", "updated_at"],
    });
    change(&mut config);
    let config = serde_json::from_value(config).expect("a stream's config");
    Stream { pipeline: "trial".to_owned(), name: table.to_owned(), config }
}

pub(super) fn build(section: &Value, stream: &Stream) -> Result<Arc<dyn Source>> {
    let connector = SOURCES.iter().find(|connector| connector.kind == "postgres");
    (connector.expect("the registry's line").build)(section, stream)
}

/// A whole sweep.
pub(super) async fn sweep(
    source: &Arc<dyn Source>,
    after: Option<&Position>,
    limits: BatchLimits,
) -> Result<Vec<Batch>> {
    source.read(after.cloned(), limits).await?.try_collect().await
}

/// The first batches of a sweep.
pub(super) async fn begin(
    source: &Arc<dyn Source>,
    after: Option<&Position>,
    limits: BatchLimits,
    count: usize,
) -> Result<Vec<Batch>> {
    source.read(after.cloned(), limits).await?.take(count).try_collect().await
}

/// The error that a sweep ends with.
pub(super) async fn sweep_error(source: &Arc<dyn Source>, after: Option<&Position>) -> Error {
    sweep(source, after, WIDE).await.expect_err("the sweep is to fail")
}

pub(super) fn end(batches: &[Batch]) -> Position {
    batches.last().expect("a batch").position.clone()
}

/// A position's JSON.
pub(super) fn value(position: &Position) -> Value {
    serde_json::from_str(position.as_str()).expect("JSON")
}

/// A position from JSON.
pub(super) fn position(value: &Value) -> Position {
    Position::from_text(value.to_string()).expect("a position")
}

/// A target in memory, by the text of the key `id`.
#[derive(Debug, Default)]
pub(super) struct Target {
    pub(super) rows: BTreeMap<String, CanonicalRow>,
    pub(super) read: u64,
    pub(super) reread: u64,
}

impl Target {
    pub(super) fn apply(&mut self, batches: &[Batch]) {
        for batch in batches {
            self.read += batch.progress.read;
            self.reread += batch.progress.reread;
            let rows = canonical(batch.changes.records()).expect("rows");
            for (index, row) in rows.into_iter().enumerate() {
                let id = row["id"].clone().expect("a key");
                if batch.changes.is_delete(index) {
                    self.rows.remove(&id);
                } else {
                    self.rows.insert(id, row);
                }
            }
        }
    }

    /// The ids, as numbers.
    pub(super) fn ids(&self) -> Vec<i64> {
        let mut ids: Vec<_> = self.rows.keys().map(|id| id.parse().expect("a number")).collect();
        ids.sort_unstable();
        ids
    }
}
