//! Rows that are put aside: what lies in the quarantine, what a batch clears there, how many may.

use std::collections::HashSet;

use super::{Pipeline, Progressing};
use crate::batch::Batch;
use crate::error::{Class, Error, Result};
use crate::position::Position;
use crate::quarantine::{Aside, MaxRejected, Rejected, RowKey};
use crate::retry::Retry;
use crate::schema::StreamSchema;
use crate::sink::Fence;

/// What became of a batch.
pub(super) enum Stored {
    /// It is durable.
    Done,
    /// Nothing of it: the run is to end before it was known which of its rows can be stored.
    Stopped,
}

impl Pipeline {
    /// Learns which rows lie in the quarantine. After a claim nobody else puts any there.
    pub(super) async fn learn_lying(&mut self, run: &mut Progressing<'_>) -> Result<()> {
        let mut retry = Retry::new(self.options.retry, run.deadline, run.stop);
        loop {
            match self.sink.quarantined().await {
                Ok(rows) => {
                    run.lying = rows.into_iter().map(|row| row.key).collect();
                    return Ok(());
                }
                Err(error) => self.try_again(&mut retry, error).await?,
            }
        }
    }

    /// Makes a batch durable, without the rows that cannot be stored, as far as those may be put
    /// aside. `after` moves along.
    pub(super) async fn store(
        &mut self,
        run: &mut Progressing<'_>,
        schema: &StreamSchema,
        fence: &mut Fence,
        after: &mut Option<Position>,
        batch: Batch,
    ) -> Result<Stored> {
        run.allow_those_of_the_source(schema, &batch)?;
        let refused = match self.commit(run, fence, &batch).await {
            Err(error) if error.class() == Class::Data && run.may_put_aside() => error,
            committed => {
                committed?;
                *after = Some(batch.position);
                return Ok(Stored::Done);
            }
        };
        // An earlier try whose answer was lost may still arrive, or may have arrived: another batch
        // must not follow at its fence.
        let before = after.clone();
        self.claim_anew(run, fence, after).await?;
        if *after != before {
            return Ok(Stored::Done);
        }
        let Some(batch) = self.sift(run, schema, fence, batch, refused).await? else {
            return Ok(Stored::Stopped);
        };
        self.commit(run, fence, &batch).await?;
        *after = Some(batch.position);
        Ok(Stored::Done)
    }
}

impl Progressing<'_> {
    /// Whether a row that cannot be stored may be put aside at all.
    fn may_put_aside(&self) -> bool {
        self.limit.is_none_or(MaxRejected::any)
    }

    /// The batch with the names of the entries that its rows clear.
    pub(super) fn clearing(&self, schema: &StreamSchema, mut batch: Batch) -> Result<Batch> {
        if self.lying.is_empty() && batch.aside.put.is_empty() {
            return Ok(batch);
        }
        let keys = RowKey::of(batch.changes.records(), &schema.key)?;
        let mut seen: HashSet<&RowKey> = keys.iter().collect();
        if !batch.aside.put.iter().all(|row| seen.insert(&row.key)) {
            return Err(Error::internal(format!(
                "{}: the source put a row aside that is in the same batch, or twice",
                schema.name
            )));
        }
        batch.aside.clear = keys.into_iter().filter(|key| self.lying.contains(key)).collect();
        Ok(batch)
    }

    /// Takes note of what a commit did to the quarantine.
    pub(super) fn note(&mut self, aside: &Aside) {
        for key in &aside.clear {
            self.lying.remove(key);
        }
        self.lying.extend(aside.put.iter().map(|row| row.key.clone()));
    }

    /// How many rows lie in the quarantine, whatever becomes of the rows with these keys.
    pub(super) fn others<'a>(&self, keys: impl Iterator<Item = &'a RowKey>) -> u64 {
        let here = keys.filter(|key| self.lying.contains(key)).count();
        count(self.lying.len().saturating_sub(here))
    }

    /// Whether the rows that the source put aside may be.
    fn allow_those_of_the_source(&self, schema: &StreamSchema, batch: &Batch) -> Result<()> {
        let Aside { put, clear } = &batch.aside;
        let others = self.others(put.iter().map(|row| &row.key).chain(clear));
        self.allow(schema, others, put, batch.progress.read)
    }

    /// Whether `put` of one batch may be put aside, of whose rows so many were `read`, beside the
    /// `others` that lie there.
    pub(super) fn allow(
        &self,
        schema: &StreamSchema,
        others: u64,
        put: &[Rejected],
        read: u64,
    ) -> Result<()> {
        let (Some(limit), Some(first)) = (self.limit, put.first()) else { return Ok(()) };
        let here = count(put.len());
        let (lie, ours) = (others + here, self.report.quarantined + here);
        let read = self.report.read + read;
        if !limit.is_passed(lie, ours, read) {
            return Ok(());
        }
        let found = match limit {
            MaxRejected::Rows(_) => format!("{lie} rows would lie in the quarantine"),
            MaxRejected::Share(_) => format!("{ours} of {read} rows read would be put aside"),
        };
        let error = Error::data(format!(
            "{}: {found}, and quarantine.max_rows is {limit}: nothing of this batch was written. \
             Correct the rows at the source, or the table at the target, or raise \
             quarantine.max_rows. The first of this batch: {}",
            schema.name, first.reason
        ));
        Err(match &first.code {
            Some(code) => error.with_code(code),
            None => error,
        })
    }
}

impl MaxRejected {
    /// Whether it is passed by so many rows that `lie` in the quarantine, so many that this run has
    /// `put` there, of so many that it has `read`.
    pub(super) fn is_passed(self, lie: u64, put: u64, read: u64) -> bool {
        match self {
            Self::Rows(rows) => lie > rows,
            // A product that is a whole number may be a little more in binary: 0.07 of 100.
            Self::Share(share) => put as f64 > (share * read as f64 * (1.0 - 1e-12)).ceil(),
        }
    }
}

pub(super) fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}
