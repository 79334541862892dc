//! Taking a pipeline, or finding out that somebody else is at work.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::pipeline::replace::loaded;
use crate::pipeline::{Pipeline, Progressing};
use crate::position::Position;
use crate::retry::Retry;
use crate::sink::{Checkpoint, Claim, Fence, Lease, Run};

/// How often a lease that is not ours is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Pipeline {
    /// Claims the pipeline; `None` if another run is at work.
    ///
    /// A lease that nobody renews belongs to a run that was killed: it is waited out. One that is
    /// renewed or given back while we wait belongs to a run that lives: this one is not needed.
    pub(super) async fn claim(&mut self, run: &mut Progressing<'_>) -> Result<Option<Checkpoint>> {
        let mut request = Run { id: run.report.run, ttl: self.options.lease_ttl, waited: false };
        let mut seen: Option<Lease> = None;
        loop {
            let lease = match self.try_claim(run, &request).await? {
                Claim::Claimed(checkpoint) => return Ok(Some(checkpoint)),
                Claim::Busy(lease) => lease,
            };
            // A lease without a token was given back, also between our claim and our look at it: who
            // has waited never takes it, so it must not be waited for.
            let given_back = lease.token.is_empty();
            let alive = given_back || seen.as_ref().is_some_and(|seen| seen.token != lease.token);
            if alive || run.is_over() {
                run.skipped_for = Some(lease.skipped_for);
                return Ok(None);
            }
            if seen.is_none() {
                tracing::info!(
                    remaining_ms = u64::try_from(lease.remaining.as_millis()).unwrap_or(u64::MAX),
                    "another run holds the lease; waiting to see whether it is alive"
                );
            }
            let pause = lease.remaining.min(LOOK_EVERY) + Duration::from_millis(10);
            seen.get_or_insert(lease);
            request.waited = true;
            tokio::select! {
                biased;
                () = run.stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Claims again what is ours: whatever commit of ours is still on its way is fenced, and
    /// what had committed unknown to us is found, so that other batches may follow.
    pub(super) async fn claim_anew(
        &mut self,
        run: &mut Progressing<'_>,
        fence: &mut Fence,
        after: &mut Option<Position>,
    ) -> Result<()> {
        let request = Run { id: fence.run, ttl: fence.ttl, waited: true };
        let Claim::Claimed(checkpoint) = self.try_claim(run, &request).await? else {
            return Err(Error::fenced("another run took the pipeline over"));
        };
        self.learn_lying(run).await?;
        fence.sequence = checkpoint.sequence;
        if self.sink.replaces() {
            *after = loaded(&checkpoint, fence)?;
            run.report.checkpoint_to = checkpoint.position;
            return Ok(());
        }
        if checkpoint.position == run.report.checkpoint_to {
            return Ok(());
        }
        let definition = checkpoint.definition.map(|stored| stored.to_text()).transpose()?;
        if definition.as_ref() != Some(&fence.definition) {
            return Err(Error::fenced("another run took the pipeline over"));
        }
        run.report.checkpoint_to.clone_from(&checkpoint.position);
        *after = checkpoint.position;
        Ok(())
    }

    async fn try_claim(&mut self, run: &Progressing<'_>, request: &Run) -> Result<Claim> {
        let mut retry = Retry::new(self.options.retry, run.deadline, run.stop);
        loop {
            match self.sink.claim(request).await {
                Ok(claim) => return Ok(claim),
                Err(error) => self.try_again(&mut retry, error).await?,
            }
        }
    }
}
