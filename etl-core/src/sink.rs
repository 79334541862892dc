//! The contract of everything that stores rows.

use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use uuid::Uuid;

use crate::batch::{Batch, Changes};
use crate::connector::Finding;
use crate::error::{Class, Error, Result};
use crate::ledger::Ledger;
use crate::position::Position;
use crate::quarantine::{Entry, Rejected};
use crate::schema::{Definition, StreamSchema};

/// A place that rows go to, for one stream.
///
/// The engine calls `open`, then `claim` until it is [`Claim::Claimed`], then `commit` once per
/// batch in order with `renew` between, and `finish` always. Any call may be repeated after an
/// error of a retryable class: the sink throws its connection away after any error and connects
/// anew by itself.
///
/// A commit that is repeated is not applied twice, which is what all else rests on:
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use etl_core::connector::Mode;
/// use etl_core::testing::{Conditions, MemorySink, MemoryTarget, Network, Row};
/// use etl_core::{Batch, Changes, Claim, Fence, Position, Progress, Run, Sink};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> etl_core::Result<()> {
/// let target = MemoryTarget::new(Mode::Append, Network::new(Conditions::default(), 1));
/// let schema = Row::stream("shop/orders");
/// target.prepare(&schema);
/// let mut sink = MemorySink::new(&target);
/// sink.open(&schema).await?;
///
/// let ttl = std::time::Duration::from_secs(30);
/// let run = Run { id: uuid::Uuid::new_v4(), ttl, waited: false };
/// let Claim::Claimed(checkpoint) = sink.claim(&run).await? else { panic!("it is new") };
/// let fence = Fence {
///     run: run.id,
///     sequence: checkpoint.sequence,
///     definition: "{}".to_owned(),
///     ttl,
///     generation: checkpoint.generation,
/// };
/// let changes = Changes::upserts(Row::records(&[Row::new(1)])?);
/// let batch = Batch::new(changes, Position::from_text("1")?, Progress::default());
/// sink.commit(&batch, &fence).await?;
/// // As if no answer had come: the same batch with the same fence.
/// sink.commit(&batch, &fence).await?;
/// assert_eq!(target.rows().len(), 1);
/// # Ok(())
/// # }
/// ```
///
/// # A sink that replaces
/// If [`Sink::replaces`], the target becomes what the source holds, and nobody sees it half-way:
///
/// * `commit` loads its rows into a *stage* beside the target, one row per key: an upsert there, a
///   delete there. The target is not touched. Afterwards the checkpoint has the fence's generation
///   and [`Phase::Loading`].
/// * The generation is the number of a load. A `commit` or `apply` whose fence names another one
///   than the checkpoint, or that finds it idle, empties the stage first, in its own transaction.
///   So rows of a load that was given up never reach the target.
/// * `apply` makes the difference between stage and target in one transaction, and leaves
///   [`Phase::Idle`].
///
/// A load that was interrupted goes on with its generation and position. The engine applies it only
/// once a sweep that began where another had ended (or at the very start) was read to its end by
/// one [`Source::read`](crate::Source::read): until then the stage has rows of several snapshots.
#[async_trait]
pub trait Sink: Send {
    /// Connects and checks that the target can take `schema`. Creates nothing in the target.
    /// Dropped half way, it has changed nothing.
    ///
    /// # Errors
    /// `Schema` if the target has other columns, types or keys, or rows are to be marked and the
    /// mark's column is missing, cannot be NULL or is no time; `Config` if it is not prepared.
    async fn open(&mut self, schema: &StreamSchema) -> Result<()>;

    /// Takes the pipeline if its lease is free, expired or already ours; bumps the sequence.
    ///
    /// With `run.waited` (the caller has seen another run's lease) a lease that was given back
    /// is not taken: another run did the work meanwhile. Only the server's clock counts. Dropped
    /// half way, the lease may be taken; it expires by itself.
    ///
    /// # Errors
    /// `Config` if the pipeline's row is missing.
    async fn claim(&mut self, run: &Run) -> Result<Claim>;

