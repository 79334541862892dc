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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use arrow::array::RecordBatch;
    use arrow::datatypes::Schema;
    use etl_core::Changes;

    use super::*;

    fn batch(position: &str) -> Batch {
        let records = RecordBatch::new_empty(Arc::new(Schema::empty()));
        Batch::new(
            Changes::upserts(records),
            Position::from_text(position).unwrap(),
            etl_core::Progress { read: 7, reread: 2, horizon_micros: Some(1) },
        )
    }

    /// The third load of a run, at sequence 5.
    fn fence() -> Fence {
        let (run, ttl) = ("00000000-0000-0000-0000-000000000001".parse().unwrap(), Duration::ZERO);
        Fence { run, sequence: 5, definition: "{}".to_owned(), ttl, generation: 3 }
    }

    fn found(sequence: i64, position: &str, generation: i64, phase: Phase) -> Checkpoint {
        let position = Some(Position::from_text(position).unwrap());
        Checkpoint { sequence, position, generation, phase, ..Checkpoint::default() }
    }

    #[test]
    fn a_step_leaves_the_checkpoint_as_its_mode_says() {
        let (batch, fence) = (batch("8"), fence());
        let says = |step: Step<'_>| {
            (step.position().map(Position::to_string), step.generation(&fence), step.phase())
        };
        let eight = || Some("8".to_owned());
        let load = Step::commit(Mode::Replace, &batch);
        assert_eq!(says(load), (eight(), Some(3), Phase::Loading));
        assert_eq!(says(Step::Apply), (None, Some(3), Phase::Idle));
        for mode in [Mode::Upsert, Mode::Append] {
            assert_eq!(says(Step::commit(mode, &batch)), (eight(), None, Phase::Idle));
        }
    }

    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    #[test]
    fn what_was_read_is_counted_once() {
        let batch = batch("8");
        assert_eq!(Step::Load(&batch).progress(), batch.progress);
        assert_eq!(Step::Write(&batch).progress(), batch.progress);
        assert_eq!(Step::Apply.progress(), Progress::default());
    }

    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    #[test]
    fn what_is_put_aside_goes_with_its_batch() {
        let mut batch = batch("8");
        let rejected = |id: &str| etl_core::Rejected {
            key: etl_core::RowKey::from_text(format!("[\"{id}\"]")).unwrap(),
            column: None,
            reason: "no".to_owned(),
            code: None,
        };
        batch.aside.put = vec![rejected("1"), rejected("2")];
        for step in [Step::Write(&batch), Step::Load(&batch)] {
            assert_eq!(step.put_aside(), 2);
            #[cfg(feature = "sqlite")]
            assert_eq!(step.aside().map(|aside| aside.put.len()), Some(2));
        }
        assert_eq!(Step::Apply.put_aside(), 0);
        #[cfg(feature = "sqlite")]
        assert!(Step::Apply.aside().is_none());
    }

    #[test]
    fn a_step_that_was_done_is_known_by_all_that_it_left() {
        let (batch, fence) = (batch("8"), fence());
        let load = found(6, "8", 3, Phase::Loading);
        for (step, left) in [
            // A write leaves the generation as it is.
            (Step::Write(&batch), found(6, "8", 1, Phase::Idle)),
            (Step::Load(&batch), load.clone()),
            (Step::Apply, found(6, "7", 3, Phase::Idle)),
        ] {
            assert!(step.left(&left, &fence));
            for sequence in [4, 5, 7] {
                assert!(!step.left(&Checkpoint { sequence, ..left.clone() }, &fence), "{sequence}");
            }
        }
        for other in [
            found(6, "7", 3, Phase::Loading),
            Checkpoint { position: None, ..load.clone() },
            found(6, "8", 2, Phase::Loading),
            found(6, "8", 3, Phase::Idle),
        ] {
            assert!(!Step::Load(&batch).left(&other, &fence), "{other:?}");
        }
        assert!(!Step::Write(&batch).left(&load, &fence), "a load is no write");
        assert!(!Step::Apply.left(&load, &fence), "a load is not applied");
    }

    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    #[test]
    fn a_load_begins_behind_another_or_behind_one_that_was_applied() {
        let (batch, fence) = (batch("8"), fence());
        for (generation, phase, begins) in [
            (3, Phase::Loading, false),
            (3, Phase::Idle, true),
            (2, Phase::Loading, true),
            (2, Phase::Idle, true),
        ] {
            let found = found(5, "7", generation, phase);
            assert_eq!(Step::Load(&batch).begins(&found, &fence), begins, "{found:?}");
            assert!(!Step::Write(&batch).begins(&found, &fence), "a write has no stage");
        }
    }
}
