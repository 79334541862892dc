//! The source itself.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use etl_core::connector::Finding;
use etl_core::error::Result;
use etl_core::source::{Lookup, Source};
use etl_core::{Batch, BatchLimits, Found, Position, RowKey, StreamSchema};
use etl_sql::sqlite::connect::{Access, BUSY_TIMEOUT, connect};
use futures::StreamExt;
use futures::channel::mpsc;
use futures::stream::{self, BoxStream};

use crate::sqlite::place::Place;
use crate::sqlite::shape::Shape;
use crate::sqlite::sweep::Sweep;
use crate::sqlite::{Settings, check, lookup};

/// One stream's rows from one table of one file.
pub struct SqliteSource {
    settings: Arc<Settings>,
    /// The schema as it was last told: a sweep must find the same.
    described: Mutex<Option<SchemaRef>>,
}

impl SqliteSource {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings: Arc::new(settings), described: Mutex::new(None) }
    }

    fn described(&self) -> Option<SchemaRef> {
        self.described.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Arc::clone)
    }
}

#[async_trait]
impl Source for SqliteSource {
    async fn schema(&self) -> Result<StreamSchema> {
        let mut connection = connect(&self.settings.config, Access::Read, BUSY_TIMEOUT).await?;
        let stream = Shape::of(&mut connection, &self.settings).await?.stream;
        *self.described.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Arc::clone(&stream.schema));
        Ok(stream)
    }

    async fn read(
        &self,
        after: Option<Position>,
        limits: BatchLimits,
    ) -> Result<BoxStream<'static, Result<Batch>>> {
        let place = Place::of(after.as_ref())?;
        let settings = Arc::clone(&self.settings);
        let sweep = Sweep::begin(settings, self.described(), place, limits).await?;
        // The sweep runs whenever the stream is polled, and is gone with it.
        let (sender, batches) = mpsc::channel(0);
        let running = stream::once(sweep.run(sender)).filter_map(|()| async { None });
        Ok(stream::select(batches, running).boxed())
    }

    async fn committed(&self, _position: &Position) -> Result<()> {
        Ok(())
    }

    fn lookup(&self) -> Option<&dyn Lookup> {
        Some(self)
    }

    async fn check(&self) -> Result<Vec<Finding>> {
        check::findings(&self.settings).await
    }
}

#[async_trait]
impl Lookup for SqliteSource {
    async fn rows(&self, keys: &[RowKey], reached: &Position) -> Result<Found> {
        lookup::rows(&self.settings, self.described(), keys, reached).await
    }
}
