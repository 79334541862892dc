//! Carries one stream from its source to its sink.

mod carry;
mod cells;
mod claim;
mod keys;
mod quarantine;
mod read_ahead;
mod replace;
mod replay;
mod sift;

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::batch::BatchLimits;
use crate::error::{Class, Error, Result};
use crate::fail_point;
use crate::metrics::Metrics;
use crate::position::Position;
use crate::quarantine::{MaxRejected, RowKey};
use crate::retry::{Retry, RetryPolicy};
use crate::schema::{Definition, StreamSchema};
use crate::sink::{Checkpoint, Fence, Outcome, Phase, RunReport, Sink};
use crate::source::Source;
use crate::transform::Transform;

use carry::Swept;

/// How a pipeline runs.
#[derive(Debug, Clone)]
pub struct PipelineOptions {
    /// The bounds of a batch.
    pub limits: BatchLimits,
    /// The most bytes that one text or binary value may take, a text's in UTF-8.
    pub max_cell: usize,
    /// After this long no further batch is begun; the next run goes on.
    pub deadline: Option<Duration>,
    /// How long a claim lasts without renewal, by the sink's clock.
    pub lease_ttl: Duration,
    /// Skipping because another run is busy is an error once it has lasted this long.
    pub max_skip: Duration,
    /// When to try again.
    pub retry: RetryPolicy,
    /// How many rows may be put aside before a run fails.
    pub max_rejected: MaxRejected,
    /// Read everything again, whatever the checkpoint says.
    pub full_refresh: bool,
    /// Parts of the stream's definition that the source does not know: mode, target, transforms.
    pub definition: Definition,
}

/// The most bytes of one value where nobody says otherwise.
pub const MAX_CELL: usize = 64 << 20;

impl Default for PipelineOptions {
    fn default() -> Self {
        Self {
            limits: BatchLimits::default(),
            max_cell: MAX_CELL,
            deadline: None,
            lease_ttl: Duration::from_secs(30),
            max_skip: Duration::from_mins(30),
            retry: RetryPolicy::default(),
            max_rejected: MaxRejected::default(),
            full_refresh: false,
            definition: Definition::default(),
        }
    }
}

/// One stream's source, transforms and sink.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use std::sync::Arc;
///
/// use etl_core::connector::{Mode, Stream};
/// use etl_core::testing::{Change, Conditions, MemorySink, MemorySource, MemoryTable, MemoryTarget, Network, Row};
/// use etl_core::{Outcome, Pipeline, PipelineOptions, Source};
/// use tokio_util::sync::CancellationToken;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // What a pipeline file says about a stream.
/// let config = serde_json::from_str(
///     r#"{ "object": "orders", "primary_key": ["id"], "cursor": { "column": "updated_at" },
///          "select": ["id", "name", "status", "amount", "active", "updated_at"] }"#,
/// )?;
/// let stream = Stream { pipeline: "shop".to_owned(), name: "orders".to_owned(), config };
///
/// // Two servers in memory; connectors to true ones are in `etl-sources` and `etl-sinks`.
/// let table = MemoryTable::new();
/// table.write(&[Change::Insert(Row::new(1)), Change::Insert(Row::new(2))])?;
/// let source = Arc::new(MemorySource::new(&table, &stream)?);
/// let target = MemoryTarget::new(Mode::Upsert, Network::new(Conditions::default(), 1));
/// target.prepare(&source.schema().await?);
///
/// let sink = Box::new(MemorySink::new(&target));
/// let options = PipelineOptions::default();
/// let mut pipeline = Pipeline::new(stream.full_name(), source, Vec::new(), sink, options);
/// let finished = pipeline.run(&CancellationToken::new()).await;
/// assert_eq!(finished.report.outcome, Outcome::Success);
/// assert_eq!((finished.report.written, target.rows().len()), (2, 2));
/// # Ok(())
/// # }
/// ```
pub struct Pipeline {
    name: String,
    source: Arc<dyn Source>,
    transforms: Vec<Box<dyn Transform>>,
    sink: Box<dyn Sink>,
    options: PipelineOptions,
    metrics: Metrics,
    observer: Option<Observer>,
    run_id: Option<Uuid>,
}

/// Called after each batch with the report so far.
pub type Observer = Box<dyn Fn(&RunReport) + Send + Sync>;

/// A run that has ended, whatever the outcome.
#[derive(Debug)]
pub struct Finished {
    /// What was done.
    pub report: RunReport,
    /// What ended it early.
    pub error: Option<Error>,
    /// For how long runs have been skipped without interruption.
    pub skipped_for: Option<Duration>,
    /// Whether that is longer than the lease allows.
    pub skipped_too_long: bool,
}