    /// Makes the batch's rows and its position durable together, or neither, if the checkpoint
    /// still stands at `fence`; the sequence is one more afterwards.
    ///
    /// May be called again with the same batch and fence after `Transient` or `Unknown`: if the
    /// earlier call had committed after all, this one finds the checkpoint at `sequence + 1`
    /// with our run's id and the batch's position, and returns Ok without writing. All three are
    /// compared: a claim of ours that arrives late bumps the sequence too. It waits for an
    /// earlier transaction of ours that is still committing before it looks.
    ///
    /// **What a delete does.** Where rows are removed, its row goes, if it is there. Where they are
    /// marked ([`StreamConfig::mark`](crate::StreamConfig::mark)):
    /// * The row stays, and the mark's column becomes the time of this commit by the target's
    ///   clock, in UTC: one time for all rows of a batch.
    /// * A row that is marked keeps its time, however often its delete is delivered.
    /// * An upsert of a marked row sets the mark to NULL with the rest of the row, and counts as
    ///   an update even if all the rest was equal.
    /// * A delete of a row that is not there writes nothing, since only its key is known.
    /// * [`Counts::deleted`] is the number of rows that were not marked before.
    ///
    /// **The quarantine.** [`Batch::aside`] is done in the same transaction: its `put` are entered,
    /// or, if an entry of the key is there, renewed with one attempt more and the time at which it
    /// was first seen kept; entries of `clear` go, whatever column they name. Both count in the
    /// run's ledger row, with or without other rows in the batch.
    ///
    /// Dropped half way, the batch is in the target as a whole or not at all: an outcome as unknown
    /// as after `Unknown`.
    ///
    /// # Errors
    /// `Fenced` if another run or a person moved the checkpoint; `Data` if a row cannot be
    /// stored; `Capacity` if a smaller batch may pass. Nothing was written in any case but
    /// `Unknown`.
    async fn commit(&mut self, batch: &Batch, fence: &Fence) -> Result<Counts>;

    /// Tries whether [`Sink::commit`] could store these rows: does all that a commit does with them,
    /// checks that the database puts off until a commit included, and rolls it back. Neither the
    /// target nor the checkpoint nor the quarantine changes.
    ///
    /// The engine calls it to find the rows of a batch that cannot be stored, with parts of the
    /// batch; only if rows may be put aside. Dropped half way, what it did is rolled back.
    ///
    /// # Errors
    /// What a commit of these rows would say. `Config` from a sink that cannot put rows aside.
    async fn probe(&mut self, changes: &Changes, fence: &Fence) -> Result<()> {
        let _ = (changes, fence);
        Err(Error::config("this sink cannot put rows aside; set quarantine.max_rows to 0"))
    }

    /// The rows of this stream that lie in the quarantine, in any order; the reasons are as stored.
    /// Called after a claim. Dropped half way, it has changed nothing.
    ///
    /// # Errors
    /// If they cannot be read.
    async fn quarantined(&mut self) -> Result<Vec<Rejected>> {
        Ok(Vec::new())
    }

    /// Whether commits load a stage that [`Sink::apply`] brings to the target. Always the same.
    fn replaces(&self) -> bool {
        false
    }

    /// Brings the target to what the stage holds: deletes what it lacks, updates what differs to
    /// the byte, inserts what is new; the position stays. All or nothing, if the checkpoint still
    /// stands at `fence`; the sequence is one more afterwards. The counts are the target's rows.
    /// What no batch of this generation has put aside leaves the quarantine: those rows are gone.
    ///
    /// May be called again after `Transient` or `Unknown`, as [`Sink::commit`]: an earlier call had
    /// succeeded if the checkpoint is at `sequence + 1`, of our run, idle, with our generation.
    ///
    /// Dropped half way, the difference is in the target as a whole or not at all, as for a commit.
    ///
    /// # Errors
    /// `Fenced` as for `commit`; `Data` if the stage is empty, the target is not, and the stream
    /// does not allow that. Nothing was written in any case but `Unknown`.
    async fn apply(&mut self, fence: &Fence) -> Result<Counts> {
        Err(Error::internal(format!("generation {}: this sink has no stage", fence.generation)))
    }

