//! The ledger: a row per run, and the figures that are read from them.

use tokio::time::Instant;
use uuid::Uuid;

use super::{MemoryTarget, State};
use crate::ledger::{Ledger, RowCounts, RunCounts};
use crate::sink::Prepared;
use crate::testing::sink_contract::LedgerRow;

const RUNNING: &str = "running";
const ABANDONED: &str = "abandoned";

/// One run.
#[derive(Debug)]
pub(super) struct RunRow {
    pub(super) row: LedgerRow,
    pub(super) reread: u64,
    pub(super) quarantined: u64,
    started: Instant,
    pub(super) finished: Option<Instant>,
}

impl MemoryTarget {
    /// What [`SinkAdmin::ledger`](crate::sink::SinkAdmin::ledger) reads.
    pub(in crate::testing) fn figures(&self) -> Option<Ledger> {
        let quarantined = u64::try_from(self.quarantined().len()).unwrap_or(u64::MAX);
        let state = self.state();
        state.schema.as_ref()?;
        let now = Instant::now();
        let micros = |at: Instant| self.micros(at);
        let worked = || state.ledger.iter().rev().filter(|run| run.is_of_a_sweep());
        let success = state.ledger.iter().rposition(|run| run.row.outcome == "success");
        let last = success.map(|index| &state.ledger[index]);
        let since = success.map_or(0, |index| index + 1);
        let failures = state.ledger[since..].iter().filter(|run| run.is_failure());
        let told = worked().find(|run| run.row.outcome != ABANDONED && run.finished.is_some());
        let (runs, rows) = state.sums();
        Some(Ledger {
            now_micros: micros(now),
            last_success_micros: last.and_then(|run| run.finished).map(micros),
            source_horizon_micros: last.and_then(|run| run.row.horizon_micros),
            last_run_micros: worked().next().map(|run| micros(run.started)),
            last_run_duration: told.and_then(|run| Some(run.finished? - run.started)),
            checkpoint_micros: state.checkpoint.changed_at.map_or(self.0.born.0, micros),
            lease_held: state.checkpoint.lease_until.is_some_and(|until| until > now),
            runs,
            rows,
            quarantined,
            failures_since_success: u64::try_from(failures.count()).unwrap_or(u64::MAX),
        })
    }
}

impl MemoryTarget {
    /// What [`SinkAdmin::streams`](crate::sink::SinkAdmin::streams) reads: a server has one stream.
    pub(in crate::testing) fn streams(&self) -> Vec<Prepared> {
        let name = self.state().schema.as_ref().map(|schema| schema.name.clone());
        let last_run_micros = self.figures().and_then(|ledger| ledger.last_run_micros);
        name.map(|name| Prepared { name, last_run_micros }).into_iter().collect()
    }
}

impl State {
    /// The run's row, made when it is first seen. Commits count in their own transactions, so
    /// that the ledger of a run that was killed is right too.
    pub(super) fn run_row(&mut self, run: Uuid) -> &mut RunRow {
        let found = self.ledger.iter().position(|one| one.row.run == run);
        let index = found.unwrap_or(self.ledger.len());
        if found.is_none() {
            self.ledger.push(RunRow::new(run));
        }
        &mut self.ledger[index]
    }

    /// Runs that never said how they ended were killed.
    pub(super) fn abandon_all_but(&mut self, claiming: Uuid) {
        let others = self.ledger.iter_mut().filter(|run| run.row.run != claiming);
        for run in others.filter(|run| run.row.outcome == RUNNING) {
            ABANDONED.clone_into(&mut run.row.outcome);
            run.finished = Some(Instant::now());
        }
    }

    fn sums(&self) -> (RunCounts, RowCounts) {
        let (mut runs, mut rows) = (RunCounts::default(), RowCounts::default());
        for run in &self.ledger {
            match run.row.outcome.as_str() {
                "success" => runs.success += 1,
                "stopped" => runs.stopped += 1,
                "skipped" => runs.skipped += 1,
                "fenced" => runs.fenced += 1,
                "failed" => runs.failed += 1,
                "replayed" => runs.replayed += 1,
                ABANDONED => runs.abandoned += 1,
                _ => {}
            }
            rows.read += run.row.read;
            rows.written += run.row.written;
            rows.deleted += run.row.deleted;
            rows.unchanged += run.row.unchanged;
            rows.reread += run.reread;
            rows.quarantined += run.quarantined;
        }
        (runs, rows)
    }
}

impl RunRow {
    fn new(run: Uuid) -> Self {
        let row = LedgerRow {
            run,
            outcome: RUNNING.to_owned(),
            read: 0,
            written: 0,
            deleted: 0,
            unchanged: 0,
            horizon_micros: None,
            error_class: None,
        };
        Self { row, reread: 0, quarantined: 0, started: Instant::now(), finished: None }
    }

    /// Whether it did not skip, nor try again what had been put aside.
    fn is_of_a_sweep(&self) -> bool {
        !matches!(self.row.outcome.as_str(), "skipped" | "replayed")
    }

    fn is_failure(&self) -> bool {
        matches!(self.row.outcome.as_str(), "failed" | "fenced" | ABANDONED)
    }
}
