//! A source in memory that reads as the Postgres source does.

mod lookup;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow::buffer::BooleanBuffer;
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream;
use serde::{Deserialize, Serialize};

use crate::batch::{Batch, BatchLimits, Changes, Progress};
use crate::connector::{FilterExit, Finding, Mode, Stream};
use crate::error::{Error, Result};
use crate::position::Position;
use crate::predicate::Predicate;
use crate::schema::{Definition, StreamSchema};
use crate::source::{Batches, Lookup, Source};
use crate::testing::memory_table::{MemoryTable, micros};
use crate::testing::row::Row;

/// The columns of [`Row`] of a [`MemoryTable`], read sweep by sweep up to a horizon.
#[derive(Debug, Clone)]
pub struct MemorySource {
    table: MemoryTable,
    name: String,
    mode: Mode,
    filter: Option<Predicate>,
    exit: FilterExit,
    guard: i64,
    latency: Duration,
    random: Arc<Mutex<fastrand::Rng>>,
    defect: Option<SourceDefect>,
    definition: Definition,
}

/// Ways to read that lose rows. They show that what looks for lost rows finds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceDefect {
    /// The greatest cursor read so far is taken for settled, whatever transaction is open.
    NaiveWatermark,
    /// Each batch of a sweep takes a horizon of its own.
    FreshHorizonPerPage,
    /// A sweep goes on behind a cursor value, not behind a cursor value and a key.
    CursorOnly,
    /// Prepared transactions are not looked at.
    ForgottenPrepared,
    /// Nothing is kept between the horizon and the oldest transaction that is shown.
    NoGuard,
    /// A sweep that begins where another one ended yields nothing: what replaces then has no second
    /// sweep after a load that was interrupted.
    NoSecondSweep,
    /// A lookup gives rows that a later sweep reads, too.
    LookupUnsettled,
    /// A lookup says nothing about rows that are not there.
    LookupLosesMissing,
    /// A lookup gives rows that do not pass the filter as if they did.
    LookupIgnoresFilter,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    v: u8,
    /// The next sweep reads from here.
    low: i64,
    /// The horizon of the sweep under way, or of the last one.
    h: i64,
    /// Cursor and key of the last row of the batch; nothing at the end of a sweep.
    scan: Option<(i64, i64)>,
}

const VERSION: u8 = 1;

impl MemorySource {
    /// A source of `table`, as `stream` configures it.
    ///
    /// # Errors
    /// `Config` if the filter is not an expression over the columns of [`Row`].
    pub fn new(table: &MemoryTable, stream: &Stream) -> Result<Self> {
        let config = &stream.config;
        let filter = config.filter.as_deref().map(Predicate::parse).transpose()?;
        if let Some(filter) = &filter {
            filter.check(&Row::columns())?;
        }
        let definition = Definition::default()
            .with("where", config.filter.as_deref().unwrap_or_default())
            .with("cursor", &config.cursor.column);
        Ok(Self {
            table: table.clone(),
            name: stream.full_name(),
            mode: config.mode,
            filter,
            exit: config.filter_exit(),
            guard: micros(config.cursor.guard),
            latency: Duration::ZERO,
            random: Arc::default(),
            defect: None,
            definition,
        })
    }

    /// The same source with a network: each question to the server takes up to `latency`.
    #[must_use]
    pub fn with_latency(mut self, latency: Duration, seed: u64) -> Self {
        self.latency = latency;
        self.random = Arc::new(Mutex::new(fastrand::Rng::with_seed(seed)));
        self
    }

    /// The same source with a defect.
    #[must_use]
    pub fn with_defect(mut self, defect: SourceDefect) -> Self {
        self.defect = Some(defect);
        self
    }

    fn place(&self, position: &Position) -> Result<Place> {
        let place: Place = position.decode()?;
        if place.v == VERSION {
            return Ok(place);
        }
        Err(Error::config(format!("{}: the position is of another version", self.name)))
    }

    fn has(&self, defect: SourceDefect) -> bool {
        self.defect == Some(defect)
    }

    async fn network(&self) {
        let share = self.random.lock().unwrap_or_else(PoisonError::into_inner).f64();
        if self.latency > Duration::ZERO {
            tokio::time::sleep(self.latency.mul_f64(share)).await;
        }
    }

    /// The time up to which everything is visible to a snapshot taken from now on. The order of
    /// the questions matters: a transaction may end between two of them.
    async fn horizon(&self, last: i64) -> i64 {
        let now = self.table.now();
        if self.has(SourceDefect::NaiveWatermark) {
            return i64::MAX;
        }
        self.network().await;
        let oldest = self.table.oldest_shown().map_or(now, |oldest| oldest.min(now));
        self.network().await;
        if self.table.any_prepared() && !self.has(SourceDefect::ForgottenPrepared) {
            return last;
        }
        let guard = if self.has(SourceDefect::NoGuard) { 0 } else { self.guard };
        last.max(oldest - guard)
    }

