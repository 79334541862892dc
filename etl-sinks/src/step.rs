//! What one fenced transaction of a sink makes durable, and where it leaves the checkpoint.

#[cfg(feature = "sqlite")]
use etl_core::Aside;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
use etl_core::Progress;
use etl_core::connector::Mode;
use etl_core::sink::{Checkpoint, Fence, Phase};
use etl_core::{Batch, Error, Position};

/// One transaction, beside its rows.
#[derive(Clone, Copy)]
pub(crate) enum Step<'a> {
    /// A batch, into the target.
    Write(&'a Batch),
    /// A batch, into the stage.
    Load(&'a Batch),
    /// The stage, to the target.
    Apply,
}

impl<'a> Step<'a> {
    /// The step of [`Sink::commit`](etl_core::Sink::commit).
    pub(crate) fn commit(mode: Mode, batch: &'a Batch) -> Self {
        if mode == Mode::Replace { Self::Load(batch) } else { Self::Write(batch) }
    }

    /// The batch's position; an apply leaves it where it is.
    pub(crate) fn position(self) -> Option<&'a Position> {
        match self {
            Self::Write(batch) | Self::Load(batch) => Some(&batch.position),
            Self::Apply => None,
        }
    }

    /// What was read for it.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(crate) fn progress(self) -> Progress {
        match self {
            Self::Write(batch) | Self::Load(batch) => batch.progress,
            Self::Apply => Progress::default(),
        }
    }

    /// What it does to the quarantine.
    #[cfg(feature = "sqlite")]
    pub(crate) fn aside(&self) -> Option<&'a Aside> {
        match self {
            Self::Write(batch) | Self::Load(batch) => Some(&batch.aside),
            Self::Apply => None,
        }
    }

    /// How many rows are put aside with it.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(crate) fn put_aside(self) -> usize {
        match self {
            Self::Write(batch) | Self::Load(batch) => batch.aside.put.len(),
            Self::Apply => 0,
        }
    }

    /// The generation that the checkpoint has afterwards; a write leaves it as it is.
    pub(crate) fn generation(self, fence: &Fence) -> Option<i64> {
        (!matches!(self, Self::Write(_))).then_some(fence.generation)
    }

    /// The phase that the checkpoint has afterwards.
    pub(crate) fn phase(self) -> Phase {
        if matches!(self, Self::Load(_)) { Phase::Loading } else { Phase::Idle }
    }

    /// Whether `found` is how this very step left the checkpoint, if its run is ours. The sequence
    /// alone does not tell: a claim of ours that arrives late bumps it, too.
    pub(crate) fn left(self, found: &Checkpoint, fence: &Fence) -> bool {
        found.sequence == fence.sequence + 1
            && self.position().is_none_or(|position| found.position.as_ref() == Some(position))
            && self.generation(fence).is_none_or(|generation| found.generation == generation)
            && found.phase == self.phase()
    }

    /// Whether the stage must be emptied first: it holds another load, or one that was applied.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(crate) fn begins(self, found: &Checkpoint, fence: &Fence) -> bool {
        self.generation(fence)
            .is_some_and(|generation| found.generation != generation || found.phase == Phase::Idle)
    }
}

/// What to say when a load without rows would empty a target.
pub(crate) fn empty_load(stream: &str, target: &str) -> Error {
    Error::data(format!(
        "{stream}: the source has no row that passes, and {target} has rows: nothing was deleted. \
         Look whether the source is as it should be; if it may be empty, set allow_empty: true"
    ))
}
