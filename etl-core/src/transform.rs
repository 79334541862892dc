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