    /// Extends the lease while nothing is being committed. Dropped half way, it may be extended.
    ///
    /// # Errors
    /// `Fenced` if the pipeline is no longer ours.
    async fn renew(&mut self, fence: &Fence) -> Result<()>;

    /// Writes the run's ledger row and gives the lease back. Called for every outcome. Dropped half
    /// way, the lease expires by itself and the ledger shows a run without an end.
    ///
    /// # Errors
    /// A failure is logged; the lease then expires by itself.
    async fn finish(&mut self, report: &RunReport) -> Result<()>;
}

/// What operators do to a prepared target, beside running pipelines.
#[async_trait]
pub trait SinkAdmin: Send {
    /// The statements that [`SinkAdmin::prepare`] would run on an empty server, in order.
    ///
    /// # Errors
    /// `Schema` if the stream has no target form.
    fn plan(&self, schema: &StreamSchema) -> Result<Vec<Statement>>;

    /// Creates what is missing: state tables, target table, the pipeline's checkpoint row. With
    /// an owner's login. Safe to run twice, or twice at once; so also after it was dropped half way.
    ///
    /// # Errors
    /// Names the statement that failed.
    async fn prepare(&mut self, schema: &StreamSchema) -> Result<()>;

    /// Looks for every right and object that a run needs, with a rolled-back write. Dropped half
    /// way, that write is rolled back too.
    ///
    /// # Errors
    /// When it cannot even look.
    async fn check(&mut self, schema: &StreamSchema) -> Result<Vec<Finding>>;

    /// The stored checkpoint; `None` if the pipeline was never prepared. Dropped half way, it has
    /// changed nothing.
    ///
    /// # Errors
    /// If it cannot be read.
    async fn checkpoint(&mut self) -> Result<Option<Checkpoint>>;

    /// What the ledger says about this stream, by the target's clock; `None` if the pipeline was
    /// never prepared. Needs no right but to read the state tables, changes and locks nothing, and
    /// may be called as often as one likes, also while runs are at work: it then shows what is
    /// committed. A connection that is costly to open is kept, and thrown away after any error and
    /// when the future is dropped.
    ///
    /// # Errors
    /// If it cannot be read; `Permission` if this login may not.
    async fn ledger(&mut self) -> Result<Option<Ledger>>;

    /// The streams of this stream's pipeline that were prepared, in any order; none if nothing
    /// ever was. Needs, changes and locks what [`SinkAdmin::ledger`] does, also when it is dropped.
    ///
    /// # Errors
    /// As [`SinkAdmin::ledger`].
    async fn streams(&mut self) -> Result<Vec<Prepared>>;

    /// What lies in the stream's quarantine, the oldest first; nothing if it was never prepared.
    /// Needs, changes and locks what [`SinkAdmin::ledger`] does, also when it is dropped.
    ///
    /// # Errors
    /// As [`SinkAdmin::ledger`].
    async fn quarantined(&mut self) -> Result<Vec<Entry>>;

    /// Takes the lease, changes the checkpoint, bumps the sequence and clears the run's id, so
    /// that whatever run was going on is fenced. Returns the checkpoint before the change. Dropped
    /// half way, the change was made as a whole or not at all.
    ///
    /// # Errors
    /// `Config` if the pipeline was never prepared.
    async fn change(&mut self, change: StateChange) -> Result<Checkpoint>;
}

/// A stream that a target was prepared for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// `pipeline/stream`.
    pub name: String,
    /// When its last run began that was not skipped, as in [`Ledger::last_run_micros`].
    pub last_run_micros: Option<i64>,
}

/// What the names of all streams of a stream's pipeline begin with: `pipeline/`.
#[must_use]
pub fn siblings(name: &str) -> String {
    name.split_inclusive('/').next().unwrap_or_default().to_owned()
}

/// One statement of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// What it is for, in a few words; stable, so that a failure can be found.
    pub name: String,
    /// The text that is sent.
    pub text: String,
}

