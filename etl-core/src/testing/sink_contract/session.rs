//! What the cases have in common: a prepared target, and a run on it.

use std::time::Duration;

use uuid::Uuid;

use crate::batch::{Batch, Changes, Progress};
use crate::connector::Mode;
use crate::error::{Error, Result};
use crate::position::Position;
use crate::schema::Definition;
use crate::sink::{Checkpoint, Claim, Counts, Fence, Lease, Outcome, Phase, Run, RunReport, Sink};
use crate::testing::case::Failure;
use crate::testing::row::{CanonicalRow, Row};

use super::{LedgerRow, SinkFixture, TargetSpec};

/// A lease of nobody's concern in the case.
const LONG: Duration = Duration::from_mins(2);

/// A target of one case.
pub(super) struct Target {
    pub(super) fixture: Box<dyn SinkFixture>,
    pub(super) spec: TargetSpec,
}

/// One run that holds the pipeline.
pub(super) struct Session {
    pub(super) sink: Box<dyn Sink>,
    pub(super) fence: Fence,
    pub(super) claimed: Checkpoint,
}

impl Target {
    pub(super) fn new(fixture: Box<dyn SinkFixture>, spec: TargetSpec) -> Self {
        Self { fixture, spec }
    }

    pub(super) fn mode(&self) -> Mode {
        self.spec.stream.config.mode
    }

    pub(super) async fn prepare(&self) -> Result<()> {
        self.fixture.admin().await?.prepare(&self.spec.schema).await
    }

    pub(super) async fn open(&self) -> Result<Box<dyn Sink>> {
        let mut sink = self.fixture.sink().await?;
        sink.open(&self.spec.schema).await?;
        Ok(sink)
    }

    /// A run on a target that is prepared first, with a lease that outlives the case.
    pub(super) async fn session(&self) -> Result<Session, Failure> {
        self.prepare().await?;
        self.run(Uuid::new_v4(), LONG).await
    }

    /// The same with a lease that ends after [`SinkFixture::short_lease`].
    pub(super) async fn short_session(&self) -> Result<Session, Failure> {
        self.prepare().await?;
        self.run(Uuid::new_v4(), self.ttl()).await
    }

    /// A run on the target as it is.
    pub(super) async fn run(&self, id: Uuid, ttl: Duration) -> Result<Session, Failure> {
        let mut sink = self.open().await?;
        let claimed = claimed(sink.claim(&Run { id, ttl, waited: false }).await?)?;
        let definition = Definition::default().with("mode", self.mode().as_str()).to_text()?;
        // As the engine: a load that was interrupted goes on, else another one begins.
        let begins = self.mode() == Mode::Replace && claimed.phase == Phase::Idle;
        let generation = claimed.generation + i64::from(begins);
        let fence = Fence { run: id, sequence: claimed.sequence, definition, ttl, generation };
        Ok(Session { sink, fence, claimed })
    }

    /// A claim by a run that nobody has seen before.
    pub(super) async fn claim(&self, waited: bool) -> Result<Claim> {
        self.open().await?.claim(&Run { id: Uuid::new_v4(), ttl: self.ttl(), waited }).await
    }

    /// The stored checkpoint of a prepared target.
    pub(super) async fn checkpoint(&self) -> Result<Checkpoint> {
        let checkpoint = self.fixture.admin().await?.checkpoint().await?;
        checkpoint.ok_or_else(|| Error::internal("the pipeline has no checkpoint"))
    }

    /// The column in which rows are marked, if they are.
    pub(super) fn mark(&self) -> Option<&str> {
        self.spec.stream.config.mark()
    }

    /// The rows in the target, in an order that can be compared. A mark is shown where there is
    /// one.
    pub(super) async fn rows(&self) -> Result<Vec<CanonicalRow>> {
        let mut rows = self.fixture.rows().await?;
        for row in &mut rows {
            row.retain(|column, value| Some(column.as_str()) != self.mark() || value.is_some());
        }
        rows.sort();
        Ok(rows)
    }

