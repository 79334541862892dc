//! A source around a source.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream;
use futures::{StreamExt, TryStreamExt};

use super::{Faults, Method};
use crate::batch::BatchLimits;
use crate::connector::Finding;
use crate::error::{Error, Result};
use crate::position::Position;
use crate::quarantine::RowKey;
use crate::schema::StreamSchema;
use crate::source::{Batches, Found, Lookup, Source};

/// Any source, with faults.
pub struct FaultySource {
    inner: Arc<dyn Source>,
    faults: Faults,
}

impl FaultySource {
    /// `inner` with `faults`.
    #[must_use]
    pub fn new(inner: Arc<dyn Source>, faults: &Faults) -> Self {
        Self { inner, faults: faults.clone() }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Source for FaultySource {
    async fn schema(&self) -> Result<StreamSchema> {
        self.faults.around(Method::Schema, self.inner.schema()).await
    }

    async fn read(&self, after: Option<Position>, limits: BatchLimits) -> Result<Batches> {
        let batches = self.faults.around(Method::Read, self.inner.read(after, limits)).await?;
        let faulty = stream::try_unfold(
            (batches, self.faults.clone()),
            |(mut batches, faults)| async move {
                let batch = faults.around(Method::Batch, batches.try_next()).await?;
                Ok(batch.map(|batch| (batch, (batches, faults))))
            },
        );
        Ok(faulty.boxed())
    }

    async fn committed(&self, position: &Position) -> Result<()> {
        self.faults.around(Method::Committed, self.inner.committed(position)).await
    }

    fn lookup(&self) -> Option<&dyn Lookup> {
        self.inner.lookup().is_some().then_some(self as &dyn Lookup)
    }

    async fn check(&self) -> Result<Vec<Finding>> {
        self.faults.around(Method::Check, self.inner.check()).await
    }
}

#[async_trait]
impl Lookup for FaultySource {
    async fn rows(&self, keys: &[RowKey], reached: &Position) -> Result<Found> {
        let inner =
            self.inner.lookup().ok_or_else(|| Error::internal("a source cannot look up"))?;
        self.faults.around(Method::Lookup, inner.rows(keys, reached)).await
    }
}