impl Finished {
    /// The exit code of a process that did just this run.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match (&self.error, self.report.outcome) {
            (Some(error), _) => error.class().exit_code(),
            (None, Outcome::Skipped) if self.skipped_too_long => Class::Transient.exit_code(),
            (None, Outcome::Stopped) if self.report.batches == 0 && !self.report.asked_to_stop => {
                Class::Transient.exit_code()
            }
            (None, _) => 0,
        }
    }
}

/// What an execution is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    /// A sweep of the source.
    Sweep,
    /// The rows in the quarantine.
    Replay,
}

/// What one run knows and counts.
struct Progressing<'a> {
    stop: &'a CancellationToken,
    deadline: Option<Instant>,
    report: RunReport,
    skipped_for: Option<Duration>,
    /// How many rows may be put aside; as many as like, if those lie there already.
    limit: Option<MaxRejected>,
    /// The keys of the rows that lie in the quarantine.
    lying: HashSet<RowKey>,
    /// The names of the key's columns at the source.
    source_key: Vec<String>,
    /// The sink is not told how it ended: it does not let us in, and trying again would lock the
    /// account; or nothing was begun.
    silent: bool,
}

impl Progressing<'_> {
    fn is_over(&self) -> bool {
        let late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        late || self.stop.is_cancelled()
    }
}

