//! Rows for which an expression is true.

use arrow::array::BooleanArray;
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter_record_batch;

use crate::batch::Changes;
use crate::connector::FilterExit;
use crate::error::Result;
use crate::predicate::Predicate;
use crate::schema::StreamSchema;
use crate::transform::Transform;

/// Keeps rows for which a [`Predicate`] is true; the others become deletes, or are dropped where
/// the config says that they stay as they were.
#[derive(Debug)]
pub struct Filter {
    predicate: Predicate,
    exit: FilterExit,
}

impl Filter {
    /// Keeps rows for which `text` is true.
    ///
    /// # Errors
    /// `Config` if `text` is not one boolean expression.
    pub fn new(text: &str, exit: FilterExit) -> Result<Self> {
        Ok(Self { predicate: Predicate::parse(text)?, exit })
    }
}

impl Transform for Filter {
    fn schema(&self, input: StreamSchema) -> Result<StreamSchema> {
        self.predicate
            .check(&input.schema)
            .map_err(|error| error.context(format!("{}: transform filter", input.name)))?;
        Ok(input)
    }

    fn apply(&self, changes: Changes) -> Result<Changes> {
        let passes = self.predicate.evaluate(changes.records())?;
        let deleted = |index| changes.is_delete(index);
        if self.exit == FilterExit::Keep {
            let stays =
                BooleanBuffer::collect_bool(changes.len(), |i| deleted(i) || passes.value(i));
            let mask = BooleanArray::new(stays, None);
            let deletes = changes
                .deletes()
                .map(|bits| {
                    let bits = BooleanArray::new(bits.clone(), None);
                    arrow::compute::filter(&bits, &mask).map(|kept| {
                        arrow::array::AsArray::as_boolean(kept.as_ref()).values().clone()
                    })
                })
                .transpose()?;
            return Changes::new(filter_record_batch(changes.records(), &mask)?, deletes);
        }
        let leaves = BooleanBuffer::collect_bool(changes.len(), |i| deleted(i) || !passes.value(i));
        Changes::new(changes.records().clone(), Some(leaves))
    }
}
