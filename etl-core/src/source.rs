//! The contract of everything that yields rows.

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::batch::{Batch, BatchLimits};
use crate::connector::Finding;
use crate::error::Result;
use crate::position::Position;
use crate::schema::StreamSchema;

/// A place that rows come from, for one stream.
///
/// Building a source opens no connection. Every method connects by itself and gives up its
/// connection when its future or stream is dropped; a source keeps no position between calls.
/// The engine may call any method again after an error of a retryable class.
#[async_trait]
pub trait Source: Send + Sync {
    /// The columns, the key and the definition of what [`Source::read`] yields now.
    ///
    /// # Errors
    /// `Schema` or `Config` when the stream cannot be read as configured.
    async fn schema(&self) -> Result<StreamSchema>;

    /// One sweep: everything after `after`, in batches, ending with the position from which the
    /// next sweep goes on.
    ///
    /// * Every batch's position may be stored and given back as `after`, in this process or in
    ///   another: rows that the earlier batches held do not get lost or skipped, whatever was
    ///   written meanwhile.
    /// * A batch has at most one row per key, and at most `limits` (one row may be larger).
    /// * The stream ends only when the sweep is complete; a source that dies yields an error. A
    ///   schema that changed since [`Source::schema`] is an error of class `Schema`.
    /// * Dropping the stream stops the read.
    ///
    /// # Errors
    /// As an item or at once; after an error nothing more is yielded.
    async fn read(
        &self,
        after: Option<Position>,
        limits: BatchLimits,
    ) -> Result<BoxStream<'static, Result<Batch>>>;

    /// Called once per durable batch position, in order, never concurrently, and at each run's
    /// start with the position found in the sink. Must be idempotent.
    ///
    /// # Errors
    /// A failure is logged and never undoes a batch.
    async fn committed(&self, position: &Position) -> Result<()>;

    /// Looks for everything that [`Source::read`] needs: rights, indexes, cursor preconditions.
    ///
    /// # Errors
    /// When it cannot even look.
    async fn check(&self) -> Result<Vec<Finding>>;
}
