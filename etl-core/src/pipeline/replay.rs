//! What was put aside, tried again.

use std::collections::HashSet;
use std::sync::Arc;

use super::quarantine::{Stored, count};
use super::{Pipeline, Progressing, sleep_until};
use crate::batch::{Batch, Progress};
use crate::error::{Error, Result};
use crate::position::Position;
use crate::quarantine::{Aside, RowKey};
use crate::retry::Retry;
use crate::schema::StreamSchema;
use crate::sink::{Fence, Outcome};
use crate::source::{Found, Lookup};

/// How many rows are looked up and committed at a time.
const AT_A_TIME: usize = 500;

impl Pipeline {
    /// Reads the rows of the quarantine anew and commits them at the position where the checkpoint is.
    ///
    /// Its commits leave the position as it is, so one that a late claim of ours took the place of may
    /// pass for done: its rows then still lie in the quarantine, for the next time.
    pub(super) async fn try_again_aside(&mut self, run: &mut Progressing<'_>) -> Result<Outcome> {
        run.silent = true;
        if self.sink.replaces() {
            return Err(Error::config(format!(
                "{}: in mode replace every run reads all rows, and tries again what was put aside",
                self.name
            )));
        }
        let source = Arc::clone(&self.source);
        let lookup = source.lookup().ok_or_else(|| {
            Error::config(format!(
                "{}: this source cannot read single rows by their keys; run once with \
                 --full-refresh instead",
                self.name
            ))
        })?;
        run.silent = false;
        let schema = self.open(run).await?;
        let Some((checkpoint, mut fence)) = self.begin(run, &schema).await? else {
            return Ok(Outcome::Skipped);
        };
        let Some(position) = self.resume_after(&schema, checkpoint)? else {
            tracing::info!("nothing is tried again: the next run reads all rows");
            return Ok(Outcome::Replayed);
        };
        let mut keys: Vec<_> = run.lying.iter().cloned().collect();
        keys.sort_unstable();
        let mut after = Some(position.clone());
        for asked in keys.chunks(AT_A_TIME) {
            let Some(found) = self.look_up(run, lookup, asked, &position, &fence).await? else {
                return Ok(Outcome::Stopped);
            };
            let batch = self.anew(run, &schema, asked, &position, found)?;
            if batch.changes.is_empty() && batch.aside.is_empty() {
                continue;
            }
            let stored = self.store(run, &schema, &mut fence, &mut after, batch).await?;
            if matches!(stored, Stored::Stopped) {
                return Ok(Outcome::Stopped);
            }
        }
        Ok(Outcome::Replayed)
    }

    /// Asks the source, keeping the lease alive; `None` if the run is to stop.
    async fn look_up(
        &mut self,
        run: &Progressing<'_>,
        lookup: &dyn Lookup,
        asked: &[RowKey],
        reached: &Position,
        fence: &Fence,
    ) -> Result<Option<Found>> {
        let mut retry = Retry::new(self.options.retry, run.deadline, run.stop);
        loop {
            let mut asking = lookup.rows(asked, reached);
            let found = loop {
                tokio::select! {
                    biased;
                    () = run.stop.cancelled() => return Ok(None),
                    () = sleep_until(run.deadline) => return Ok(None),
                    found = &mut asking => break found,
                    () = tokio::time::sleep(fence.ttl / 3) => {}
                }
                self.renew(fence).await?;
            };
            match found {
                Ok(found) => return Ok(Some(found)),
                Err(error) => self.try_again(&mut retry, error).await?,
            }
        }
    }

    /// The batch of what was found.
    fn anew(
        &self,
        run: &Progressing<'_>,
        schema: &StreamSchema,
        asked: &[RowKey],
        position: &Position,
        found: Found,
    ) -> Result<Batch> {
        let read = RowKey::of(found.changes.records(), &run.source_key)?;
        let progress =
            Progress { read: count(read.len() + found.rejected.len()), ..Progress::default() };
        let changes = self.transform(schema, found.changes)?;
        let landing = RowKey::of(changes.records(), &schema.key)?;
        // What a filter has dropped is not carried any more.
        let kept: HashSet<&RowKey> = landing.iter().collect();
        let dropped: Vec<_> = read.into_iter().filter(|key| !kept.contains(key)).collect();
        let clear: Vec<_> = found.gone.into_iter().chain(dropped).chain(landing).collect();
        let put = found.rejected;
        let asked: HashSet<&RowKey> = asked.iter().collect();
        let mut answered = HashSet::new();
        let told = clear.iter().chain(put.iter().map(|row| &row.key));
        for key in told {
            if !asked.contains(key) || !answered.insert(key) {
                return Err(Error::internal(format!(
                    "{}: the source answered with a row that was not asked for, or twice",
                    self.name
                )));
            }
        }
        Ok(Batch { changes, position: position.clone(), progress, aside: Aside { put, clear } })
    }
}
