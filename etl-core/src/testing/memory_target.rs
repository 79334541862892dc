//! A database server in memory: a target table, a checkpoint, a ledger.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::batch::{Batch, Changes};
use crate::connector::Mode;
use crate::error::{Error, Result};
use crate::position::Position;
use crate::schema::{Definition, StreamSchema, meta, meta_number};
use crate::sink::{Checkpoint, Claim, Counts, Fence, Lease, Outcome, Run, RunReport, StateChange};
use crate::testing::memory_sink::SinkDefect;
use crate::testing::network::Network;
use crate::testing::row::{CanonicalRow, canonical};
use crate::testing::sink_contract::LedgerRow;

/// A server with the target of one stream. Its clock is tokio's, so it can be paused.
#[derive(Debug, Clone)]
pub struct MemoryTarget(Arc<Server>);

#[derive(Debug)]
struct Server {
    mode: Mode,
    network: Network,
    /// The pipeline's lock: a transaction holds it from before it looks until it has committed.
    pipeline: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    schema: Option<StreamSchema>,
    upserted: BTreeMap<Vec<Option<String>>, CanonicalRow>,
    appended: Vec<CanonicalRow>,
    checkpoint: Stored,
    ledger: Vec<LedgerRow>,
    applied: BTreeMap<Uuid, Counts>,
}

#[derive(Debug, Default)]
struct Stored {
    sequence: i64,
    position: Option<String>,
    definition: Option<String>,
    rows_total: i64,
    run: Option<Uuid>,
    lease_until: Option<Instant>,
    renewals: u64,
    busy_since: Option<Instant>,
    /// What the last commit did.
    last: Counts,
}

impl MemoryTarget {
    /// A server on which nothing is prepared, behind `network`.
    #[must_use]
    pub fn new(mode: Mode, network: Network) -> Self {
        let (pipeline, state) = (tokio::sync::Mutex::default(), Mutex::default());
        Self(Arc::new(Server { mode, network, pipeline, state }))
    }

    pub(super) fn mode(&self) -> Mode {
        self.0.mode
    }

