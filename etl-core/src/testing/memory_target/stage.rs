//! The stage of a target that is replaced, and how it is brought there.

use std::time::Duration;

use super::checkpoint::Stands;
use super::row::key;
use super::{Keyed, MemoryTarget, State, stored};
use crate::batch::Changes;
use crate::error::{Error, Result};
use crate::sink::{Counts, Fence, Phase};
use crate::testing::memory_sink::SinkDefect;

impl MemoryTarget {
    /// What an apply does at the server, in one transaction that takes `work`.
    pub(in crate::testing) async fn apply(
        &self,
        fence: &Fence,
        work: Duration,
        defect: Option<SinkDefect>,
    ) -> Result<Counts> {
        let _lock = self.0.pipeline.lock().await;
        tokio::time::sleep(work).await;
        let stands = self.state().checkpoint.stands_applied(fence, defect);
        match stands {
            Stands::Here => {}
            Stands::OneFurther => return Ok(self.state().checkpoint.counts()),
            Stands::Elsewhere => {
                return Err(Error::fenced("another run or a person moved the checkpoint"));
            }
        }
        if defect == Some(SinkDefect::ApplyApart) {
            self.state().tables.upserted.clear();
            tokio::time::sleep(work.max(Duration::from_millis(1))).await;
        }
        let mut state = self.state();
        let staged = state.stage_of(fence, defect == Some(SinkDefect::StageKept));
        let counts = difference(&state.tables.upserted, &staged);
        if staged.is_empty() && counts.deleted > 0 && !self.0.allow_empty {
            return Err(Error::data("the load has no row, and the target would become empty"));
        }
        state.tables.upserted = staged.clone();
        state.tables.staged = staged;
        state.checkpoint.generation = fence.generation;
        state.checkpoint.phase = Phase::Idle;
        state.advance(fence, &counts);
        if defect != Some(SinkDefect::EntryStays) {
            self.clear_other_loads(&state, fence);
        }
        Ok(counts)
    }
}

impl State {
    /// The stage's rows; none if the fence's generation begins.
    fn stage_of(&self, fence: &Fence, keep: bool) -> Keyed {
        let stored = &self.checkpoint;
        let begins = stored.generation != fence.generation || stored.phase == Phase::Idle;
        if begins && !keep { Keyed::new() } else { self.tables.staged.clone() }
    }

    pub(super) fn load(&mut self, changes: &Changes, fence: &Fence, keep: bool) -> Result<Counts> {
        let schema = self.prepared()?.clone();
        let rows = stored(&schema, &self.constraints, changes)?;
        self.tables.staged = self.stage_of(fence, keep);
        for (index, row) in rows.into_iter().enumerate() {
            let key = key(&schema, &row);
            if changes.is_delete(index) {
                self.tables.staged.remove(&key);
            } else {
                self.tables.staged.insert(key, row);
            }
        }
        Ok(Counts::default())
    }
}

/// What making `target` the same as `stage` does.
fn difference(target: &Keyed, stage: &Keyed) -> Counts {
    let mut counts = Counts::default();
    for (key, row) in stage {
        match target.get(key) {
            None => counts.inserted += 1,
            Some(old) if old == row => counts.unchanged += 1,
            Some(_) => counts.updated += 1,
        }
    }
    let gone = target.keys().filter(|key| !stage.contains_key(*key));
    counts.deleted = u64::try_from(gone.count()).unwrap_or(u64::MAX);
    counts
}
