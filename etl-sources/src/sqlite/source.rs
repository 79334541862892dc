//! The source itself.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use etl_core::connector::Finding;
use etl_core::error::Result;
use etl_core::source::Source;
use etl_core::{Batch, BatchLimits, Position, StreamSchema};
use etl_sql::sqlite::connect::{Access, BUSY_TIMEOUT, connect};
use futures::StreamExt;
use futures::channel::mpsc;
use futures::stream::{self, BoxStream};

use crate::sqlite::place::Place;
use crate::sqlite::shape::Shape;
use crate::sqlite::sweep::Sweep;
use crate::sqlite::{Settings, check};

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
        let described =
            self.described.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Arc::clone);
        let place = Place::of(after.as_ref())?;
        let sweep = Sweep::begin(Arc::clone(&self.settings), described, place, limits).await?;
        // The sweep runs whenever the stream is polled, and is gone with it.
        let (sender, batches) = mpsc::channel(0);
        let running = stream::once(sweep.run(sender)).filter_map(|()| async { None });
        Ok(stream::select(batches, running).boxed())
    }

    async fn committed(&self, _position: &Position) -> Result<()> {
        Ok(())
    }

    async fn check(&self) -> Result<Vec<Finding>> {
        check::findings(&self.settings).await
    }
}
