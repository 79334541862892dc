//! Other names for columns.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};

use crate::batch::Changes;
use crate::error::{Error, Result};
use crate::schema::StreamSchema;
use crate::transform::Transform;

/// Gives columns other names, the key's included.
#[derive(Debug)]
pub struct Rename(BTreeMap<String, String>);

impl Rename {
    /// New names by old name.
    #[must_use]
    pub fn new(names: BTreeMap<String, String>) -> Self {
        Self(names)
    }

    fn name(&self, old: &str) -> String {
        self.0.get(old).map_or_else(|| old.to_owned(), Clone::clone)
    }

    fn renamed(&self, schema: &Schema) -> SchemaRef {
        let fields: Vec<_> = schema
            .fields()
            .iter()
            .map(|field| field.as_ref().clone().with_name(self.name(field.name())))
            .collect();
        Arc::new(Schema::new(fields))
    }
}

impl Transform for Rename {
    fn schema(&self, input: StreamSchema) -> Result<StreamSchema> {
        if let Some(old) = self.0.keys().find(|old| input.schema.index_of(old).is_err()) {
            return Err(Error::config(format!(
                "{}: transform rename: there is no column {old}",
                input.name
            )));
        }
        let schema = self.renamed(&input.schema);
        for (index, field) in schema.fields().iter().enumerate() {
            if schema.fields().iter().skip(index + 1).any(|other| other.name() == field.name()) {
                return Err(Error::config(format!(
                    "{}: transform rename: two columns would be named {}",
                    input.name,
                    field.name()
                )));
            }
        }
        let key = input.key.iter().map(|column| self.name(column)).collect();
        Ok(StreamSchema { schema, key, ..input })
    }

    fn apply(&self, changes: Changes) -> Result<Changes> {
        let records = changes.records();
        let schema = self.renamed(records.schema_ref());
        let renamed = RecordBatch::try_new(schema, records.columns().to_vec())?;
        Changes::new(renamed, changes.deletes().cloned())
    }
}
