//! Everything at once, from a seed: writers, runs, kills, faults, operators, and at the end the
//! question whether every row is where it belongs.
//!
//! Time is virtual: minutes of it pass in milliseconds, and the same seed gives the same story.

mod operators;
mod pause;
mod plan;
mod verdict;
mod writers;

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::connector::Mode;
use crate::error::{Error, Result};
use crate::pipeline::{Finished, Pipeline};
use crate::sink::{Outcome, RunReport};
use crate::source::Source as _;
use crate::testing::fault::{Faults, FaultySink, FaultySource};
use crate::testing::memory_sink::{MemorySink, SinkDefect};
use crate::testing::memory_source::{MemorySource, SourceDefect};
use crate::testing::memory_table::MemoryTable;
use crate::testing::memory_target::{MarkDefect, MemoryTarget};
use crate::testing::network::{Conditions, Network};

use plan::Plan;

/// A defect that is planted, to see that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// In the source.
    Source(SourceDefect),
    /// In the sink.
    Sink(SinkDefect),
    /// In how rows are marked that leave.
    Mark(MarkDefect),
}

/// What a simulation went through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Runs that were begun.
    pub runs: u64,
    /// Runs that ended with success.
    pub successes: u64,
    /// Runs that stopped at a batch boundary.
    pub stopped: u64,
    /// Replays of the quarantine that came to their end.
    pub replayed: u64,
    /// Runs that found another one at work.
    pub skipped: u64,
    /// Runs that lost the pipeline.
    pub fenced: u64,
    /// Runs that gave up after trying again.
    pub failed: u64,
    /// Runs that were killed.
    pub killed: u64,
    /// Runs that stood still for a while, as a paused container does.
    pub paused: u64,
    /// Changes by operators.
    pub changes: u64,
    /// Committed transactions of writers.
    pub transactions: u64,
    /// Rows inserted, updated or deleted in the target.
    pub applied: u64,
    /// Rows that were put aside, as often as they were.
    pub put_aside: u64,
}

/// Something that must never happen, and the seed with which it happens again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The seed.
    pub seed: u64,
    /// What happened.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}: {}", self.seed, self.what)
    }
}

impl std::error::Error for Violation {}

/// Runs the story of `seed`.
///
/// # Errors
/// With what was lost, doubled or wrong.
pub fn simulate(seed: u64) -> Result<Stats, Violation> {
    simulate_with(seed, None)
}

/// Runs the story of `seed` with a planted defect.
///
/// # Errors
/// With what was lost, doubled or wrong.
pub fn simulate_with(seed: u64, defect: Option<Defect>) -> Result<Stats, Violation> {
    let violation = |what: String| Violation { seed, what };
    // The waits between tries are rolled from this thread's generator.
    fastrand::seed(seed);
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| violation(error.to_string()))?
        .block_on(async move {
            let world = World::new(Plan::new(seed), defect).await.map_err(internal)?;
            world.live().await?;
            world.calm().await?;
            verdict::judge(&world)
        })
        .map_err(violation)
}

fn internal(error: Error) -> String {
    format!("{error:?}")
}

/// A source, a target, and everybody around them.
struct World {
    plan: Plan,
    defect: Option<Defect>,
    table: MemoryTable,
    target: MemoryTarget,
    faults: Faults,
    tally: Tally,
}

/// What happened so far, counted by everybody.
#[derive(Debug, Default)]
struct Tally {
    stats: Mutex<Stats>,
    reports: Mutex<Vec<RunReport>>,
    sequence: AtomicI64,
    /// The most rows that the target ever had.
    rows: AtomicUsize,
}

