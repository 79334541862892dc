//! Other types for columns, without loss.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::batch::Changes;
use crate::error::{Error, Result};
use crate::exact;
use crate::schema::{Declared, StreamSchema};
use crate::transform::Transform;

/// Casts columns to declared types. A value that would change is an error of class `Data`: a
/// cast there and back must give the same value. Key columns cannot be cast.
#[derive(Debug)]
pub struct Cast(BTreeMap<String, Declared>);

impl Cast {
    /// Types by column, as [`Declared`] reads them.
    ///
    /// # Errors
    /// `Config` if a type cannot be read.
    pub fn new(types: &BTreeMap<String, String>) -> Result<Self> {
        let read = |(column, text): (&String, &String)| {
            let declared = Declared::parse(text)
                .map_err(|error| error.context(format!("transform cast: {column}")))?;
            Ok((column.clone(), declared))
        };
        types.iter().map(read).collect::<Result<_>>().map(Self)
    }

    fn cast_schema(&self, schema: &Schema) -> SchemaRef {
        let cast = |field: &Field| {
            let Some(declared) = self.0.get(field.name()) else { return field.clone() };
            let metadata = declared.metadata().map(|(key, value)| (key.to_owned(), value));
            Field::new(field.name(), declared.arrow(), field.is_nullable())
                .with_metadata(metadata.into_iter().collect())
        };
        Arc::new(Schema::new(schema.fields().iter().map(|field| cast(field)).collect::<Vec<_>>()))
    }
}

impl Transform for Cast {
    fn schema(&self, input: StreamSchema) -> Result<StreamSchema> {
        for (column, declared) in &self.0 {
            let error =
                |what: String| Error::config(format!("{}: transform cast: {what}", input.name));
            let Ok(field) = input.schema.field_with_name(column) else {
                return Err(error(format!("there is no column {column}")));
            };
            if input.is_key(column) {
                return Err(error(format!("{column} is a key column, which keeps its type")));
            }
            if !arrow::compute::can_cast_types(field.data_type(), &declared.arrow()) {
                return Err(error(format!(
                    "{column}: {} cannot become {}",
                    field.data_type(),
                    declared.arrow()
                )));
            }
        }
        let schema = self.cast_schema(&input.schema);
        Ok(StreamSchema { schema, ..input })
    }

    fn apply(&self, changes: Changes) -> Result<Changes> {
        let records = changes.records();
        let schema = self.cast_schema(records.schema_ref());
        let columns = records
            .columns()
            .iter()
            .zip(records.schema_ref().fields())
            .zip(schema.fields())
            .map(|((column, from), to)| {
                if self.0.contains_key(to.name()) {
                    cast_column(column, to, changes.deletes())
                        .map_err(|error| error.context(format!("transform cast: {}", from.name())))
                } else {
                    Ok(Arc::clone(column))
                }
            })
            .collect::<Result<Vec<_>>>()?;
        let nullable = nullable_for_deletes(&schema, changes.delete_count() > 0);
        Changes::new(RecordBatch::try_new(nullable, columns)?, changes.deletes().cloned())
    }
}

/// Deletes carry NULL in cast columns, whatever the schema promises for upserts.
fn nullable_for_deletes(schema: &SchemaRef, deletes: bool) -> SchemaRef {
    if !deletes {
        return Arc::clone(schema);
    }
    let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn cast_column(column: &ArrayRef, to: &Field, deletes: Option<&BooleanBuffer>) -> Result<ArrayRef> {
    let column = match deletes {
        Some(deletes) => {
            let nothing = new_null_array(column.data_type(), column.len());
            let mask = arrow::array::BooleanArray::new(deletes.clone(), None);
            arrow::compute::kernels::zip::zip(&mask, &nothing, column)?
        }
        None => Arc::clone(column),
    };
    let lossy = |error| {
        Error::data(format!("a value does not fit {}; widen the declared type", to.data_type()))
            .with_source(error)
    };
    let cast = exact::cast(&column, to.data_type()).map_err(lossy)?;
    // Rounding does not fail a cast, so look whether the way back gives the same values. A text
    // has many spellings of one number, so there the other direction decides.
    if column.data_type() != &DataType::Utf8 {
        let back = exact::cast(&cast, column.data_type()).map_err(lossy)?;
        if back.to_data() != column.to_data() {
            return Err(Error::data(format!(
                "a value changes when it becomes {}; widen the declared type",
                to.data_type()
            )));
        }
    }
    Ok(cast)
}
