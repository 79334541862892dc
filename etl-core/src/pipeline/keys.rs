//! At most one row per key in a batch.

use std::collections::HashSet;

use arrow::row::{RowConverter, SortField};

use crate::batch::Changes;
use crate::error::{Error, Result};
use crate::schema::StreamSchema;

/// Checks what a source promises: two rows for one key in one batch would make the outcome
/// depend on their order.
pub(super) fn check_unique(schema: &StreamSchema, changes: &Changes) -> Result<()> {
    let records = changes.records();
    let columns = schema
        .key
        .iter()
        .map(|name| {
            records
                .column_by_name(name)
                .cloned()
                .ok_or_else(|| Error::internal(format!("a batch lacks the key column {name}")))
        })
        .collect::<Result<Vec<_>>>()?;
    if columns.is_empty() {
        return Ok(());
    }
    if let Some(null) = schema.key.iter().zip(&columns).find(|(_, column)| column.null_count() > 0)
    {
        return Err(Error::data(format!("key column {} is NULL in a row", null.0)));
    }
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let rows = RowConverter::new(fields)?.convert_columns(&columns)?;
    let mut seen = HashSet::with_capacity(rows.num_rows());
    if rows.iter().all(|row| seen.insert(row)) {
        return Ok(());
    }
    Err(Error::internal(format!(
        "the source yielded two rows for one key ({}) in one batch; is the key really unique there?",
        schema.key.join(", ")
    )))
}
