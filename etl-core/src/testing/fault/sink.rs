//! A sink around a sink.

use async_trait::async_trait;

use super::{Faults, Method};
use crate::batch::{Batch, Changes};
use crate::error::Result;
use crate::quarantine::Rejected;
use crate::schema::StreamSchema;
use crate::sink::{Claim, Counts, Fence, Run, RunReport, Sink};

/// Any sink, with faults.
pub struct FaultySink {
    inner: Box<dyn Sink>,
    faults: Faults,
}

impl FaultySink {
    /// `inner` with `faults`.
    #[must_use]
    pub fn new(inner: Box<dyn Sink>, faults: &Faults) -> Self {
        Self { inner, faults: faults.clone() }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Sink for FaultySink {
    async fn open(&mut self, schema: &StreamSchema) -> Result<()> {
        self.faults.around(Method::Open, self.inner.open(schema)).await
    }

    async fn claim(&mut self, run: &Run) -> Result<Claim> {
        self.faults.around(Method::Claim, self.inner.claim(run)).await
    }

    async fn commit(&mut self, batch: &Batch, fence: &Fence) -> Result<Counts> {
        self.faults.around(Method::Commit, self.inner.commit(batch, fence)).await
    }

    async fn probe(&mut self, changes: &Changes, fence: &Fence) -> Result<()> {
        self.faults.around(Method::Probe, self.inner.probe(changes, fence)).await
    }

    async fn quarantined(&mut self) -> Result<Vec<Rejected>> {
        self.faults.around(Method::Quarantined, self.inner.quarantined()).await
    }

    fn replaces(&self) -> bool {
        self.inner.replaces()
    }

    async fn apply(&mut self, fence: &Fence) -> Result<Counts> {
        self.faults.around(Method::Apply, self.inner.apply(fence)).await
    }

    async fn renew(&mut self, fence: &Fence) -> Result<()> {
        self.faults.around(Method::Renew, self.inner.renew(fence)).await
    }

    async fn finish(&mut self, report: &RunReport) -> Result<()> {
        self.faults.around(Method::Finish, self.inner.finish(report)).await
    }
}