impl Tally {
    fn count(&self, change: impl FnOnce(&mut Stats)) {
        change(&mut self.stats.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn stats(&self) -> Stats {
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What every run that was not killed said about itself.
    fn reports(&self) -> Vec<RunReport> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl World {
    async fn new(plan: Plan, defect: Option<Defect>) -> Result<Arc<Self>> {
        let table = MemoryTable::new();
        let network = Network::new(plan.network, plan.seed);
        let mut target = MemoryTarget::of(&plan.stream()?.config, network);
        if let Some(mark) = plan.stream()?.config.mark() {
            let defect = match defect {
                Some(Defect::Mark(defect)) => Some(defect),
                _ => None,
            };
            target = target.marking(mark, defect);
        }
        if let Some(poison) = plan.poison {
            target = target.constrained(poison.constraints());
        }
        let faults = plan.faults();
        let tally = Tally::default();
        let world = Self { plan, defect, table, target, faults, tally };
        world.target.prepare(&world.source()?.schema().await?);
        Ok(Arc::new(world))
    }

    fn source(&self) -> Result<MemorySource> {
        let source = MemorySource::new(&self.table, &self.plan.stream()?)?
            .with_latency(self.plan.latency, self.plan.seed);
        Ok(match self.defect {
            Some(Defect::Source(defect)) => source.with_defect(defect),
            _ => source,
        })
    }

    fn pipeline(&self, random: &mut fastrand::Rng) -> Result<Pipeline> {
        let source = FaultySource::new(Arc::new(self.source()?), &self.faults);
        let sink = MemorySink::new(&self.target);
        let sink = match self.defect {
            Some(Defect::Sink(defect)) => sink.with_defect(defect),
            _ => sink,
        };
        let sink = FaultySink::new(Box::new(sink), &self.faults);
        let options = self.plan.options(random);
        let name = self.plan.stream()?.full_name();
        Ok(Pipeline::new(name, Arc::new(source), Vec::new(), Box::new(sink), options))
    }

    /// Writers, runs and operators for as long as the plan says.
    async fn live(self: &Arc<Self>) -> Result<(), String> {
        writers::fill(self).map_err(internal)?;
        let writers: Vec<_> =
            (0..3).map(|number| tokio::spawn(writers::write(Arc::clone(self), number))).collect();
        operators::operate(self).await?;
        for writer in writers {
            writer.await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Nobody writes, nothing fails, late messages arrive: two runs bring the rest.
    async fn calm(self: &Arc<Self>) -> Result<(), String> {
        let longest = self.plan.network.patience * 11;
        self.faults.clear();
        self.target.network().change(Conditions::default());
        tokio::time::sleep(longest + Duration::from_secs(5)).await;
        let mut random = fastrand::Rng::with_seed(self.plan.seed);
        let mut successes = 0;
        let mut last = String::new();
        for _ in 0..12 {
            let mut pipeline = self.pipeline(&mut random).map_err(internal)?;
            let finished = pipeline.run(&tokio_util::sync::CancellationToken::new()).await;
            last = format!("{:?}, {:?}", finished.report.outcome, finished.error);
            successes += i32::from(finished.report.outcome == Outcome::Success);
            self.ended(&finished)?;
            if successes == 2 {
                return Ok(());
            }
        }
        Err(format!("no two successes in 12 runs without faults; the last: {last}"))
    }

    /// Counts a run, and looks whether it may end like this.
    fn ended(&self, finished: &Finished) -> Result<(), String> {
        self.tally.count(|stats| match finished.report.outcome {
            Outcome::Success => stats.successes += 1,
            Outcome::Stopped => stats.stopped += 1,
            Outcome::Skipped => stats.skipped += 1,
            Outcome::Fenced => stats.fenced += 1,
            Outcome::Failed => stats.failed += 1,
            Outcome::Replayed => stats.replayed += 1,
        });
        let reports = self.tally.reports.lock();
        reports.unwrap_or_else(PoisonError::into_inner).push(finished.report.clone());
        match &finished.error {
            Some(error) if finished.exit_code() != 75 => Err(format!("a run ended with {error:?}")),
            _ => self.watch(),
        }
    }

    /// The sequence never goes back, and a reader never sees a target that is half replaced: no
    /// row is deleted at the source of a world without a filter, so there the target never shrinks,
    /// unless it refuses rows.
    fn watch(&self) -> Result<(), String> {
        let Some(checkpoint) = self.target.checkpoint().map_err(internal)? else {
            return Err("the checkpoint is gone".to_owned());
        };
        let before = self.tally.sequence.swap(checkpoint.sequence, Ordering::Relaxed);
        if checkpoint.sequence < before {
            return Err(format!("the sequence went from {before} to {}", checkpoint.sequence));
        }
        let rows = self.target.rows().len();
        let most = self.tally.rows.fetch_max(rows, Ordering::Relaxed);
        let shrinks = self.plan.filter.is_some() || self.plan.poison.is_some();
        if rows < most && self.plan.mode == Mode::Replace && !shrinks {
            return Err(format!("a reader saw {rows} rows after {most}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