    pub(super) async fn ledger(&self, run: Uuid) -> Result<Vec<LedgerRow>> {
        let rows = self.fixture.ledger().await?;
        Ok(rows.into_iter().filter(|row| row.run == run).collect())
    }

    /// Waits until a lease of [`SinkFixture::short_lease`] that begins now has expired.
    pub(super) async fn outlive(&self) {
        self.fixture.pass(self.ttl() + self.ttl() / 3).await;
    }

    /// How long a short lease lasts.
    pub(super) fn ttl(&self) -> Duration {
        self.fixture.short_lease()
    }

    /// A report of `run`, with numbers that no commit of a case has.
    pub(super) fn report(&self, run: Uuid, outcome: Outcome) -> RunReport {
        let mut report = RunReport::new(&self.spec.schema.name, run);
        report.outcome = outcome;
        (report.read, report.written, report.deleted, report.unchanged) = (10, 4, 3, 2);
        report.horizon_micros = Some(1_700_000_000_000_000);
        report
    }
}

impl Session {
    /// Commits and moves the fence, as the engine does.
    pub(super) async fn commit(&mut self, batch: &Batch) -> Result<Counts> {
        let counts = self.sink.commit(batch, &self.fence).await?;
        self.fence.sequence += 1;
        Ok(counts)
    }

    /// Brings the stage to the target and moves the fence, as the engine does.
    pub(super) async fn apply(&mut self) -> Result<Counts> {
        let counts = self.sink.apply(&self.fence).await?;
        self.fence.sequence += 1;
        Ok(counts)
    }

    /// Replaces the target's rows, in a load of their own.
    pub(super) async fn replace(&mut self, step: i64, rows: &[Row]) -> Result<Counts> {
        self.put(step, rows).await?;
        let counts = self.apply().await?;
        self.fence.generation += 1;
        Ok(counts)
    }

    /// Commits upserts at position `step`.
    pub(super) async fn put(&mut self, step: i64, rows: &[Row]) -> Result<Counts> {
        self.commit(&batch(step, rows, &[])?).await
    }
}

/// A batch of upserts and deletes that reaches position `step`.
pub(super) fn batch(step: i64, upserts: &[Row], deletes: &[i64]) -> Result<Batch> {
    let nothing = |id: &i64| Row {
        name: None,
        status: None,
        amount: None,
        active: None,
        updated_at: None,
        ..Row::new(*id)
    };
    let rows: Vec<_> = upserts.iter().cloned().chain(deletes.iter().map(nothing)).collect();
    let bits = (0..rows.len()).map(|index| index >= upserts.len()).collect();
    let read = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    Ok(Batch {
        changes: Changes::new(Row::records(&rows)?, Some(bits))?,
        position: position(step)?,
        progress: Progress { read, ..Progress::default() },
        aside: crate::Aside::default(),
    })
}

/// The position of a step.
pub(super) fn position(step: i64) -> Result<Position> {
    Position::encode(&serde_json::json!({ "step": step, "text": "Ω'\"" }))
}

/// The rows as the target should show them.
pub(super) fn expected(rows: &[Row]) -> Result<Vec<CanonicalRow>> {
    let mut rows = rows.iter().map(Row::canonical).collect::<Result<Vec<_>>>()?;
    rows.sort();
    Ok(rows)
}

pub(super) fn claimed(claim: Claim) -> Result<Checkpoint, Failure> {
    match claim {
        Claim::Claimed(checkpoint) => Ok(checkpoint),
        Claim::Busy(lease) => Err(Failure::new(format!("the pipeline is busy: {lease:?}"))),
    }
}

pub(super) fn busy(claim: Claim) -> Result<Lease, Failure> {
    match claim {
        Claim::Busy(lease) => Ok(lease),
        Claim::Claimed(_) => Err(Failure::new("the pipeline was claimed, it should be busy")),
    }
}
