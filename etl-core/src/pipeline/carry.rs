//! From the source, through the transforms, into the sink, batch by batch.

use std::sync::Arc;

use tokio::time::Instant;

use crate::batch::{Batch, Changes};
use crate::error::{Class, Result};
use crate::position::Position;
use crate::retry::Retry;
use crate::schema::StreamSchema;
use crate::sink::Fence;

use super::quarantine::Stored;
use super::read_ahead::{Next, ReadAhead};
use super::{Pipeline, Progressing, keys, sleep_until};

/// How far a sweep came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Swept {
    /// To its end, all of it by one read.
    Whole,
    /// To its end, by reads that went on behind one another.
    Pieced,
    /// Asked to stop, or at the deadline.
    Stopped,
}

impl Pipeline {
    /// Reads and commits until the sweep ends, going on behind the last commit after a failure.
    /// `after` moves along.
    pub(super) async fn carry(
        &mut self,
        run: &mut Progressing<'_>,
        schema: &StreamSchema,
        fence: &mut Fence,
        after: &mut Option<Position>,
    ) -> Result<Swept> {
        let mut limits = self.options.limits;
        let mut retry = Retry::new(self.options.retry, run.deadline, run.stop);
        let mut swept = Swept::Whole;
        loop {
            let mut batches = ReadAhead::start(Arc::clone(&self.source), after.clone(), limits);
            let error = loop {
                let batch = match self.next(run, fence, &mut batches).await? {
                    Next::Batch(batch) => batch,
                    Next::End => return Ok(swept),
                    Next::Stop => return Ok(Swept::Stopped),
                    Next::Failed(error) => break error,
                };
                let changes = self.transform(schema, batch.changes)?;
                let batch = run.clearing(schema, Batch { changes, ..batch })?;
                match self.store(run, schema, fence, after, batch).await {
                    Ok(Stored::Done) => {}
                    Ok(Stored::Stopped) => return Ok(Swept::Stopped),
                    Err(error) if error.class() == Class::Capacity => break error,
                    Err(error) => return Err(error),
                }
                retry.reset();
            };
            drop(batches);
            swept = Swept::Pieced;
            let smaller = error.class() == Class::Capacity;
            self.try_again(&mut retry, error).await?;
            if smaller {
                limits = limits.halved();
                self.claim_anew(run, fence, after).await?;
            }
        }
    }

    /// The next batch, keeping the lease alive while it is awaited.
    async fn next(
        &mut self,
        run: &Progressing<'_>,
        fence: &Fence,
        batches: &mut ReadAhead,
    ) -> Result<Next> {
        loop {
            if run.stop.is_cancelled() {
                return Ok(Next::Stop);
            }
            tokio::select! {
                biased;
                () = run.stop.cancelled() => return Ok(Next::Stop),
                () = sleep_until(run.deadline) => return Ok(Next::Stop),
                next = batches.next() => return Ok(next),
                () = tokio::time::sleep(self.options.lease_ttl / 3) => {}
            }
            self.renew(fence).await?;
        }
    }

    /// Extends the lease. Expiry alone never fails a run; the next commit finds out what is true.
    pub(super) async fn renew(&mut self, fence: &Fence) -> Result<()> {
        match self.sink.renew(fence).await {
            Err(error) if error.class() == Class::Fenced => return Err(error),
            Err(error) => tracing::warn!("the lease was not renewed: {error:?}"),
            Ok(()) => {}
        }
        Ok(())
    }

    pub(super) fn transform(&self, schema: &StreamSchema, mut changes: Changes) -> Result<Changes> {
        for transform in &self.transforms {
            changes = transform.apply(changes)?;
        }
        keys::check_unique(schema, &changes)?;
        Ok(changes)
    }

    /// Makes one batch durable, trying the same batch again until its outcome is known.
    ///
    /// Once it has failed no other batch may be committed at this fence: one of the tries may
    /// have committed, or may yet arrive.
    pub(super) async fn commit(
        &mut self,
        run: &mut Progressing<'_>,
        fence: &mut Fence,
        batch: &Batch,
    ) -> Result<()> {
        let started = Instant::now();
        let mut retry = Retry::new(self.options.retry, run.deadline, run.stop);
        let counts = loop {
            match self.sink.commit(batch, fence).await {
                Ok(counts) => break counts,
                Err(error) if error.class() == Class::Capacity => return Err(error),
                Err(error) => self.try_again(&mut retry, error).await?,
            }
        };
        fence.sequence += 1;
        run.report.add(batch, &counts);
        run.note(&batch.aside);
        self.metrics.committed(batch, &counts, started.elapsed());
        tracing::debug!(rows = batch.changes.len(), sequence = fence.sequence, "batch committed");
        self.acknowledge(&batch.position).await;
        if let Some(observer) = &self.observer {
            observer(&run.report);
        }
        Ok(())
    }
}
