//! Pure changes to rows on their way.

mod cast;
mod filter;
mod rename;
mod select;

pub use cast::Cast;
pub use filter::Filter;
pub use rename::Rename;
pub use select::Select;

use crate::batch::Changes;
use crate::connector::{FilterExit, TransformConfig};
use crate::error::Result;
use crate::schema::StreamSchema;

/// A pure, synchronous change to schema and rows.
///
/// A transform keeps the number of rows (only [`Filter`] with `keep` drops some) and the key
/// columns. The non-key columns of deletes are not looked at.
///
/// ```
/// use std::sync::Arc;
///
/// use arrow::array::{Int64Array, RecordBatch};
/// use arrow::datatypes::{DataType, Field, Schema};
/// use etl_core::connector::FilterExit;
/// use etl_core::transform::Filter;
/// use etl_core::{Changes, Transform};
///
/// # fn main() -> etl_core::Result<()> {
/// let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false)]));
/// let ids = Arc::new(Int64Array::from(vec![1, 2, 3]));
/// let changes = Changes::upserts(RecordBatch::try_new(schema, vec![ids])?);
///
/// // What no longer passes leaves the target.
/// let changes = Filter::new("id > 1", FilterExit::Delete)?.apply(changes)?;
/// assert_eq!((changes.len(), changes.delete_count()), (3, 1));
/// assert!(changes.is_delete(0));
/// # Ok(())
/// # }
/// ```
pub trait Transform: Send + Sync {
    /// The schema after it, checked once per run before any row is read.
    ///
    /// # Errors
    /// `Config` if it does not fit the schema before it.
    fn schema(&self, input: StreamSchema) -> Result<StreamSchema>;

    /// The rows after it.
    ///
    /// # Errors
    /// `Data` if a value cannot be changed without loss.
    fn apply(&self, changes: Changes) -> Result<Changes>;
}

/// The transforms of a config, in order.
///
/// # Errors
/// `Config` with the transform that is wrong.
pub fn build(configs: &[TransformConfig], exit: FilterExit) -> Result<Vec<Box<dyn Transform>>> {
    configs
        .iter()
        .map(|config| {
            Ok(match config {
                TransformConfig::Select(columns) => {
                    Box::new(Select::new(columns.clone())) as Box<dyn Transform>
                }
                TransformConfig::Rename(names) => Box::new(Rename::new(names.clone())),
                TransformConfig::Cast(types) => Box::new(Cast::new(types)?),
                TransformConfig::Filter(text) => Box::new(Filter::new(text, exit)?),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
