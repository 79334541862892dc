//! A run of a sink that replaces: everything into the stage, then the difference to the target.

use std::cmp::Ordering;

use tokio::time::Instant;

use super::carry::Swept;
use super::{Pipeline, Progressing};
use crate::error::{Class, Error, Result};
use crate::fail_point;
use crate::position::Position;
use crate::retry::Retry;
use crate::schema::StreamSchema;
use crate::sink::{Checkpoint, Fence, Outcome, Phase};

impl Pipeline {
    /// Where the load goes on: behind what a run that was interrupted had loaded, if it loaded this
    /// definition. Else a new generation begins; `fence` is given its number.
    pub(super) fn load_after(
        &self,
        schema: &StreamSchema,
        checkpoint: Checkpoint,
        fence: &mut Fence,
    ) -> Option<Position> {
        let loading = checkpoint.phase == Phase::Loading;
        let changes = checkpoint
            .definition
            .map_or_else(Vec::new, |stored| schema.definition.changes_since(&stored));
        if loading && changes.is_empty() && !self.options.full_refresh {
            return checkpoint.position;
        }
        fence.generation = checkpoint.generation + 1;
        if loading {
            tracing::info!(
                generation = fence.generation,
                changes = changes.join("; "),
                "the load that was interrupted is given up and begun anew"
            );
        }
        None
    }

    /// Loads the stage until it holds the source as one read saw it, and brings it to the target.
    ///
    /// What was loaded in pieces has rows of several snapshots: a row that was committed late,
    /// behind the place where the second piece began, is in none of them. So another sweep follows,
    /// from the end of the one before, until one was read as a whole. It reads what has changed.
    pub(super) async fn replace(
        &mut self,
        run: &mut Progressing<'_>,
        schema: &StreamSchema,
        fence: &mut Fence,
        mut after: Option<Position>,
    ) -> Result<Outcome> {
        let mut from_an_end = after.is_none();
        loop {
            match self.carry(run, schema, fence, &mut after).await? {
                Swept::Stopped => return Ok(Outcome::Stopped),
                Swept::Whole if from_an_end => break,
                Swept::Whole | Swept::Pieced => from_an_end = true,
            }
            tracing::info!("the load was interrupted: what changed meanwhile is read again");
        }
        if run.is_over() {
            return Ok(Outcome::Stopped);
        }
        self.apply(run, fence).await?;
        Ok(Outcome::Success)
    }

    /// Brings the stage to the target, trying again until the outcome is known.
    async fn apply(&mut self, run: &mut Progressing<'_>, fence: &mut Fence) -> Result<()> {
        let started = Instant::now();
        let mut retry = Retry::new(self.options.retry, run.deadline, run.stop);
        fail_point!("replace.before");
        let counts = loop {
            match self.sink.apply(fence).await {
                Ok(counts) => break counts,
                Err(error) if error.class() == Class::Data && self.options.max_rejected.any() => {
                    return Err(error.context(
                        "no row of a load can be put aside once it is brought to the target, which \
                         is left as it was",
                    ));
                }
                Err(error) => self.try_again(&mut retry, error).await?,
            }
        };
        fail_point!("replace.after");
        fence.sequence += 1;
        run.report.count(&counts);
        self.metrics.applied(&counts, started.elapsed());
        tracing::debug!(?counts, generation = fence.generation, "stage applied");
        if let Some(observer) = &self.observer {
            observer(&run.report);
        }
        Ok(())
    }
}

/// How far the fence's generation was loaded, by the checkpoint; `None` if it was not begun.
///
/// # Errors
/// `Fenced` if it is over: another run applied it, or gave it up.
pub(super) fn loaded(checkpoint: &Checkpoint, fence: &Fence) -> Result<Option<Position>> {
    match checkpoint.generation.cmp(&fence.generation) {
        Ordering::Less => Ok(None),
        Ordering::Equal if checkpoint.phase == Phase::Loading => Ok(checkpoint.position.clone()),
        _ => Err(Error::fenced("another run took the pipeline over")),
    }
}
