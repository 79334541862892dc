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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, RecordBatch};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;
    use crate::error::Class;
    use crate::schema::Definition;

    /// What the check says of rows with these keys, in a stream whose key is this column.
    fn check(key: &str, ids: &[Option<i64>]) -> Result<(), Class> {
        let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)]));
        let rows = RecordBatch::try_new(
            Arc::clone(&schema),
            vec![Arc::new(Int64Array::from(ids.to_vec()))],
        );
        let stream = StreamSchema {
            name: "shop/orders".to_owned(),
            schema,
            key: Vec::from_iter((!key.is_empty()).then(|| key.to_owned())),
            definition: Definition::default(),
        };
        check_unique(&stream, &Changes::upserts(rows.unwrap())).map_err(|error| error.class())
    }

    #[test]
    fn a_key_is_there_and_stands_once_in_a_batch() {
        assert_eq!(check("id", &[Some(1), Some(2)]), Ok(()));
        assert_eq!(check("id", &[]), Ok(()));
        assert_eq!(check("id", &[Some(1), Some(2), Some(1)]), Err(Class::Internal));
        assert_eq!(check("id", &[Some(1), None]), Err(Class::Data));
        assert_eq!(check("code", &[Some(1)]), Err(Class::Internal), "a column that is not there");
        assert_eq!(check("", &[Some(1), Some(1)]), Ok(()), "a stream without a key");
    }
}
