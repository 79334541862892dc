//! A database server in memory: a target table, a checkpoint, a ledger.

mod aside;
mod checkpoint;
mod ledger;
mod mark;
mod row;
mod stage;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::batch::{Batch, Changes};
use crate::connector::{Mode, StreamConfig};
use crate::error::{Error, Result};
use crate::schema::StreamSchema;
use crate::sink::{Checkpoint, Claim, Counts, Fence, Outcome, Phase, Run, RunReport, StateChange};
use crate::testing::network::Network;
use crate::testing::row::{CanonicalRow, canonical};
use crate::testing::sink_contract::LedgerRow;

pub use aside::Constraints;
pub(in crate::testing) use aside::How;
use aside::Quarantine;
pub(in crate::testing) use checkpoint::Check;
use checkpoint::{Stands, Stored};
use ledger::RunRow;
use mark::Mark;
pub use mark::MarkDefect;
use row::{key, storable};

/// A server with the target of one stream. Its clock is tokio's, so it can be paused.
#[derive(Debug, Clone)]
pub struct MemoryTarget(Arc<Server>);

#[derive(Debug)]
struct Server {
    mode: Mode,
    allow_empty: bool,
    network: Network,
    /// The pipeline's lock: a transaction holds it from before it looks until it has committed.
    pipeline: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    quarantine: Quarantine,
    /// One moment by this machine's clock and by tokio's.
    born: (i64, Instant),
}

#[derive(Debug, Default)]
struct State {
    schema: Option<StreamSchema>,
    mark: Option<Mark>,
    constraints: Constraints,
    tables: Tables,
    checkpoint: Stored,
    /// One row per run, in the order of their claims.
    ledger: Vec<RunRow>,
}

/// The rows of the target, and of the stage.
#[derive(Debug, Clone, Default)]
struct Tables {
    upserted: Keyed,
    staged: Keyed,
    appended: Vec<CanonicalRow>,
}

/// Rows by key.
type Keyed = BTreeMap<Vec<Option<String>>, CanonicalRow>;

impl MemoryTarget {
    /// A server on which nothing is prepared, behind `network`.
    #[must_use]
    pub fn new(mode: Mode, network: Network) -> Self {
        Self::with(mode, false, network)
    }

    /// The same for what a stream's config says about it.
    #[must_use]
    pub fn of(config: &StreamConfig, network: Network) -> Self {
        Self::with(config.mode, config.allow_empty, network)
    }

    fn with(mode: Mode, allow_empty: bool, network: Network) -> Self {
        let (pipeline, state) = (tokio::sync::Mutex::default(), Mutex::default());
        let born = (chrono::Utc::now().timestamp_micros(), Instant::now());
        let quarantine = Quarantine::default();
        Self(Arc::new(Server { mode, allow_empty, network, pipeline, state, quarantine, born }))
    }

    pub(super) fn mode(&self) -> Mode {
        self.0.mode
    }

    pub(crate) fn network(&self) -> &Network {
        &self.0.network
    }