impl Statement {
    /// The name on one line, for a comment in a script: a name of a table may hold a line's end.
    #[must_use]
    pub fn title(&self) -> String {
        let line = |c: char| if c.is_control() || "\u{2028}\u{2029}".contains(c) { ' ' } else { c };
        self.name.chars().map(line).collect()
    }
}

/// A change that an operator makes to a checkpoint.
#[derive(Debug, Clone)]
pub enum StateChange {
    /// Go on from here; `None` starts anew. A load is given up: the phase becomes idle.
    Position(Option<Position>),
    /// Accept the definition as if it had always been this one.
    Definition(Definition),
}

/// One execution of a pipeline's stream.
#[derive(Debug, Clone)]
pub struct Run {
    /// Made anew for each execution.
    pub id: Uuid,
    /// How long the claim lasts without renewal.
    pub ttl: Duration,
    /// Whether another run's lease was seen before; see [`Sink::claim`].
    pub waited: bool,
}

/// The answer to a claim.
#[derive(Debug, Clone)]
pub enum Claim {
    /// The pipeline is ours.
    Claimed(Checkpoint),
    /// Another run holds it, or (with `run.waited`) has just done the work.
    Busy(Lease),
}

/// Another run's hold on a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// That run's id, if the row has one.
    pub holder: Option<Uuid>,
    /// Changes with each renewal; empty once given back. Only good for comparing.
    pub token: String,
    /// How long it still lasts by the server's clock.
    pub remaining: Duration,
    /// For how long, without interruption, runs have found the pipeline busy.
    pub skipped_for: Duration,
}

/// What a sink holds for a pipeline's stream.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Checkpoint {
    /// Bumped by each claim, commit and state change; never decreases.
    pub sequence: i64,
    /// Where to go on; `None` before the first commit.
    #[serde(serialize_with = "position_text")]
    pub position: Option<Position>,
    /// The definition that the position belongs to.
    pub definition: Option<Definition>,
    /// Rows applied by all commits so far.
    pub rows_total: i64,
    /// The number of the load that the stage belongs to; 0 before the first.
    pub generation: i64,
    /// What the position belongs to.
    pub phase: Phase,
}

/// Whether a checkpoint's position tells how far the target is, or how far a stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The target holds what was read up to the position.
    #[default]
    Idle,
    /// A stage does; it was not brought to the target yet.
    Loading,
}

impl Phase {
    /// The word in the checkpoint.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Loading => "loading",
        }
    }

    /// Reads that word.
    ///
    /// # Errors
    /// `Config` if it is another one: a newer version wrote it.
    pub fn from_text(text: &str) -> Result<Self> {
        [Self::Idle, Self::Loading].into_iter().find(|phase| phase.as_str() == text).ok_or_else(
            || Error::config(format!("the checkpoint's phase \"{text}\" is not known here")),
        )
    }
}

fn position_text<S: serde::Serializer>(
    position: &Option<Position>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    match position {
        Some(position) => match serde_json::from_str::<serde_json::Value>(position.as_str()) {
            Ok(value) => value.serialize(serializer),
            Err(_) => serializer.serialize_str(position.as_str()),
        },
        None => serializer.serialize_none(),
    }
}

/// The state of the checkpoint that a commit must find: compare-and-set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// Our run.
    pub run: Uuid,
    /// The sequence that our last claim or commit left.
    pub sequence: i64,
    /// The definition to store with the position, as [`Definition::to_text`] gives it.
    pub definition: String,
    /// How long the lease lasts from this commit on.
    pub ttl: Duration,
    /// The load that a sink that replaces works on; others leave it as it is.
    pub generation: i64,
}

