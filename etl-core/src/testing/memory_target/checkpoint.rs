//! The checkpoint's row: who holds it, how far it is, and whether a commit may move it.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::batch::Batch;
use crate::error::Result;
use crate::position::Position;
use crate::schema::Definition;
use crate::sink::{Checkpoint, Counts, Fence, Lease, Phase};
use crate::testing::memory_sink::SinkDefect;

/// What the checkpoint's row holds.
#[derive(Debug, Default)]
pub(super) struct Stored {
    pub(super) sequence: i64,
    pub(super) position: Option<String>,
    pub(super) definition: Option<String>,
    pub(super) rows_total: i64,
    pub(super) generation: i64,
    pub(super) phase: Phase,
    pub(super) run: Option<Uuid>,
    pub(super) lease_until: Option<Instant>,
    pub(super) renewals: u64,
    pub(super) busy_since: Option<Instant>,
    pub(super) changed_at: Option<Instant>,
    /// What the last commit did, and the sequence that it left.
    pub(super) last: (i64, Counts),
}

/// What a commit compares before it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::testing) enum Check {
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

/// Where the checkpoint stands, as a commit sees it.
pub(super) enum Stands {
    /// Where the commit expects it.
    Here,
    /// Where this very commit left it.
    OneFurther,
    /// Somebody else moved it.
    Elsewhere,
}

impl Stored {
    pub(super) fn read(&self) -> Result<Checkpoint> {
        Ok(Checkpoint {
            sequence: self.sequence,
            position: self.position.clone().map(Position::from_text).transpose()?,
            definition: self.definition.as_deref().map(Definition::from_text).transpose()?,
            rows_total: self.rows_total,
            generation: self.generation,
            phase: self.phase,
        })
    }

    pub(super) fn stands(
        &self,
        batch: &Batch,
        fence: &Fence,
        (check, replaces): (Check, bool),
    ) -> Stands {
        // A claim of ours that arrived late bumped the sequence too, but moved no position.
        let reached = self.position.as_deref() == Some(batch.position.as_str());
        let loads = self.generation == fence.generation && self.phase == Phase::Loading;
        self.where_it_stands(fence, check, reached && (loads || !replaces))
    }

    /// The same for an apply.
    pub(super) fn stands_applied(&self, fence: &Fence, defect: Option<SinkDefect>) -> Stands {
        let idle = self.phase == Phase::Idle || defect == Some(SinkDefect::NoPhase);
        let reached = idle && self.generation == fence.generation;
        self.where_it_stands(fence, defect.into(), reached)
    }

    fn where_it_stands(&self, fence: &Fence, check: Check, reached: bool) -> Stands {
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

    /// What the commit did that moved the checkpoint to where it stands; nothing, if a claim did
    /// (then the batch had no row that the next sweep does not read again: the position is the
    /// one that was there before).
    pub(super) fn counts(&self) -> Counts {
        if self.last.0 == self.sequence { self.last.1 } else { Counts::default() }
    }

    pub(super) fn hold(&mut self, ttl: Duration) {
        self.lease_until = Some(Instant::now() + ttl);
        self.renewals += 1;
    }

    pub(super) fn lease(&mut self, now: Instant) -> Lease {
        let since = *self.busy_since.get_or_insert(now);
        Lease {
            holder: self.run,
            token: self.lease_until.map_or_else(String::new, |_| self.renewals.to_string()),
            remaining: self.lease_until.map_or(Duration::ZERO, |until| until - now),
            skipped_for: now - since,
        }
    }
}
