//! Sweeps of any source, and what a target would make of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use etl_core::batch::{Batch, BatchLimits};
use etl_core::error::{Error, Result};
use etl_core::position::Position;
use etl_core::source::Source;
use etl_core::testing::{CanonicalRow, canonical};
use futures::{StreamExt, TryStreamExt};
use serde_json::Value;

pub(crate) const WIDE: BatchLimits = BatchLimits { rows: 100_000, bytes: 1 << 26 };

pub(crate) fn rows(rows: usize) -> BatchLimits {
    BatchLimits { rows, ..WIDE }
}

/// A whole sweep.
pub(crate) async fn sweep(
    source: &Arc<dyn Source>,
    after: Option<&Position>,
    limits: BatchLimits,
) -> Result<Vec<Batch>> {
    source.read(after.cloned(), limits).await?.try_collect().await
}

/// The first batches of a sweep.
pub(crate) async fn begin(
    source: &Arc<dyn Source>,
    after: Option<&Position>,
    limits: BatchLimits,
    count: usize,
) -> Result<Vec<Batch>> {
    source.read(after.cloned(), limits).await?.take(count).try_collect().await
}

/// The error that a sweep ends with.
pub(crate) async fn sweep_error(source: &Arc<dyn Source>, after: Option<&Position>) -> Error {
    sweep(source, after, WIDE).await.expect_err("the sweep is to fail")
}

pub(crate) fn end(batches: &[Batch]) -> Position {
    batches.last().expect("a batch").position.clone()
}

/// A position's JSON.
pub(crate) fn value(position: &Position) -> Value {
    serde_json::from_str(position.as_str()).expect("JSON")
}

/// A position from JSON.
pub(crate) fn position(value: &Value) -> Position {
    Position::from_text(value.to_string()).expect("a position")
}

/// A target in memory, by the text of the key `id`.
#[derive(Debug, Default)]
pub(crate) struct Target {
    pub(crate) rows: BTreeMap<String, CanonicalRow>,
    pub(crate) read: u64,
    pub(crate) reread: u64,
}

impl Target {
    pub(crate) fn apply(&mut self, batches: &[Batch]) {
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
    pub(crate) fn ids(&self) -> Vec<i64> {
        let mut ids: Vec<_> = self.rows.keys().map(|id| id.parse().expect("a number")).collect();
        ids.sort_unstable();
        ids
    }
}
