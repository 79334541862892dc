//! Taking a pipeline, or finding out that somebody else is at work.

use std::time::Duration;

use crate::error::Result;
use crate::pipeline::{Pipeline, Progressing};
use crate::retry::Retry;
use crate::sink::{Checkpoint, Claim, Lease, Run};

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
            let alive = seen.as_ref().is_some_and(|seen| seen.token != lease.token);
            if alive || run.stop.is_cancelled() {
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
                () = tokio::time::sleep(pause) => {}
                () = run.stop.cancelled() => {}
            }
        }
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