    pub(super) fn network(&self) -> &Network {
        &self.0.network
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rows of the target table.
    #[must_use]
    pub fn rows(&self) -> Vec<CanonicalRow> {
        let state = self.state();
        state.upserted.values().chain(&state.appended).cloned().collect()
    }

    /// Every run that has ended.
    #[must_use]
    pub fn ledger(&self) -> Vec<LedgerRow> {
        self.state().ledger.clone()
    }

    /// What the commits of each run did, whether or not the run got to know.
    #[must_use]
    pub fn applied(&self) -> BTreeMap<Uuid, Counts> {
        self.state().applied.clone()
    }

    /// The checkpoint; `None` before preparing.
    ///
    /// # Errors
    /// `Schema` or `Config` if what is stored cannot be read.
    pub fn checkpoint(&self) -> Result<Option<Checkpoint>> {
        let state = self.state();
        state.schema.as_ref().map(|_| state.checkpoint.read()).transpose()
    }

    pub(super) fn prepare(&self, schema: &StreamSchema) {
        self.state().schema.get_or_insert_with(|| schema.clone());
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

    /// What a claim does at the server, in one statement.
    pub(super) async fn claim(&self, run: &Run) -> Result<Claim> {
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
            return Ok(Claim::Busy(stored.lease(now)));
        }
        stored.sequence += 1;
        stored.run = Some(run.id);
        stored.hold(run.ttl);
        stored.busy_since = None;
        stored.read().map(Claim::Claimed)
    }

    /// What a commit does at the server, in one transaction that takes `work`.
    pub(super) async fn commit(
        &self,
        batch: &Batch,
        fence: &Fence,
        work: Duration,
        check: Check,
    ) -> Result<Counts> {
        let _lock = self.0.pipeline.lock().await;
        tokio::time::sleep(work).await;
        let mut state = self.state();
        match state.checkpoint.stands(batch, fence, check) {
            Stands::Here => {}
            Stands::OneFurther => return Ok(state.checkpoint.last),
            Stands::Elsewhere => {
                return Err(Error::fenced("another run or a person moved the checkpoint"));
            }
        }
        let counts = state.apply(self.mode(), &batch.changes)?;
        state.reach(batch, fence, &counts);
        Ok(counts)
    }

    /// The rows of a batch without its position: half of a commit, for [`SinkDefect`].
    pub(super) async fn rows_only(&self, batch: &Batch, fence: &Fence) -> Result<Counts> {
        let _lock = self.0.pipeline.lock().await;
        let mut state = self.state();
        match state.checkpoint.stands(batch, fence, Check::Full) {
            Stands::Here => state.apply(self.mode(), &batch.changes),
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
        if !state.ledger.iter().any(|row| row.run == report.run) {
            state.ledger.push(ledger_row(report));
        }
        Ok(())
    }

    pub(super) async fn change(&self, change: StateChange) -> Result<Checkpoint> {
        let _row_lock = self.0.pipeline.lock().await;
        let mut state = self.state();
        state.prepared()?;
        let before = state.checkpoint.read()?;
        match change {
            StateChange::Position(position) => {
                state.checkpoint.position = position.map(|position| position.as_str().to_owned());
            }
            StateChange::Definition(definition) => {
                state.checkpoint.definition = Some(definition.to_text()?);
            }
        }
        state.checkpoint.sequence += 1;
        state.checkpoint.run = None;
        state.checkpoint.lease_until = None;
        Ok(before)
    }
}

/// What a commit compares before it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// Sequence and run.
    Full,
    /// For [`SinkDefect::NoSequence`].
    RunOnly,
    /// For [`SinkDefect::NoRun`].
    SequenceOnly,
    /// For [`SinkDefect::NoPosition`].
    RunAndSequence,
    /// For [`SinkDefect::BlindResend`].
    Nothing,
}

impl From<Option<SinkDefect>> for Check {
    fn from(defect: Option<SinkDefect>) -> Self {
        match defect {
            Some(SinkDefect::NoSequence) => Self::RunOnly,
            Some(SinkDefect::NoRun) => Self::SequenceOnly,
            Some(SinkDefect::NoPosition) => Self::RunAndSequence,
            _ => Self::Full,
        }
    }
}

enum Stands {
    Here,
    OneFurther,
    Elsewhere,
}

impl Stored {
    fn read(&self) -> Result<Checkpoint> {
        Ok(Checkpoint {
            sequence: self.sequence,
            position: self.position.clone().map(Position::from_text).transpose()?,
            definition: self.definition.as_deref().map(Definition::from_text).transpose()?,
            rows_total: self.rows_total,
        })
    }

    fn stands(&self, batch: &Batch, fence: &Fence, check: Check) -> Stands {
        // A claim of ours that arrived late bumped the sequence too, but moved no position.
        let reached = self.position.as_deref() == Some(batch.position.as_str());
        let ours = self.run == Some(fence.run) || check == Check::SequenceOnly;
        match self.sequence - fence.sequence {
            _ if check == Check::Nothing => Stands::Here,
            _ if !ours => Stands::Elsewhere,
            _ if check == Check::RunOnly => Stands::Here,
            0 => Stands::Here,
            1 if reached || matches!(check, Check::SequenceOnly | Check::RunAndSequence) => {
                Stands::OneFurther
            }
            _ => Stands::Elsewhere,
        }
    }

    fn hold(&mut self, ttl: Duration) {
        self.lease_until = Some(Instant::now() + ttl);
        self.renewals += 1;
    }

