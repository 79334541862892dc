//! Some of the columns, in an order.

use std::sync::Arc;

use crate::batch::Changes;
use crate::error::{Error, Result};
use crate::schema::StreamSchema;
use crate::transform::Transform;

/// Keeps the named columns, in the named order.
#[derive(Debug)]
pub struct Select(Vec<String>);

impl Select {
    /// Keeps `columns`.
    #[must_use]
    pub fn new(columns: Vec<String>) -> Self {
        Self(columns)
    }
}

impl Transform for Select {
    fn schema(&self, input: StreamSchema) -> Result<StreamSchema> {
        if let Some(key) = input.key.iter().find(|key| !self.0.contains(key)) {
            return Err(Error::config(format!(
                "{}: transform select: key column {key} must be kept",
                input.name
            )));
        }
        let indices = self
            .0
            .iter()
            .map(|column| {
                input.schema.index_of(column).map_err(|_| {
                    Error::config(format!(
                        "{}: transform select: there is no column {column}",
                        input.name
                    ))
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let schema = Arc::new(input.schema.project(&indices)?);
        Ok(StreamSchema { schema, ..input })
    }

    fn apply(&self, changes: Changes) -> Result<Changes> {
        let records = changes.records();
        let indices = self
            .0
            .iter()
            .map(|column| records.schema_ref().index_of(column))
            .collect::<Result<Vec<_>, _>>()?;
        Changes::new(records.project(&indices)?, changes.deletes().cloned())
    }
}
