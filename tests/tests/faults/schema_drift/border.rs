//! Something that happens exactly between two batches.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use etl_core::batch::{Batch, BatchLimits};
use etl_core::connector::Finding;
use etl_core::position::Position;
use etl_core::schema::StreamSchema;
use etl_core::{Error, Result, Source};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use tokio::sync::{Mutex, Semaphore};

/// A source at whose border number `at` something is done: that many batches are durable, and the
/// next is not yet sent. Border 0 lies between the claim and the first batch.
pub(super) struct Border {
    inner: Arc<dyn Source>,
    at: usize,
    act: Mutex<Option<BoxFuture<'static, ()>>>,
    /// Whether the read breaks there, as when a person ends the session that is in the way of an
    /// ALTER TABLE. The run goes on with another read.
    breaks: bool,
    durable: AtomicUsize,
    /// Closed once it was done.
    done: Arc<Semaphore>,
}

impl Border {
    pub(super) fn new(
        inner: Arc<dyn Source>,
        at: usize,
        breaks: bool,
        act: BoxFuture<'static, ()>,
    ) -> Arc<Self> {
        let (act, done) = (Mutex::new(Some(act)), Arc::new(Semaphore::new(0)));
        Arc::new(Self { inner, at, act, breaks, durable: AtomicUsize::new(0), done })
    }

    /// Whether the border was reached.
    pub(super) fn was_reached(&self) -> bool {
        self.done.is_closed()
    }

    async fn act(&self) {
        if let Some(act) = self.act.lock().await.take() {
            act.await;
            self.done.close();
        }
    }
}

#[async_trait]
impl Source for Border {
    async fn schema(&self) -> Result<StreamSchema> {
        self.inner.schema().await
    }

    async fn read(
        &self,
        after: Option<Position>,
        limits: BatchLimits,
    ) -> Result<BoxStream<'static, Result<Batch>>> {
        if self.at == 0 {
            self.act().await;
        }
        let batches = self.inner.read(after, limits).await?;
        if !self.breaks || self.was_reached() {
            return Ok(batches);
        }
        let done = Arc::clone(&self.done);
        let broken = stream::once(async move {
            // Only a semaphore that was closed lets nobody wait.
            drop(done.acquire().await);
            Err(Error::transient("a person ended the session"))
        });
        Ok(batches.take(self.at).chain(broken).boxed())
    }

    async fn committed(&self, position: &Position) -> Result<()> {
        self.inner.committed(position).await?;
        if self.durable.fetch_add(1, Ordering::SeqCst) + 1 == self.at {
            self.act().await;
        }
        Ok(())
    }

    async fn check(&self) -> Result<Vec<Finding>> {
        self.inner.check().await
    }
}

/// A source that looks at its table anew whenever it reads, and compares it with nothing.
pub(super) struct Forgetful {
    /// Told once; the pipeline was opened with it.
    pub(super) schema: StreamSchema,
    pub(super) make: Box<dyn Fn() -> Arc<dyn Source> + Send + Sync>,
}

#[async_trait]
impl Source for Forgetful {
    async fn schema(&self) -> Result<StreamSchema> {
        Ok(self.schema.clone())
    }

    async fn read(
        &self,
        after: Option<Position>,
        limits: BatchLimits,
    ) -> Result<BoxStream<'static, Result<Batch>>> {
        (self.make)().read(after, limits).await
    }

    async fn check(&self) -> Result<Vec<Finding>> {
        (self.make)().check().await
    }
}