/// What a commit did to the target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows that were not there before.
    pub inserted: u64,
    /// Rows that were there and differed.
    pub updated: u64,
    /// Rows that were there and left: removed, or newly marked.
    pub deleted: u64,
    /// Upserts of rows that were there already, equal to the last byte.
    pub unchanged: u64,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The sweep was read to its end and all of it is durable.
    Success,
    /// Asked to stop, or at its deadline, at a batch boundary: the next run goes on.
    Stopped,
    /// Another run holds the pipeline.
    Skipped,
    /// Another run or a person took the pipeline over.
    Fenced,
    /// An error ended it.
    Failed,
    /// It read no sweep: rows that had been put aside were tried again.
    Replayed,
}

impl Outcome {
    /// The word in logs and in the ledger.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Stopped => "stopped",
            Self::Skipped => "skipped",
            Self::Fenced => "fenced",
            Self::Failed => "failed",
            Self::Replayed => "replayed",
        }
    }
}

/// A run's result, as the ledger and the summary show it. More will be counted in time.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RunReport {
    /// `pipeline/stream`.
    pub name: String,
    /// This execution.
    pub run: Uuid,
    /// How it ended.
    pub outcome: Outcome,
    /// Rows read from the source.
    pub read: u64,
    /// Rows inserted or updated.
    pub written: u64,
    /// Rows deleted.
    pub deleted: u64,
    /// Rows found equal.
    pub unchanged: u64,
    /// Rows read that an earlier sweep had read.
    pub reread: u64,
    /// Rows put aside.
    pub quarantined: u64,
    /// Batches committed.
    pub batches: u64,
    /// Where the run began.
    pub checkpoint_from: Option<Position>,
    /// Where the next one goes on.
    pub checkpoint_to: Option<Position>,
    /// The source's clock up to which everything is in the target, microseconds since 1970 UTC.
    pub horizon_micros: Option<i64>,
    /// How long it took.
    pub duration: Duration,
    /// Whether somebody asked it to stop.
    pub asked_to_stop: bool,
    /// The class of the error that ended it.
    pub error_class: Option<Class>,
    /// The database's own code of that error.
    pub error_code: Option<String>,
}

impl RunReport {
    /// A report of a run that has done nothing yet.
    #[must_use]
    pub fn new(name: impl Into<String>, run: Uuid) -> Self {
        Self {
            name: name.into(),
            run,
            outcome: Outcome::Failed,
            read: 0,
            written: 0,
            deleted: 0,
            unchanged: 0,
            reread: 0,
            quarantined: 0,
            batches: 0,
            checkpoint_from: None,
            checkpoint_to: None,
            horizon_micros: None,
            duration: Duration::ZERO,
            asked_to_stop: false,
            error_class: None,
            error_code: None,
        }
    }

    /// Counts a batch that is durable.
    pub(crate) fn add(&mut self, batch: &Batch, counts: &Counts) {
        self.read += batch.progress.read;
        self.reread += batch.progress.reread;
        self.count(counts);
        self.quarantined += u64::try_from(batch.aside.put.len()).unwrap_or(u64::MAX);
        self.batches += 1;
        self.checkpoint_to = Some(batch.position.clone());
        self.horizon_micros = batch.progress.horizon_micros.or(self.horizon_micros);
    }

    /// Counts rows of the target.
    pub(crate) fn count(&mut self, counts: &Counts) {
        self.written += counts.inserted + counts.updated;
        self.deleted += counts.deleted;
        self.unchanged += counts.unchanged;
    }

    /// Notes how it ended and gives the error back.
    pub(crate) fn end(
        &mut self,
        ended: Result<Outcome>,
        duration: Duration,
        asked_to_stop: bool,
    ) -> Option<Error> {
        self.duration = duration;
        self.asked_to_stop = asked_to_stop;
        if !matches!(ended, Ok(Outcome::Success)) {
            // Before a sweep's end its horizon says nothing about what the target holds.
            self.horizon_micros = None;
        }
        match ended {
            Ok(outcome) => {
                self.outcome = outcome;
                None
            }
            Err(error) => {
                let fenced = error.class() == Class::Fenced;
                self.outcome = if fenced { Outcome::Fenced } else { Outcome::Failed };
                self.error_class = Some(error.class());
                self.error_code = error.code().map(str::to_owned);
                Some(error)
            }
        }
    }
}
