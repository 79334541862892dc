//! What the cases have in common: a table, what must be in it, and a target that applies batches.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use serde_json::json;

use crate::batch::{Batch, BatchLimits, Changes};
use crate::connector::{FilterExit, Mode, Stream};
use crate::error::{Error, Result};
use crate::position::Position;
use crate::source::Source;
use crate::testing::case::{Check, Failure, check};
use crate::testing::row::{CanonicalRow, Row, canonical};

use super::{Change, SourceFixture};

/// A table of one case.
pub(super) struct World {
    pub(super) fixture: Box<dyn SourceFixture>,
    table: String,
}

/// Bounds that no case reaches.
pub(super) const WIDE: BatchLimits = BatchLimits { rows: 10_000, bytes: 1 << 24 };

/// At most so many rows in a batch.
pub(super) fn rows(rows: usize) -> BatchLimits {
    BatchLimits { rows, ..WIDE }
}

impl World {
    pub(super) fn new(fixture: Box<dyn SourceFixture>, table: String) -> Self {
        Self { fixture, table }
    }

    /// The stream as the suite wants it.
    pub(super) fn stream(
        &self,
        mode: Mode,
        filter: Option<&str>,
        exit: Option<FilterExit>,
    ) -> Result<Stream> {
        let config = json!({
            "object": self.table,
            "mode": mode,
            "primary_key": ["id"],
            "cursor": { "column": "updated_at", "guard": "1s" },
            "select": ["id", "name", "status", "amount", "active", "updated_at"],
            "where": filter,
            "on_filter_exit": exit,
        });
        let config = serde_json::from_value(config)
            .map_err(|error| Error::internal("the suite's stream").with_source(error))?;
        Ok(Stream { pipeline: "contract".to_owned(), name: self.table.clone(), config })
    }

    /// A source of all rows, as upserts.
    pub(super) async fn source(&self) -> Result<Arc<dyn Source>> {
        self.fixture.source(self.stream(Mode::Upsert, None, None)?).await
    }

    /// Inserts rows `ids` in one transaction, so that many have one cursor value.
    pub(super) async fn insert(&self, ids: impl IntoIterator<Item = i64>) -> Result<()> {
        let changes: Vec<_> = ids.into_iter().map(|id| Change::Insert(Row::new(id))).collect();
        self.fixture.write(&changes).await
    }

    /// Three transactions of many rows each, all of them settled.
    pub(super) async fn fill(&self, count: i64) -> Result<()> {
        for part in 0..3 {
            self.insert((1..=count).filter(|id| id % 3 == part)).await?;
        }
        self.fixture.settle().await
    }

    /// What a row looks like in a batch or in the target, its time aside.
    pub(super) fn expect(rows: &[Row]) -> Result<BTreeMap<i64, CanonicalRow>> {
        rows.iter().map(|row| Ok((row.id, timeless(row.canonical()?)))).collect()
    }
}

/// One sweep, read to its end, each batch checked for what holds for every batch.
pub(super) async fn sweep(
    source: &Arc<dyn Source>,
    after: Option<Position>,
    limits: BatchLimits,
) -> Result<Vec<Batch>, Failure> {
    let batches: Vec<Batch> = source.read(after, limits).await?.try_collect().await?;
    check!(!batches.is_empty(), "a sweep ended without a batch, so without a position");
    for batch in &batches {
        sound(batch, limits)?;
    }
    Ok(batches)
}

/// The first `count` batches of a sweep; the rest is not read.
pub(super) async fn begin_sweep(
    source: &Arc<dyn Source>,
    after: Option<Position>,
    limits: BatchLimits,
    count: usize,
) -> Result<Vec<Batch>, Failure> {
    Ok(source.read(after, limits).await?.take(count).try_collect().await?)
}

/// The position after the last of `batches`, as a sink would give it back.
pub(super) fn end(batches: &[Batch]) -> Result<Option<Position>, Failure> {
    batches.last().map(|batch| stored(&batch.position)).transpose()
}

/// A position after a sink stored its text.
pub(super) fn stored(position: &Position) -> Result<Position, Failure> {
    Ok(Position::from_text(position.as_str())?)
}

fn sound(batch: &Batch, limits: BatchLimits) -> Check {
    let ids = ids(&batch.changes)?;
    let mut once = ids.clone();
    once.sort_unstable();
    once.dedup();
    check!(once.len() == ids.len(), "two rows for one key in a batch: {ids:?}");
    check!(ids.len() <= limits.rows, "{} rows, limit {}", ids.len(), limits.rows);
    let progress = batch.progress;
    check!(progress.reread <= progress.read, "more rows read again than read: {progress:?}");
    stored(&batch.position).map(drop)
}

/// The keys of a batch, in its order.
pub(super) fn ids(changes: &Changes) -> Result<Vec<i64>, Failure> {
    let rows = canonical(changes.records())?;
    rows.iter()
        .map(|row| {
            let id = row.get("id").and_then(Option::as_deref).and_then(|id| id.parse().ok());
            id.ok_or_else(|| Failure::new(format!("a row without a whole number as id: {row:?}")))
        })
        .collect()
}

fn timeless(mut row: CanonicalRow) -> CanonicalRow {
    row.remove("updated_at");
    row
}

/// A target in memory: applies batches as an upserting sink does.
#[derive(Debug, Default)]
pub(super) struct Applied {
    pub(super) rows: BTreeMap<i64, CanonicalRow>,
    /// How often each key came as an upsert.
    pub(super) upserts: BTreeMap<i64, usize>,
    /// How often each key came as a delete.
    pub(super) deletes: BTreeMap<i64, usize>,
}

impl Applied {
    pub(super) fn of(batches: &[Batch]) -> Result<Self, Failure> {
        let mut applied = Self::default();
        applied.apply(batches)?;
        Ok(applied)
    }

    pub(super) fn apply(&mut self, batches: &[Batch]) -> Check {
        for batch in batches {
            let rows = canonical(batch.changes.records())?;
            for (index, (id, row)) in ids(&batch.changes)?.into_iter().zip(rows).enumerate() {
                if batch.changes.is_delete(index) {
                    self.rows.remove(&id);
                    *self.deletes.entry(id).or_default() += 1;
                } else {
                    self.rows.insert(id, timeless(row));
                    *self.upserts.entry(id).or_default() += 1;
                }
            }
        }
        Ok(())
    }
}

/// Rows read, and those of them read again.
pub(super) fn progress(batches: &[Batch]) -> (u64, u64) {
    batches.iter().fold((0, 0), |(read, reread), batch| {
        (read + batch.progress.read, reread + batch.progress.reread)
    })
}
