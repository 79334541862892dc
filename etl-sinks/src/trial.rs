//! The row with which a check tries a write.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, FixedSizeBinaryArray, RecordBatch, StringArray, make_array, new_null_array,
};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Schema};
use etl_core::schema::StreamSchema;
use etl_core::{Changes, Result};

/// One delete of a key that hardly exists: a real row to load, and nothing to insert that a
/// constraint of the target might refuse.
pub(crate) fn trial_row(schema: &StreamSchema) -> Result<Changes> {
    let columns = schema.schema.fields().iter().map(|field| {
        if schema.is_key(field.name()) {
            let zero: ArrayRef = Arc::new(StringArray::from(vec!["0"]));
            match field.data_type() {
                DataType::FixedSizeBinary(size) => {
                    let bytes = vec![0; usize::try_from(*size).unwrap_or(16)];
                    let array = FixedSizeBinaryArray::try_from_iter([bytes].into_iter())?;
                    Ok(Arc::new(array) as ArrayRef)
                }
                DataType::Date32 | DataType::Timestamp(..) | DataType::Time64(_) => {
                    let zero = new_null_array(field.data_type(), 1).to_data().into_builder();
                    Ok(make_array(zero.nulls(None).build()?))
                }
                other => Ok(arrow::compute::cast(&zero, other)?),
            }
        } else {
            Ok(new_null_array(field.data_type(), 1))
        }
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let fields =
        schema.schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    let fields = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    Changes::new(RecordBatch::try_new(fields, columns)?, Some(BooleanBuffer::new_set(1)))
}
