//! A sink into a server in memory.

use async_trait::async_trait;

use crate::batch::{Batch, Changes};
use crate::connector::{Finding, Mode};
use crate::error::{Class, Result};
use crate::ledger::Ledger;
use crate::quarantine::{Aside, Entry, Rejected};
use crate::schema::StreamSchema;
use crate::sink::{
    Checkpoint, Claim, Counts, Fence, Prepared, Run, RunReport, Sink, SinkAdmin, StateChange,
    Statement,
};
use crate::testing::memory_target::{Check, How, MemoryTarget};

/// A client of a [`MemoryTarget`].
#[derive(Debug)]
pub struct MemorySink {
    target: MemoryTarget,
    defect: Option<SinkDefect>,
    /// The sequence of a commit whose outcome we do not know.
    unknown: Option<i64>,
}

/// Ways to commit that lose or double rows. They show that what looks for such rows finds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinkDefect {
    /// Rows and position are committed one after the other.
    CheckpointApart,
    /// After an unknown outcome: look whether it had committed, and if not, write.
    BlindResend,
    /// A commit does not compare the sequence.
    NoSequence,
    /// A commit compares nothing but the sequence, so another run's claim looks like a commit.
    NoRun,
    /// After an unknown outcome the position is not compared, so that a claim of the same run
    /// that arrives late looks like a commit.
    NoPosition,
    /// A new generation finds the rows of the one before in the stage.
    StageKept,
    /// The stage is brought to the target in two transactions: one empties it, one fills it.
    ApplyApart,
    /// After an unknown outcome of an apply the phase is not compared, so that a claim of the same
    /// run that arrives late looks like an apply.
    NoPhase,
    /// The quarantine is written in a transaction of its own, before the commit.
    QuarantineApart,
    /// A probe is not rolled back.
    ProbeCommits,
    /// What landed or was deleted stays in the quarantine.
    EntryStays,
    /// A row that landed clears the entries of other streams, too.
    ClearsOthers,
    /// A row that is put aside again counts as put aside once.
    AttemptsForgotten,
}

impl MemorySink {
    /// A sink into `target`; nothing is opened.
    #[must_use]
    pub fn new(target: &MemoryTarget) -> Self {
        Self { target: target.clone(), defect: None, unknown: None }
    }

    /// The same sink with a defect.
    #[must_use]
    pub fn with_defect(mut self, defect: SinkDefect) -> Self {
        self.defect = Some(defect);
        self
    }

    async fn send(&self, batch: &Batch, fence: &Fence, check: Check) -> Result<Counts> {
        let (target, batch, fence) = (self.target.clone(), batch.clone(), fence.clone());
        let work = self.target.network().work();
        let kept = self.defect == Some(SinkDefect::StageKept);
        let how = (check, kept, How::from(self.defect));
        let commit = async move { target.commit(&batch, &fence, work, how).await };
        self.target.network().call(commit).await
    }

    async fn send_apply(&self, fence: &Fence) -> Result<Counts> {
        let (target, fence, defect) = (self.target.clone(), fence.clone(), self.defect);
        let work = self.target.network().work();
        let apply = async move { target.apply(&fence, work, defect).await };
        self.target.network().call(apply).await
    }

    async fn commit_apart(&self, batch: &Batch, fence: &Fence) -> Result<Counts> {
        let (target, rows, same) = (self.target.clone(), batch.clone(), fence.clone());
        let write = async move { target.rows_only(&rows, &same).await };
        let counts = self.target.network().call(write).await?;
        let empty = batch.changes.records().slice(0, 0);
        let position = Batch { changes: crate::Changes::upserts(empty), ..batch.clone() };
        self.send(&position, fence, Check::Full).await?;
        Ok(counts)
    }

    async fn quarantine_apart(&self, batch: &Batch, fence: &Fence) -> Result<Counts> {
        let (target, all, same) = (self.target.clone(), batch.clone(), fence.clone());
        let put = async move {
            target.aside_only(&all, &same);
            Ok(())
        };
        self.target.network().call(put).await?;
        let rest = Batch { aside: Aside::default(), ..batch.clone() };
        self.send(&rest, fence, Check::Full).await
    }

    async fn resend_blindly(&self, batch: &Batch, fence: &Fence) -> Result<Counts> {
        let target = self.target.clone();
        let look = self.target.network().call(async move { target.checkpoint() }).await?;
        let reached = look.map_or(0, |checkpoint| checkpoint.sequence);
        if reached != fence.sequence {
            return Ok(Counts::default());
        }
        self.send(batch, fence, Check::Nothing).await
    }
}