impl Pipeline {
    /// A pipeline named `name` (`pipeline/stream`); nothing is opened.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        source: Arc<dyn Source>,
        transforms: Vec<Box<dyn Transform>>,
        sink: Box<dyn Sink>,
        options: PipelineOptions,
    ) -> Self {
        let metrics = Metrics::none();
        let name = name.into();
        Self { name, source, transforms, sink, options, metrics, observer: None, run_id: None }
    }

    /// The same pipeline with instruments.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// The same pipeline with somebody who watches.
    #[must_use]
    pub fn with_observer(mut self, observer: Observer) -> Self {
        self.observer = Some(observer);
        self
    }

    /// The same pipeline whose next run has this id, so that the caller's logs can name it.
    #[must_use]
    pub fn with_run_id(mut self, id: Uuid) -> Self {
        self.run_id = Some(id);
        self
    }

    /// Runs one sweep: claims the pipeline, carries every batch, gives the lease back.
    ///
    /// `stop` ends it at the next batch boundary. Dropping the future is as good as killing the
    /// process: what was committed stays, the lease expires by itself.
    pub async fn run(&mut self, stop: &CancellationToken) -> Finished {
        self.execute(Work::Sweep, stop).await
    }

    /// Tries again what lies in the quarantine: reads those rows anew by their keys and commits them;
    /// the position stays. Which landed, was deleted or is not carried any more leaves the quarantine;
    /// which still cannot be stored stays there, with one attempt more. It claims the pipeline as a
    /// run does, and ends with [`Outcome::Replayed`].
    ///
    /// In mode `replace`, and while a load lasts, it is an error of class `Config`: every run reads
    /// all rows there. `stop` and a dropped future do what they do to [`Pipeline::run`].
    pub async fn replay(&mut self, stop: &CancellationToken) -> Finished {
        self.execute(Work::Replay, stop).await
    }

    async fn execute(&mut self, work: Work, stop: &CancellationToken) -> Finished {
        let started = Instant::now();
        let mut run = Progressing {
            stop,
            deadline: self.options.deadline.map(|limit| started + limit),
            report: RunReport::new(&self.name, self.run_id.take().unwrap_or_else(Uuid::new_v4)),
            skipped_for: None,
            limit: (work == Work::Sweep).then_some(self.options.max_rejected),
            lying: HashSet::new(),
            source_key: Vec::new(),
            silent: false,
        };
        // A driver that panics on hostile bytes is a defect to report, not a way to die.
        let driven = match work {
            Work::Sweep => AssertUnwindSafe(self.sweep(&mut run)).catch_unwind().await,
            Work::Replay => AssertUnwindSafe(self.try_again_aside(&mut run)).catch_unwind().await,
        };
        let driven = driven.unwrap_or_else(|_| Err(Error::internal("a part panicked; see stderr")));
        let error = run.report.end(driven, started.elapsed(), stop.is_cancelled());
        if !run.silent {
            fail_point!("finish.before");
            // Nor does a panic here hide how the run ended.
            let finishing = AssertUnwindSafe(self.finish(&run.report)).catch_unwind().await;
            if finishing.is_err() {
                tracing::warn!("the run's ledger row was not written: a part panicked; see stderr");
            }
            fail_point!("finish.after");
        }
        self.metrics.finished(&run.report);
        let skipped_too_long = run.skipped_for.is_some_and(|time| time > self.options.max_skip);
        Finished { report: run.report, error, skipped_for: run.skipped_for, skipped_too_long }
    }

    async fn sweep(&mut self, run: &mut Progressing<'_>) -> Result<Outcome> {
        fail_point!("open.before");
        let schema = self.open(run).await?;
        fail_point!("open.after");
        let Some((checkpoint, mut fence)) = self.begin(run, &schema).await? else {
            return Ok(Outcome::Skipped);
        };
        let replaces = self.sink.replaces();
        let mut after = if replaces {
            self.load_after(&schema, checkpoint, &mut fence)
        } else {
            self.resume_after(&schema, checkpoint)?
        };
        if let Some(position) = &after {
            self.acknowledge(position).await;
        }
        fail_point!("resume.after");
        if replaces {
            return self.replace(run, &schema, &mut fence, after).await;
        }
        match self.carry(run, &schema, &mut fence, &mut after).await? {
            Swept::Stopped => Ok(Outcome::Stopped),
            Swept::Whole | Swept::Pieced => Ok(Outcome::Success),
        }
    }

    /// Takes the pipeline and learns where it stands; `None` if another run is at work.
    async fn begin(
        &mut self,
        run: &mut Progressing<'_>,
        schema: &StreamSchema,
    ) -> Result<Option<(Checkpoint, Fence)>> {
        let Some(checkpoint) = self.claim(run).await? else { return Ok(None) };
        fail_point!("claim.after");
        run.report.checkpoint_from.clone_from(&checkpoint.position);
        run.report.checkpoint_to.clone_from(&checkpoint.position);
        let fence = Fence {
            run: run.report.run,
            sequence: checkpoint.sequence,
            definition: schema.definition.to_text()?,
            ttl: self.options.lease_ttl,
            generation: checkpoint.generation,
        };
        self.learn_lying(run).await?;
        Ok(Some((checkpoint, fence)))
    }

    /// The stream's schema after all transforms, and a target that can take it.
    async fn open(&mut self, run: &mut Progressing<'_>) -> Result<StreamSchema> {
        let mut retry = Retry::new(self.options.retry, run.deadline, run.stop);
        loop {
            match self.try_open(run).await {
                Ok(schema) => return Ok(schema),
                Err(error) => self.try_again(&mut retry, error).await?,
            }
        }
    }

    async fn try_open(&mut self, run: &mut Progressing<'_>) -> Result<StreamSchema> {
        let schema = self.source.schema().await?;
        run.source_key.clone_from(&schema.key);
        let schema = output_schema(schema, &self.transforms, &self.options.definition)?;
        schema.key_indices()?;
        let opened = self.sink.open(&schema).await;
        run.silent = opened.as_ref().is_err_and(|e| e.class() == Class::Permission);
        opened.map(|()| schema)
    }

    async fn try_again(&mut self, retry: &mut Retry<'_>, error: Error) -> Result<()> {
        let class = error.class();
        retry.wait(error).await?;
        self.metrics.retried(class);
        Ok(())
    }

    /// Where to begin: the checkpoint's position, if it belongs to this definition.
    fn resume_after(
        &self,
        schema: &StreamSchema,
        checkpoint: Checkpoint,
    ) -> Result<Option<Position>> {
        let Some(position) = checkpoint.position.filter(|_| !self.options.full_refresh) else {
            return Ok(None);
        };
        if checkpoint.phase == Phase::Loading {
            return Err(Error::schema(
                "the checkpoint's position is that of a load in mode replace, which was not \
                 brought to the target: run once with --full-refresh, or `state reset`",
            ));
        }
        let changes = checkpoint
            .definition
            .map_or_else(Vec::new, |stored| schema.definition.changes_since(&stored));
        if changes.is_empty() {
            return Ok(Some(position));
        }
        Err(Error::schema(format!(
            "the stream's definition is not the one that the checkpoint belongs to ({}). Run once \
             with --full-refresh to read everything again, or `state adopt` to go on from the \
             checkpoint as it is",
            changes.join("; ")
        )))
    }

    async fn acknowledge(&mut self, position: &Position) {
        if let Err(error) = self.source.committed(position).await {
            tracing::warn!("the source did not take note of a durable position: {error:?}");
        }
    }

    async fn finish(&mut self, report: &RunReport) {
        let stop = CancellationToken::new();
        let policy = RetryPolicy { tries: 3, ..self.options.retry };
        let mut retry = Retry::new(policy, None, &stop);
        loop {
            let Err(error) = self.sink.finish(report).await else { return };
            if let Err(error) = retry.wait(error).await {
                tracing::warn!("the run's ledger row was not written: {error:?}");
                return;
            }
        }
    }
}

/// The schema that a sink gets: the source's, through every transform, with the whole definition.
///
/// # Errors
/// `Config` if a transform does not fit.
pub fn output_schema(
    mut schema: StreamSchema,
    transforms: &[Box<dyn Transform>],
    definition: &Definition,
) -> Result<StreamSchema> {
    for transform in transforms {
        schema = transform.schema(schema)?;
    }
    schema.definition = schema.definition.merged(definition);
    Ok(schema)
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