    /// A moment of this server's clock, in microseconds since 1970 UTC.
    fn micros(&self, at: Instant) -> i64 {
        let (wall, born) = self.0.born;
        wall.saturating_add(i64::try_from((at - born).as_micros()).unwrap_or(i64::MAX))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rows of the target table.
    #[must_use]
    pub fn rows(&self) -> Vec<CanonicalRow> {
        let state = self.state();
        state.tables.upserted.values().chain(&state.tables.appended).cloned().collect()
    }

    /// Every run that claimed the pipeline, or ended.
    #[must_use]
    pub fn ledger(&self) -> Vec<LedgerRow> {
        self.state().ledger.iter().map(|run| run.row.clone()).collect()
    }

    /// The checkpoint; `None` before preparing.
    ///
    /// # Errors
    /// `Schema` or `Config` if what is stored cannot be read.
    pub fn checkpoint(&self) -> Result<Option<Checkpoint>> {
        let state = self.state();
        state.schema.as_ref().map(|_| state.checkpoint.read()).transpose()
    }

    /// Prepares it for a stream; once prepared it stays as it is.
    pub fn prepare(&self, schema: &StreamSchema) {
        let mut state = self.state();
        if state.schema.is_none() {
            state.schema = Some(schema.clone());
            state.checkpoint.changed_at = Some(Instant::now());
        }
    }

    pub(super) fn open(&self, schema: &StreamSchema) -> Result<()> {
        let state = self.state();
        let prepared = state.prepared()?;
        for wanted in schema.schema.fields() {
            let found = prepared.schema.field_with_name(wanted.name()).ok();
            let found = found.map(arrow::datatypes::Field::data_type);
            if found != Some(wanted.data_type()) {
                return Err(Error::schema(format!(
                    "{}: the target's column {} is {found:?}, the stream's {}",
                    schema.name,
                    wanted.name(),
                    wanted.data_type()
                )));
            }
        }
        Ok(())
    }

    /// What a claim does at the server: one statement, and, if it found the pipeline taken, a look at
    /// the lease by another, which may see what came in between.
    pub(super) async fn claim(&self, run: &Run) -> Result<Claim> {
        if let Some(checkpoint) = self.take(run).await? {
            return Ok(Claim::Claimed(checkpoint));
        }
        tokio::time::sleep(self.network().work()).await;
        Ok(Claim::Busy(self.state().checkpoint.lease(Instant::now())))
    }

    async fn take(&self, run: &Run) -> Result<Option<Checkpoint>> {
        let _row_lock = self.0.pipeline.lock().await;
        let now = Instant::now();
        let mut state = self.state();
        state.prepared()?;
        let stored = &mut state.checkpoint;
        let ours = stored.run == Some(run.id);
        let free = match stored.lease_until {
            None => !run.waited,
            Some(until) => until <= now,
        };
        if !ours && !free {
            return Ok(None);
        }
        stored.sequence += 1;
        stored.run = Some(run.id);
        stored.hold(run.ttl);
        stored.busy_since = None;
        stored.changed_at = Some(now);
        let checkpoint = stored.read()?;
        state.abandon_all_but(run.id);
        state.run_row(run.id);
        Ok(Some(checkpoint))
    }

    /// What a commit does at the server, in one transaction that takes `work`.
    pub(super) async fn commit(
        &self,
        batch: &Batch,
        fence: &Fence,
        work: Duration,
        (check, keep_stage, how): (Check, bool, How),
    ) -> Result<Counts> {
        let _lock = self.0.pipeline.lock().await;
        tokio::time::sleep(work).await;
        let mut state = self.state();
        let replaces = self.mode() == Mode::Replace;
        match state.checkpoint.stands(batch, fence, (check, replaces)) {
            Stands::Here => {}
            Stands::OneFurther => return Ok(state.checkpoint.counts()),
            Stands::Elsewhere => {
                return Err(Error::fenced("another run or a person moved the checkpoint"));
            }
        }
        let counts = self.write(&mut state, &batch.changes, fence, keep_stage)?;
        if replaces {
            state.checkpoint.generation = fence.generation;
            state.checkpoint.phase = Phase::Loading;
        }
        state.reach(batch, fence, &counts);
        self.put_aside(&mut state, fence, &batch.aside, how);
        Ok(counts)
    }

    /// The rows of a batch without its position: half of a commit, for a planted defect.
    pub(super) async fn rows_only(&self, batch: &Batch, fence: &Fence) -> Result<Counts> {
        let _lock = self.0.pipeline.lock().await;
        let mut state = self.state();
        let replaces = self.mode() == Mode::Replace;
        match state.checkpoint.stands(batch, fence, (Check::Full, replaces)) {
            Stands::Here => {
                let counts = self.write(&mut state, &batch.changes, fence, false)?;
                if replaces {
                    state.checkpoint.generation = fence.generation;
                    state.checkpoint.phase = Phase::Loading;
                }
                Ok(counts)
            }
            Stands::OneFurther => Ok(Counts::default()),
            Stands::Elsewhere => Err(Error::fenced("the checkpoint moved")),
        }
    }

    pub(super) async fn renew(&self, fence: &Fence) -> Result<()> {
        let _row_lock = self.0.pipeline.lock().await;
        let mut state = self.state();
        if state.checkpoint.run != Some(fence.run) || state.checkpoint.sequence < fence.sequence {
            return Err(Error::fenced("the pipeline is no longer ours"));
        }
        state.checkpoint.hold(fence.ttl);
        Ok(())
    }

    pub(super) async fn finish(&self, report: &RunReport) -> Result<()> {
        let _row_lock = self.0.pipeline.lock().await;
        let mut state = self.state();
        state.prepared()?;
        if state.checkpoint.run == Some(report.run) && report.outcome != Outcome::Skipped {
            state.checkpoint.lease_until = None;
        }
        let run = state.run_row(report.run);
        run.finished = Some(Instant::now());
        let row = &mut run.row;
        report.outcome.as_str().clone_into(&mut row.outcome);
        row.horizon_micros = report.horizon_micros;
        row.error_class = report.error_class.map(|class| class.as_str().to_owned());
        Ok(())
    }

    /// What an operator's [`SinkAdmin::change`](crate::sink::SinkAdmin::change) does. Dropped before it is
    /// done, it has changed nothing.
    ///
    /// # Errors
    /// `Config` before preparing.
    pub async fn change(&self, change: StateChange) -> Result<Checkpoint> {
        let _row_lock = self.0.pipeline.lock().await;
        let mut state = self.state();
        state.prepared()?;
        let before = state.checkpoint.read()?;
        match change {
            StateChange::Position(position) => {
                state.checkpoint.position = position.map(|position| position.as_str().to_owned());
                state.checkpoint.phase = Phase::Idle;
            }
            StateChange::Definition(definition) => {
                state.checkpoint.definition = Some(definition.to_text()?);
            }
        }
        state.checkpoint.sequence += 1;
        state.checkpoint.run = None;
        state.checkpoint.lease_until = None;
        state.checkpoint.changed_at = Some(Instant::now());
        Ok(before)
    }
}

impl State {
    fn prepared(&self) -> Result<&StreamSchema> {
        self.schema.as_ref().ok_or_else(|| {
            Error::config("the target is not prepared for this pipeline: run `prepare`")
        })
    }

