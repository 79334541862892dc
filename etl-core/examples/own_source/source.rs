//! The orders that a program holds as a source, and a transform that hides a column.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use async_trait::async_trait;
use etl_core::connector::{Finding, Stream};
use etl_core::transform::{Filter, Transform};
use etl_core::{Batch, BatchLimits, Batches, Changes, Definition, Error, Position, Progress};
use etl_core::{Result, Source, StreamSchema, testing::Row};
use futures::stream::{self, StreamExt};
use serde::{Deserialize, Serialize};

pub(crate) struct Orders(pub(crate) Arc<super::Store>, pub(crate) Stream);

/// The last row read, time and key; and the time up to which this sweep goes, until it is over.
#[derive(Serialize, Deserialize)]
struct Place(i64, i64, Option<i64>);

#[async_trait]
impl Source for Orders {
    async fn schema(&self) -> Result<StreamSchema> {
        let filter = self.1.config.filter.as_deref().unwrap_or_default();
        let definition = Definition::default().with("where", filter);
        Ok(StreamSchema { definition, ..Row::stream(&self.1.full_name()) })
    }
    async fn read(&self, after: Option<Position>, limits: BatchLimits) -> Result<Batches> {
        let after = after.map_or(Ok(Place(i64::MIN, 0, None)), |position| position.decode())?;
        let until = after.2.unwrap_or_else(|| self.0.now());
        let rows = self.0.changed((after.0, after.1), until);
        let filter = self.1.config.filter.as_deref().unwrap_or("TRUE");
        let filter = Filter::new(filter, self.1.config.filter_exit())?;
        let batches = limits.pages(rows.iter().map(Row::bytes)).into_iter().map(|page| {
            let (rows, over) = (&rows[page.clone()], page.end == rows.len());
            let place = match rows.last().filter(|_| !over) {
                Some(row) => Place(row.updated_at.unwrap_or(0), row.id, Some(until)),
                None => Place(until, i64::MAX, None),
            };
            let horizon_micros = over.then_some(until);
            let progress = Progress { read: rows.len() as u64, reread: 0, horizon_micros };
            let changes = filter.apply(Changes::upserts(Row::records(rows)?))?;
            Ok(Batch::new(changes, Position::encode(&place)?, progress))
        });
        Ok(stream::iter(batches.collect::<Vec<_>>()).boxed())
    }
    async fn check(&self) -> Result<Vec<Finding>> {
        Ok(vec![Finding::good("orders", "the lock that sets a row's time keeps late rows out")])
    }
}

/// Hides a text but for its first letter.
pub(crate) struct Hide(pub(crate) &'static str);

impl Transform for Hide {
    fn schema(&self, input: StreamSchema) -> Result<StreamSchema> {
        match input.schema.field_with_name(self.0) {
            Ok(field) if field.data_type() == &DataType::Utf8 && !input.is_key(self.0) => Ok(input),
            _ => Err(Error::config(format!("{}: {} is no text, or the key", input.name, self.0))),
        }
    }
    fn apply(&self, changes: Changes) -> Result<Changes> {
        let (records, mut columns) = (changes.records(), changes.records().columns().to_vec());
        let column = &mut columns[records.schema_ref().index_of(self.0)?];
        let hide = |text: &str| text.chars().take(1).chain("…".chars()).collect::<String>();
        let hidden = column.as_string::<i32>().iter().map(|text| text.map(hide));
        *column = Arc::new(hidden.collect::<StringArray>());
        Changes::new(RecordBatch::try_new(records.schema(), columns)?, changes.deletes().cloned())
    }
}