    async fn begin(self, after: Option<Place>, limits: BatchLimits) -> Sweep {
        let start = after.unwrap_or(Place { v: VERSION, low: 0, h: 0, scan: None });
        let h = match start.scan {
            // Going on with a newer horizon would skip what became visible since the sweep began.
            Some(_) if !self.has(SourceDefect::FreshHorizonPerPage) => start.h,
            _ => self.horizon(start.h).await,
        };
        self.network().await;
        let place = Place { h, ..start };
        let skips = self.has(SourceDefect::NoSecondSweep);
        if skips && after.is_some_and(|place| place.scan.is_none()) {
            return Sweep { first: false, place, rows: vec![], limits, source: self, over: false };
        }
        let mut rows: Vec<Row> =
            self.table.rows().into_values().filter(|row| self.wants(row, place)).collect();
        rows.sort_by_key(cursor);
        rows.reverse();
        Sweep { first: after.is_none(), place, rows, limits, source: self, over: false }
    }

    fn wants(&self, row: &Row, place: Place) -> bool {
        let (updated, key) = cursor(row);
        let ahead = match place.scan {
            Some((scanned, _)) if self.has(SourceDefect::CursorOnly) => updated > scanned,
            Some(scanned) => (updated, key) > scanned,
            None => updated >= place.low,
        };
        ahead && (self.mode.is_keyed() || updated < place.h)
    }

    /// Upserts, and what becomes of rows that the filter does not let through.
    fn changes(&self, rows: &[Row]) -> Result<Changes> {
        let records = Row::records(rows)?;
        let Some(filter) = &self.filter else { return Ok(Changes::upserts(records)) };
        let passes = filter.evaluate(&records)?;
        if self.exit.is_told() {
            return Changes::new(records, Some(!&passes));
        }
        let kept = arrow::compute::filter_record_batch(&records, &mask(passes))?;
        Ok(Changes::upserts(kept))
    }
}

fn mask(bits: BooleanBuffer) -> arrow::array::BooleanArray {
    arrow::array::BooleanArray::new(bits, None)
}

fn cursor(row: &Row) -> (i64, i64) {
    (row.updated_at.unwrap_or(0), row.id)
}

/// One sweep: the snapshot's rows that are still to be read, the next one last.
struct Sweep {
    source: MemorySource,
    first: bool,
    place: Place,
    rows: Vec<Row>,
    limits: BatchLimits,
    over: bool,
}

impl Sweep {
    async fn next(&mut self) -> Result<Option<Batch>> {
        if self.over {
            return Ok(None);
        }
        self.source.network().await;
        let rows = self.page();
        if let Some(last) = rows.last() {
            self.place.scan = Some(cursor(last));
        }
        self.over = self.rows.is_empty();
        if self.source.has(SourceDefect::FreshHorizonPerPage) {
            self.place.h = self.source.horizon(self.place.h).await;
        }
        let low = self.place.low;
        let reread = rows.iter().filter(|row| !self.first && cursor(row).0 <= low).count();
        let progress = Progress {
            read: u64::try_from(rows.len()).unwrap_or(u64::MAX),
            reread: u64::try_from(reread).unwrap_or(u64::MAX),
            horizon_micros: self.over.then_some(self.place.h),
        };
        if self.over {
            self.place = self.end();
        }
        let position = Position::encode(&self.place)?;
        let changes = self.source.changes(&rows)?;
        Ok(Some(Batch::new(changes, position, progress)))
    }

    fn page(&mut self) -> Vec<Row> {
        let mut page: Vec<Row> = Vec::new();
        let mut bytes = 0;
        while page.len() < self.limits.rows && (page.is_empty() || bytes < self.limits.bytes) {
            let Some(row) = self.rows.pop() else { break };
            bytes += row.bytes();
            page.push(row);
        }
        page
    }

    /// Where the next sweep begins. Upserts may come twice, so rows above the horizon were read
    /// too; appended rows may not, so the next sweep begins exactly where this one ended.
    fn end(&self) -> Place {
        let Place { low, h, scan, .. } = self.place;
        let reached = match (self.source.mode, scan) {
            _ if self.source.has(SourceDefect::NaiveWatermark) => scan.map_or(low, |(c, _)| c + 1),
            (Mode::Append, _) => h,
            (_, Some((last, _))) => last.min(h),
            (_, None) => low,
        };
        Place { low: low.max(reached), scan: None, ..self.place }
    }
}

#[async_trait]
impl Source for MemorySource {
    async fn schema(&self) -> Result<StreamSchema> {
        self.network().await;
        Ok(StreamSchema { definition: self.definition.clone(), ..Row::stream(&self.name) })
    }

    async fn read(&self, after: Option<Position>, limits: BatchLimits) -> Result<Batches> {
        let after = after.map(|position| self.place(&position)).transpose()?;
        let sweep = self.clone().begin(after, limits).await;
        let batches = stream::try_unfold(sweep, |mut sweep| async move {
            Ok(sweep.next().await?.map(|batch| (batch, sweep)))
        });
        Ok(batches.boxed())
    }

    async fn committed(&self, _: &Position) -> Result<()> {
        Ok(())
    }

    fn lookup(&self) -> Option<&dyn Lookup> {
        Some(self)
    }

    async fn check(&self) -> Result<Vec<Finding>> {
        Ok(vec![Finding::good("cursor", "updated_at is set by the table itself")])
    }
}

#[cfg(test)]
mod tests;