#[async_trait]
impl Sink for MemorySink {
    async fn open(&mut self, schema: &StreamSchema) -> Result<()> {
        let (target, schema) = (self.target.clone(), schema.clone());
        self.target.network().call(async move { target.open(&schema) }).await
    }

    async fn claim(&mut self, run: &Run) -> Result<Claim> {
        let (target, run) = (self.target.clone(), run.clone());
        self.target.network().call(async move { target.claim(&run).await }).await
    }

    async fn commit(&mut self, batch: &Batch, fence: &Fence) -> Result<Counts> {
        let again = self.unknown.take() == Some(fence.sequence);
        let result = match self.defect {
            Some(SinkDefect::CheckpointApart) => self.commit_apart(batch, fence).await,
            Some(SinkDefect::QuarantineApart) => self.quarantine_apart(batch, fence).await,
            Some(SinkDefect::BlindResend) if again => self.resend_blindly(batch, fence).await,
            defect => self.send(batch, fence, defect.into()).await,
        };
        if result.as_ref().is_err_and(|error| error.class() == Class::Unknown) {
            self.unknown = Some(fence.sequence);
        }
        result
    }

    async fn probe(&mut self, changes: &Changes, fence: &Fence) -> Result<()> {
        let (target, changes, same) = (self.target.clone(), changes.clone(), fence.clone());
        let (work, commits) =
            (self.target.network().work(), self.defect == Some(SinkDefect::ProbeCommits));
        let probe = async move { target.probe(&changes, &same, work, commits).await };
        self.target.network().call(probe).await
    }

    async fn quarantined(&mut self) -> Result<Vec<Rejected>> {
        let target = self.target.clone();
        let look = async move { Ok(target.quarantined()) };
        let entries: Vec<Entry> = self.target.network().call(look).await?;
        Ok(entries.into_iter().map(|entry| entry.rejected).collect())
    }

    fn replaces(&self) -> bool {
        self.target.mode() == Mode::Replace
    }

    async fn apply(&mut self, fence: &Fence) -> Result<Counts> {
        self.send_apply(fence).await
    }

    async fn renew(&mut self, fence: &Fence) -> Result<()> {
        let (target, fence) = (self.target.clone(), fence.clone());
        self.target.network().call(async move { target.renew(&fence).await }).await
    }

    async fn finish(&mut self, report: &RunReport) -> Result<()> {
        let (target, report) = (self.target.clone(), report.clone());
        self.target.network().call(async move { target.finish(&report).await }).await
    }
}

/// What operators use on a [`MemoryTarget`], over a network without faults.
#[derive(Debug)]
pub struct MemoryAdmin(MemoryTarget);

impl MemoryAdmin {
    /// For `target`.
    #[must_use]
    pub fn new(target: &MemoryTarget) -> Self {
        Self(target.clone())
    }
}

#[async_trait]
impl SinkAdmin for MemoryAdmin {
    fn plan(&self, schema: &StreamSchema) -> Result<Vec<Statement>> {
        let text = format!("create {} with key {}", schema.name, schema.key.join(", "));
        Ok(vec![Statement { name: "target".to_owned(), text }])
    }

    async fn prepare(&mut self, schema: &StreamSchema) -> Result<()> {
        self.0.prepare(schema);
        Ok(())
    }

    async fn check(&mut self, schema: &StreamSchema) -> Result<Vec<Finding>> {
        Ok(vec![match self.0.open(schema) {
            Ok(()) => Finding::good("target", "prepared"),
            Err(error) => Finding::from_error("target", &error),
        }])
    }

    async fn checkpoint(&mut self) -> Result<Option<Checkpoint>> {
        self.0.checkpoint()
    }

    async fn ledger(&mut self) -> Result<Option<Ledger>> {
        Ok(self.0.figures())
    }

    async fn streams(&mut self) -> Result<Vec<Prepared>> {
        Ok(self.0.streams())
    }

    async fn quarantined(&mut self) -> Result<Vec<Entry>> {
        Ok(self.0.quarantined())
    }

    async fn change(&mut self, change: StateChange) -> Result<Checkpoint> {
        self.0.change(change).await
    }
}

#[cfg(test)]
mod tests;
