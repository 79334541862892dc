//! Single rows by their keys, for what was put aside.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use etl_core::error::{Result, ResultExt};
use etl_core::quarantine::Sought;
use etl_core::{Found, Position, RowKey};
use etl_sql::sqlite::connect::{Access, BUSY_TIMEOUT, connect};
use etl_sql::sqlite::error;
use etl_sql::sqlite::text::Form;
use futures::StreamExt;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Executor};

use crate::sqlite::Settings;
use crate::sqlite::decode::{Columns, Stored};
use crate::sqlite::place::{Moment, Place};
use crate::sqlite::shape::Shape;
use crate::sqlite::statement::{self, Part};
use crate::sqlite::sweep::stored;

const DOING: &str = "looking rows up by their keys";

/// How many keys a statement has, and how many rows are looked at together.
const AT_ONCE: usize = 200;

/// What became of the rows with these keys, as far as sweeps up to `reached` have passed them.
///
/// # Errors
/// As a sweep; `Data` for a key that is none of the stream's.
pub(super) async fn rows(
    settings: &Settings,
    described: Option<SchemaRef>,
    keys: &[RowKey],
    reached: &Position,
) -> Result<Found> {
    let place = Place::of(Some(reached))?;
    let mut connection = connect(&settings.config, Access::Read, BUSY_TIMEOUT).await?;
    let begun = connection.execute("BEGIN").await;
    begun.map_err(|cause| error::classify(cause, DOING))?;
    let shape = Shape::as_described(&mut connection, settings, described).await?;
    let told = settings.filter_exit().is_told();
    let sought = Sought::new(keys, &shape.stream.schema, settings.key(), told)?;
    let mut read = Read::new(settings, &shape, keys, place.passed())?;
    let parts = parts(&shape.stream.schema, settings.key())?;
    // Without a part to look for there is one statement, and it reads all rows.
    let at_once = if parts.iter().any(Option::is_some) { AT_ONCE } else { usize::MAX };
    for texts in sought.texts().chunks(at_once) {
        let (sql, values) = statement::by_key(settings, &shape.table.name, &parts, texts)?;
        let mut rows = sqlx::query_with(AssertSqlSafe(sql), values).fetch(&mut connection);
        while let Some(row) = rows.next().await {
            read.push(row.map_err(|cause| error::classify(cause, DOING))?)?;
        }
        drop(rows);
    }
    read.found(&sought)
}

/// Which columns of the key can be looked for, and how: those whose values SQLite files keep in one
/// form only. Of the others (`12.5` and `12.50` are one decimal) rows are compared once read.
fn parts(schema: &Schema, key: &[String]) -> Result<Vec<Option<Part>>> {
    let part = |name: &String| {
        Ok(match schema.field_with_name(name)?.data_type() {
            DataType::Int16 | DataType::Int32 | DataType::Int64 => Some(Part::Integer),
            DataType::Boolean => Some(Part::Boolean),
            DataType::Utf8 | DataType::Date32 => Some(Part::Text),
            DataType::Binary => Some(Part::Blob),
            _ => None,
        })
    };
    key.iter().map(part).collect()
}

/// The rows so far.
struct Read<'a> {
    settings: &'a Settings,
    wanted: BTreeSet<&'a RowKey>,
    /// Rows with cursors below this are passed for good.
    bound: Option<Moment>,
    /// Rows that were not looked at yet, and their keys.
    waiting: Vec<SqliteRow>,
    keys: Columns,
    passed: Columns,
    later: Vec<RecordBatch>,
    key_schema: SchemaRef,
}

impl<'a> Read<'a> {
    fn new(
        settings: &'a Settings,
        shape: &Shape,
        keys: &'a [RowKey],
        bound: Option<Moment>,
    ) -> Result<Self> {
        let schema = &shape.stream.schema;
        let places = settings.key().iter().map(|name| schema.index_of(name));
        let places = places.collect::<Result<Vec<_>, _>>()?;
        let key_schema = Arc::new(schema.project(&places)?);
        Ok(Self {
            settings,
            wanted: keys.iter().collect(),
            bound,
            waiting: Vec::new(),
            keys: Columns::at(&key_schema, places)?,
            passed: shape.columns(settings)?,
            later: Vec::new(),
            key_schema,
        })
    }

    fn push(&mut self, row: SqliteRow) -> Result<()> {
        self.keys.push(&row).map_err(|(column, why)| self.settings.refused(&row, &column, &why))?;
        self.waiting.push(row);
        if self.waiting.len() >= AT_ONCE { self.look() } else { Ok(()) }
    }

    /// Keeps those of the waiting rows that were asked for.
    fn look(&mut self) -> Result<()> {
        let (keys, _) = self.keys.take()?;
        let rows = std::mem::take(&mut self.waiting);
        let texts = RowKey::of(&keys, self.settings.key())?;
        for (place, (row, key)) in rows.iter().zip(&texts).enumerate() {
            if !self.wanted.contains(key) {
                continue;
            }
            let cursor = self.cursor(row);
            if cursor.zip(self.bound).is_some_and(|(cursor, bound)| cursor < bound) {
                let pushed = self.passed.push(row);
                pushed.map_err(|(column, why)| self.settings.refused(row, &column, &why))?;
            } else {
                self.later.push(keys.slice(place, 1));
            }
        }
        Ok(())
    }

    /// The row's cursor; without one it is read by no sweep, nor was it.
    fn cursor(&self, row: &SqliteRow) -> Option<Moment> {
        let Stored::Text(text) = stored(row, self.settings.cursor()).ok()? else { return None };
        let (_, micros) = Form::read(text)?;
        Some(Moment(micros - self.settings.utc_offset_micros))
    }

    fn found(mut self, sought: &Sought) -> Result<Found> {
        self.look()?;
        let (records, refused) = self.passed.take()?;
        let (passed, rejected) = self.settings.judged(records, refused)?;
        let later = concat_batches(&self.key_schema, &self.later)?;
        sought.found(&passed, rejected, &later).context(|| DOING)
    }
}
