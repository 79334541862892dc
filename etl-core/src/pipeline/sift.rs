//! Which rows of a batch cannot be stored: by halves, each tried and rolled back.

use std::collections::HashSet;

use tokio::time::Instant;

use super::quarantine::count;
use super::{Pipeline, Progressing};
use crate::batch::{Batch, Changes};
use crate::error::{Class, Error, Result};
use crate::fail_point;
use crate::quarantine::{Aside, Rejected, RowKey};
use crate::retry::Retry;
use crate::schema::StreamSchema;
use crate::sink::Fence;

/// Rows, by number, of which it is to be found out whether they can be stored.
struct Part {
    rows: Vec<u64>,
    /// The error of the whole that it is a half of.
    refused: Error,
    /// Whether that error is its own: the other half is good.
    known: bool,
    /// Whether its other half comes next.
    first: bool,
}

impl Pipeline {
    /// The batch without the rows that cannot be stored, which are put aside. `None` if the run is to
    /// stop.
    ///
    /// A part is tried together with all rows found good before it. So rows that are bad only together
    /// are found: the later ones are put aside. And what is committed in the end was tried as a whole.
    /// For b bad rows of n that takes about 2·b·log₂(n/b) probes.
    pub(super) async fn sift(
        &mut self,
        run: &Progressing<'_>,
        schema: &StreamSchema,
        fence: &Fence,
        batch: Batch,
        refused: Error,
    ) -> Result<Option<Batch>> {
        let changes = &batch.changes;
        let keys = RowKey::of(changes.records(), &schema.key)?;
        let Aside { mut put, mut clear } = batch.aside;
        let others = run.others(keys.iter().chain(put.iter().map(|row| &row.key)));
        let mut good: Vec<u64> = Vec::new();
        let mut parts =
            vec![Part { rows: deletes_first(changes), refused, known: true, first: false }];
        let mut renewed = Instant::now();
        while let Some(mut part) = parts.pop() {
            if run.is_over() {
                return Ok(None);
            }
            if renewed.elapsed() >= fence.ttl / 3 {
                self.renew(fence).await?;
                renewed = Instant::now();
            }
            if !part.known {
                let tried = changes.rows(&[good.as_slice(), &part.rows].concat())?;
                match self.probe(run, fence, &tried).await? {
                    Some(refused) => part.refused = refused,
                    None => {
                        good.append(&mut part.rows);
                        if let (true, Some(other)) = (part.first, parts.last_mut()) {
                            other.known = true;
                        }
                        continue;
                    }
                }
            }
            match part.rows.as_slice() {
                [] => {}
                [row] => {
                    put.push(rejected(&keys, *row, &part.refused));
                    run.allow(schema, others, &put, batch.progress.read)?;
                }
                _ => parts.extend(part.halves()),
            }
        }
        tracing::info!(
            rows = changes.len(),
            put_aside = put.len(),
            "some rows of a batch cannot be stored; they are put aside"
        );
        fail_point!("sift.done");
        good.sort_unstable();
        let bad: HashSet<&RowKey> = put.iter().map(|row| &row.key).collect();
        clear.retain(|key| !bad.contains(key));
        Ok(Some(Batch { changes: changes.rows(&good)?, aside: Aside { put, clear }, ..batch }))
    }

    /// Tries rows, as often as it takes to know; the error if they cannot be stored.
    async fn probe(
        &mut self,
        run: &Progressing<'_>,
        fence: &Fence,
        changes: &Changes,
    ) -> Result<Option<Error>> {
        let mut retry = Retry::new(self.options.retry, run.deadline, run.stop);
        loop {
            fail_point!("sift.probe");
            match self.sink.probe(changes, fence).await {
                Ok(()) => return Ok(None),
                Err(error) if error.class() == Class::Data => return Ok(Some(error)),
                Err(error) if error.class() == Class::Capacity => return Err(error),
                Err(error) => self.try_again(&mut retry, error).await?,
            }
        }
    }
}

impl Part {
    /// The first half last: it is tried next.
    fn halves(mut self) -> [Self; 2] {
        let second = self.rows.split_off(self.rows.len() / 2);
        let unknown = Error::internal("a part that was not tried");
        [
            Self { rows: second, refused: self.refused, known: false, first: false },
            Self { rows: self.rows, refused: unknown, known: false, first: true },
        ]
    }
}

/// What a row that leaves had in a unique index, another of the batch may need.
fn deletes_first(changes: &Changes) -> Vec<u64> {
    let (mut rows, upserts): (Vec<_>, Vec<_>) =
        (0..changes.len()).partition(|row| changes.is_delete(*row));
    rows.extend(upserts);
    rows.into_iter().map(count).collect()
}

fn rejected(keys: &[RowKey], row: u64, refused: &Error) -> Rejected {
    let index = usize::try_from(row).unwrap_or(usize::MAX);
    Rejected {
        key: keys[index].clone(),
        column: refused.column().map(str::to_owned),
        reason: refused.to_string(),
        code: refused.code().map(str::to_owned),
    }
}