    fn lease(&mut self, now: Instant) -> Lease {
        let since = *self.busy_since.get_or_insert(now);
        Lease {
            holder: self.run,
            token: self.lease_until.map_or_else(String::new, |_| self.renewals.to_string()),
            remaining: self.lease_until.map_or(Duration::ZERO, |until| until - now),
            skipped_for: now - since,
        }
    }
}

impl State {
    fn prepared(&self) -> Result<&StreamSchema> {
        self.schema.as_ref().ok_or_else(|| {
            Error::config("the target is not prepared for this pipeline: run `prepare`")
        })
    }

    fn apply(&mut self, mode: Mode, changes: &Changes) -> Result<Counts> {
        let schema = self.prepared()?.clone();
        let rows = canonical(changes.records())?;
        let upserts = rows.iter().enumerate().filter(|(index, _)| !changes.is_delete(*index));
        upserts.map(|(_, row)| row).try_for_each(|row| storable(&schema, row))?;
        let mut counts = Counts::default();
        for (index, row) in rows.into_iter().enumerate() {
            let key = key(&schema, &row);
            match mode {
                Mode::Append => {
                    counts.inserted += 1;
                    self.appended.push(row);
                }
                Mode::Upsert if changes.is_delete(index) => {
                    counts.deleted += u64::from(self.upserted.remove(&key).is_some());
                }
                Mode::Upsert => match self.upserted.insert(key, row.clone()) {
                    None => counts.inserted += 1,
                    Some(old) if old == row => counts.unchanged += 1,
                    Some(_) => counts.updated += 1,
                },
            }
        }
        Ok(counts)
    }

    fn reach(&mut self, batch: &Batch, fence: &Fence, counts: &Counts) {
        let rows = counts.inserted + counts.updated + counts.deleted;
        let stored = &mut self.checkpoint;
        stored.sequence += 1;
        stored.last = *counts;
        stored.position = Some(batch.position.as_str().to_owned());
        stored.definition = Some(fence.definition.clone());
        stored.rows_total += i64::try_from(rows).unwrap_or(i64::MAX);
        stored.hold(fence.ttl);
        let sum = self.applied.entry(fence.run).or_default();
        sum.inserted += counts.inserted;
        sum.updated += counts.updated;
        sum.deleted += counts.deleted;
        sum.unchanged += counts.unchanged;
    }
}

fn key(schema: &StreamSchema, row: &CanonicalRow) -> Vec<Option<String>> {
    schema.key.iter().map(|column| row.get(column).cloned().flatten()).collect()
}

fn storable(schema: &StreamSchema, row: &CanonicalRow) -> Result<()> {
    for field in schema.schema.fields() {
        let value = row.get(field.name()).and_then(Option::as_ref);
        let refuse = |what: String| {
            let key: Vec<_> = key(schema, row).into_iter().flatten().collect();
            let (name, column) = (&schema.name, field.name());
            Err(Error::data(format!("{name}: column {column} of key {}: {what}", key.join(", "))))
        };
        let Some(value) = value else {
            if field.is_nullable() {
                continue;
            }
            return refuse("NULL, but the column allows none".to_owned());
        };
        let lengths = [
            (meta::MAX_CHARS, value.chars().count(), "characters"),
            (meta::MAX_UNITS, value.encode_utf16().count(), "UTF-16 code units"),
        ];
        for (name, length, unit) in lengths {
            let most = meta_number(field, name).and_then(|most| usize::try_from(most).ok());
            if most.is_some_and(|most| length > most) {
                return refuse(format!("{length} {unit}, {} allowed", most.unwrap_or(0)));
            }
        }
    }
    Ok(())
}

fn ledger_row(report: &RunReport) -> LedgerRow {
    LedgerRow {
        run: report.run,
        outcome: report.outcome.as_str().to_owned(),
        read: report.read,
        written: report.written,
        deleted: report.deleted,
        unchanged: report.unchanged,
        horizon_micros: report.horizon_micros,
        error_class: report.error_class.map(|class| class.as_str().to_owned()),
    }
}
