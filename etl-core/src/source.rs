//! The contract of everything that yields rows.

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::batch::{Batch, BatchLimits, Changes};
use crate::connector::Finding;
use crate::error::Result;
use crate::position::Position;
use crate::quarantine::{Rejected, RowKey};
use crate::schema::StreamSchema;

/// The batches of a sweep, or the error that ends it.
pub type Batches = BoxStream<'static, Result<Batch>>;

/// A place that rows come from, for one stream.
///
/// Building a source opens no connection. Every method connects by itself and gives up its
/// connection when its future or stream is dropped; a source keeps no position between calls.
/// The engine may call any method again after an error of a retryable class.
///
/// ```
/// use std::sync::Arc;
///
/// use arrow::array::{Int64Array, RecordBatch};
/// use arrow::datatypes::{DataType, Field, Schema};
/// use async_trait::async_trait;
/// use etl_core::connector::Finding;
/// use etl_core::{
///     Batch, BatchLimits, Batches, Changes, Definition, Position, Progress, Result, Source,
///     StreamSchema,
/// };
/// use futures::{StreamExt, TryStreamExt, stream};
///
/// /// The numbers up to a limit that grows. A position is the next number.
/// struct Numbers(i64);
///
/// #[async_trait]
/// impl Source for Numbers {
///     async fn schema(&self) -> Result<StreamSchema> {
///         Ok(StreamSchema {
///             name: "numbers/all".to_owned(),
///             schema: Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)])),
///             key: vec!["n".to_owned()],
///             definition: Definition::default(),
///         })
///     }
///
///     async fn read(&self, after: Option<Position>, limits: BatchLimits) -> Result<Batches> {
///         let next: i64 = after.map_or(Ok(1), |position| position.decode())?;
///         let schema = self.schema().await?.schema;
///         let numbers: Vec<i64> = (next..=self.0).collect();
///         let batches = limits.pages(numbers.iter().map(|_| 8)).into_iter().map(|page| {
///             let position = Position::encode(&(next + page.end as i64))?;
///             let column = Arc::new(Int64Array::from(numbers[page].to_vec()));
///             let records = RecordBatch::try_new(schema.clone(), vec![column])?;
///             let progress = Progress { read: records.num_rows() as u64, ..Progress::default() };
///             Ok(Batch::new(Changes::upserts(records), position, progress))
///         });
///         Ok(stream::iter(batches.collect::<Vec<_>>()).boxed())
///     }
///
///     async fn check(&self) -> Result<Vec<Finding>> {
///         Ok(vec![Finding::good("numbers", "there are always more")])
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let limits = BatchLimits { rows: 4, ..BatchLimits::default() };
/// let first: Vec<_> = Numbers(10).read(None, limits).await?.try_collect().await?;
/// assert_eq!(first.iter().map(|batch| batch.changes.len()).collect::<Vec<_>>(), [4, 4, 2]);
/// // The next sweep goes on where a sink stored that this one ended, in another process too.
/// let stored = Position::from_text(first[2].position.as_str())?;
/// let second: Vec<_> = Numbers(12).read(Some(stored), limits).await?.try_collect().await?;
/// assert_eq!(second[0].changes.len(), 2);
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait Source: Send + Sync {
    /// The columns, the key and the definition of what [`Source::read`] yields now.
    ///
    /// Dropped half way, it has changed nothing.
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
    /// * Dropped, the future or the stream stops the read and gives up its connection. Nothing at the
    ///   source has changed.
    ///
    /// # Errors
    /// As an item or at once; after an error nothing more is yielded.
    async fn read(&self, after: Option<Position>, limits: BatchLimits) -> Result<Batches>;

    /// Called once per durable batch position, in order, never concurrently, and at each run's
    /// start with the position found in the sink. Must be idempotent: dropped half way, it is called
    /// again by the next run. A source that holds nothing back for it has nothing to do.
    ///
    /// # Errors
    /// A failure is logged and never undoes a batch.
    async fn committed(&self, position: &Position) -> Result<()> {
        let _ = position;
        Ok(())
    }

    /// What reads single rows by their keys, if this source can.
    fn lookup(&self) -> Option<&dyn Lookup> {
        None
    }

    /// Looks for everything that [`Source::read`] needs: rights, indexes, cursor preconditions.
    ///
    /// Dropped half way, it has changed nothing.
    ///
    /// # Errors
    /// When it cannot even look.
    async fn check(&self) -> Result<Vec<Finding>>;
}

/// Reads single rows by their keys, for what was put aside.
#[async_trait]
pub trait Lookup: Send + Sync {
    /// What became of the rows with these keys, if sweeps have passed them for good: the others, which
    /// a sweep that goes on from `reached` reads anyway, are not in the answer.
    ///
    /// A key has one answer, of one moment. Other keys' may be of others: rows that sweeps have passed
    /// for good do not change without being ahead of them again. Dropped half way, it has changed
    /// nothing.
    ///
    /// # Errors
    /// `Data` if a key's text is none of its column's type, or a row cannot be carried and the stream
    /// does not put such rows aside; `Schema` if the table is no longer as [`Source::schema`] said;
    /// `Config` if `reached` is not a position of this source.
    async fn rows(&self, keys: &[RowKey], reached: &Position) -> Result<Found>;
}

/// What a [`Lookup`] found.
#[derive(Debug, Clone)]
pub struct Found {
    /// One change per key, as [`Source::read`] would yield it: an upsert for a row that is there and
    /// passes the filter; a delete for one that does not or is gone, where the stream deletes.
    pub changes: Changes,
    /// Keys of such rows where the stream does not delete: nothing is left to do for them.
    pub gone: Vec<RowKey>,
    /// Rows that were read and still cannot be carried.
    pub rejected: Vec<Rejected>,
}