    fn apply(&mut self, mode: Mode, changes: &Changes, now: &str) -> Result<Counts> {
        let schema = self.prepared()?.clone();
        let rows = stored(&schema, &self.constraints, changes)?;
        if !mode.is_keyed() {
            let inserted = u64::try_from(rows.len()).unwrap_or(u64::MAX);
            self.tables.appended.extend(rows);
            return Ok(Counts { inserted, ..Counts::default() });
        }
        let mut counts = Counts::default();
        for (index, row) in rows.into_iter().enumerate() {
            let key = key(&schema, &row);
            if changes.is_delete(index) {
                counts.deleted += u64::from(self.leave(key, row, now));
                continue;
            }
            let row = self.as_stored(&key, row);
            match self.tables.upserted.insert(key, row.clone()) {
                None => counts.inserted += 1,
                Some(old) if old == row => counts.unchanged += 1,
                Some(_) => counts.updated += 1,
            }
        }
        Ok(counts)
    }

    fn reach(&mut self, batch: &Batch, fence: &Fence, counts: &Counts) {
        self.checkpoint.position = Some(batch.position.as_str().to_owned());
        self.advance(fence, counts);
        let run = self.run_row(fence.run);
        run.reread += batch.progress.reread;
        run.row.read += batch.progress.read;
    }

    fn advance(&mut self, fence: &Fence, counts: &Counts) {
        let rows = counts.inserted + counts.updated + counts.deleted;
        let stored = &mut self.checkpoint;
        stored.sequence += 1;
        stored.last = (stored.sequence, *counts);
        stored.definition = Some(fence.definition.clone());
        stored.rows_total += i64::try_from(rows).unwrap_or(i64::MAX);
        stored.hold(fence.ttl);
        stored.changed_at = Some(Instant::now());
        let row = &mut self.run_row(fence.run).row;
        row.written += counts.inserted + counts.updated;
        row.deleted += counts.deleted;
        row.unchanged += counts.unchanged;
    }
}

/// The rows of a batch, if all can be stored.
fn stored(
    schema: &StreamSchema,
    constraints: &Constraints,
    changes: &Changes,
) -> Result<Vec<CanonicalRow>> {
    let rows = canonical(changes.records())?;
    let upserts = rows.iter().enumerate().filter(|(index, _)| !changes.is_delete(*index));
    upserts.map(|(_, row)| row).try_for_each(|row| storable(schema, constraints, row))?;
    Ok(rows)
}
