//! The quarantine, rows that the target refuses, and probes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::checkpoint::{Check, Stands};
use super::{MemoryTarget, Server, State, Tables};
use crate::batch::{Batch, Changes, Progress};
use crate::connector::Mode;
use crate::error::{Error, Result};
use crate::position::Position;
use crate::quarantine::{Aside, Entry, RowKey};
use crate::sink::{Counts, Fence};
use crate::testing::memory_sink::SinkDefect;
use crate::testing::row::CanonicalRow;

/// What lies in quarantine, each with the generation of the load that put it there, by stream and key.
type Lying = BTreeMap<(String, RowKey), (Entry, i64)>;

/// The streams of one database share it.
pub(super) type Quarantine = Arc<Mutex<Lying>>;

/// What the target's table refuses, beside what its columns do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Constraints {
    /// The rows that are refused.
    pub refused: Option<fn(&CanonicalRow) -> bool>,
    /// A column in which no value may be twice; NULL may.
    pub unique: Option<&'static str>,
}

impl Constraints {
    /// Refuses rows of `tables` that only together are wrong.
    pub(super) fn check(&self, tables: &Tables) -> Result<()> {
        let Some(column) = self.unique else { return Ok(()) };
        for rows in [&tables.upserted, &tables.staged] {
            let mut seen = BTreeSet::new();
            let mut values = rows.values().filter_map(|row| row.get(column).cloned().flatten());
            if !values.all(|value| seen.insert(value)) {
                return Err(Error::data(format!("two rows have one value in column {column}"))
                    .at_column(column)
                    .with_code("unique"));
            }
        }
        Ok(())
    }
}

impl MemoryTarget {
    /// The same server, whose target has constraints.
    #[must_use]
    pub fn constrained(self, constraints: Constraints) -> Self {
        self.state().constraints = constraints;
        self
    }

    /// A target of another stream, on which nothing is prepared, in the same database.
    #[must_use]
    pub fn beside(&self) -> Self {
        let Server { mode, allow_empty, network, quarantine, born, .. } = &*self.0;
        let (pipeline, state) = (tokio::sync::Mutex::default(), Mutex::default());
        Self(Arc::new(Server {
            mode: *mode,
            allow_empty: *allow_empty,
            network: network.clone(),
            pipeline,
            state,
            quarantine: Arc::clone(quarantine),
            born: *born,
        }))
    }

    fn all_aside(&self) -> MutexGuard<'_, Lying> {
        self.0.quarantine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What lies in the stream's quarantine, the oldest first.
    #[must_use]
    pub fn quarantined(&self) -> Vec<Entry> {
        let Some(name) = self.state().schema.as_ref().map(|schema| schema.name.clone()) else {
            return Vec::new();
        };
        let all = self.all_aside();
        let mine = all.iter().filter(|((stream, _), _)| *stream == name);
        let mut mine: Vec<Entry> = mine.map(|(_, (entry, _))| entry.clone()).collect();
        mine.sort_by_key(|entry| entry.first_seen_micros);
        mine
    }

    /// Enters and clears what a commit does to the quarantine, while that holds the state.
    pub(super) fn put_aside(&self, state: &mut State, fence: &Fence, aside: &Aside, how: How) {
        let Some(name) = state.schema.as_ref().map(|schema| schema.name.clone()) else { return };
        let now = self.micros(Instant::now());
        let mut all = self.all_aside();
        for rejected in &aside.put {
            let entry = all.entry((name.clone(), rejected.key.clone()));
            let (entry, generation) = entry.or_insert_with(|| {
                let (rejected, attempts) = (rejected.clone(), 0);
                let (first_seen_micros, last_seen_micros) = (now, now);
                (Entry { rejected, attempts, first_seen_micros, last_seen_micros }, 0)
            });
            *generation = fence.generation;
            entry.rejected = rejected.clone();
            entry.last_seen_micros = now;
            entry.attempts = if how == How::Once { 1 } else { entry.attempts + 1 };
        }
        for key in aside.clear.iter().filter(|_| how != How::Keep) {
            all.retain(|(stream, of), _| of != key || (*stream != name && how != How::ClearAll));
        }
        state.run_row(fence.run).quarantined += u64::try_from(aside.put.len()).unwrap_or(u64::MAX);
    }

    /// Takes out what no batch of this load has put there.
    pub(super) fn clear_other_loads(&self, state: &State, fence: &Fence) {
        let Some(name) = state.schema.as_ref().map(|schema| schema.name.as_str()) else { return };
        self.all_aside().retain(|(stream, _), (_, generation)| {
            stream != name || *generation == fence.generation
        });
    }

    /// The quarantine's part of a commit in a transaction of its own, for a planted defect.
    pub(in crate::testing) fn aside_only(&self, batch: &Batch, fence: &Fence) {
        self.put_aside(&mut self.state(), fence, &batch.aside, How::Right);
    }

    /// What a probe does at the server, in one transaction that takes `work`.
    pub(in crate::testing) async fn probe(
        &self,
        changes: &Changes,
        fence: &Fence,
        work: Duration,
        commits: bool,
    ) -> Result<()> {
        let _lock = self.0.pipeline.lock().await;
        tokio::time::sleep(work).await;
        let mut state = self.state();
        let replaces = self.mode() == Mode::Replace;
        let batch = Batch::new(changes.clone(), Position::from_text("0")?, Progress::default());
        let Stands::Here = state.checkpoint.stands(&batch, fence, (Check::Full, replaces)) else {
            return Err(Error::fenced("another run or a person moved the checkpoint"));
        };
        let before = state.tables.clone();
        let tried = self.write(&mut state, changes, fence, false);
        if !commits {
            state.tables = before;
        }
        tried.map(drop)
    }

    /// Brings rows to the table that they belong to, all or none.
    pub(super) fn write(
        &self,
        state: &mut State,
        changes: &Changes,
        fence: &Fence,
        keep_stage: bool,
    ) -> Result<Counts> {
        let before = state.constraints.unique.map(|_| state.tables.clone());
        let written = if self.mode() == Mode::Replace {
            state.load(changes, fence, keep_stage)
        } else {
            state.apply(self.mode(), changes, &self.time_text())
        };
        let checked = written.and_then(|counts| {
            state.constraints.check(&state.tables)?;
            Ok(counts)
        });
        if let (Err(_), Some(before)) = (&checked, before) {
            state.tables = before;
        }
        checked
    }
}

/// What becomes of the quarantine in a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::testing) enum How {
    /// What the contract says.
    Right,
    /// For [`SinkDefect::EntryStays`].
    Keep,
    /// For [`SinkDefect::ClearsOthers`].
    ClearAll,
    /// For [`SinkDefect::AttemptsForgotten`].
    Once,
}

impl From<Option<SinkDefect>> for How {
    fn from(defect: Option<SinkDefect>) -> Self {
        match defect {
            Some(SinkDefect::EntryStays) => Self::Keep,
            Some(SinkDefect::ClearsOthers) => Self::ClearAll,
            Some(SinkDefect::AttemptsForgotten) => Self::Once,
            _ => Self::Right,
        }
    }
}
