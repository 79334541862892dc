//! One pass over a snapshot, in the order of cursor and key.

use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use etl_core::connector::{FilterExit, Mode};
use etl_core::error::{Error, Result};
use etl_core::quarantine::Refused;
use etl_core::{Aside, Batch, BatchLimits, Changes, Progress, Rejected};
use etl_sql::sqlite::connect::{Access, BUSY_TIMEOUT, connect};
use etl_sql::sqlite::text::{self, Form};
use etl_sql::sqlite::{error, quote};
use futures::channel::mpsc::Sender;
use futures::{SinkExt, StreamExt};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Executor, Row};

use crate::sqlite::Settings;
use crate::sqlite::decode::{Columns, Stored};
use crate::sqlite::horizon;
use crate::sqlite::place::{KeyPart, Moment, Place, Scan};
use crate::sqlite::shape::Shape;
use crate::sqlite::statement::{self, written};

/// A snapshot of the file and where to read on in it.
pub(super) struct Sweep {
    settings: Arc<Settings>,
    connection: SqliteConnection,
    shape: Shape,
    place: Place,
    form: Option<Form>,
    limits: BatchLimits,
}

impl Sweep {
    /// Takes the snapshot.
    ///
    /// # Errors
    /// `Schema` if the table is not as it was `described`; else as opening and reading the file.
    pub(super) async fn begin(
        settings: Arc<Settings>,
        described: Option<SchemaRef>,
        mut place: Place,
        limits: BatchLimits,
    ) -> Result<Self> {
        // The order is what makes the horizon true: first the lock, then the snapshot.
        let writers = horizon::probe(&settings).await?;
        let mut connection = connect(&settings.config, Access::Read, BUSY_TIMEOUT).await?;
        connection
            .execute("BEGIN")
            .await
            .map_err(|cause| error::classify(cause, "beginning to read"))?;
        let shape = Shape::as_described(&mut connection, &settings, described).await?;
        let newest = horizon::newest(&mut connection, &settings, &shape.table.name).await?;
        // A sweep that goes on keeps its horizon: a later one would let rows slip through that
        // were committed meanwhile below it, behind the place where it goes on.
        if place.scan.is_none() {
            place.h =
                horizon::of_new_sweep(&mut connection, &settings, &place, writers, newest).await?;
        }
        let form = newest.map(|(form, _)| form);
        let mut sweep = Self { settings, connection, shape, place, form, limits };
        sweep.check_forms().await?;
        Ok(sweep)
    }

    /// Sends every batch, then ends; or an error, and ends.
    pub(super) async fn run(mut self, mut batches: Sender<Result<Batch>>) {
        if let Err(error) = self.read(&mut batches).await {
            // Without a receiver there is nobody to tell.
            drop(batches.send(Err(error)).await);
        }
    }

    /// Looks for cursors below the start that another form has put there: sorted as text, they
    /// would never be read. What sorts above the start is read, and checked then.
    async fn check_forms(&mut self) -> Result<()> {
        let (Some(form), Some(low)) = (self.form, self.place.low) else { return Ok(()) };
        let doing = "looking for timestamps of another form";
        let low = written(&self.settings, form, low)?;
        let (cursor, table) =
            (quote::name(self.settings.cursor())?, quote::name(&self.shape.table.name)?);
        let sample = form.write(0).unwrap_or_default();
        let separator = sample.get(10..11).unwrap_or_default();
        let last = if sample.ends_with('Z') { "=" } else { "<>" };
        let statement = format!(
            "SELECT EXISTS (SELECT 1 FROM main.{table} AS t WHERE t.{cursor} < '') OR EXISTS \
             (SELECT 1 FROM main.{table} AS t WHERE t.{cursor} COLLATE BINARY >= ? AND t.{cursor} \
             COLLATE BINARY < ? AND NOT (length(t.{cursor}) = {} AND substr(t.{cursor}, 11, 1) = \
             {} AND substr(t.{cursor}, -1) {last} 'Z'))",
            sample.len(),
            quote::text(separator)
        );
        let found: bool = sqlx::query_scalar(AssertSqlSafe(statement))
            .bind(low.get(0..10).unwrap_or_default().to_owned())
            .bind(low)
            .fetch_one(&mut self.connection)
            .await
            .map_err(|cause| error::classify(cause, doing))?;
        if found { Err(self.mixed(form, "a row below the position")) } else { Ok(()) }
    }

    fn mixed(&self, form: Form, row: &str) -> Error {
        Error::data(format!(
            "{}: cursor column {}: {row} has another form than {form}, which the column's newest \
             value has; texts of different forms do not sort as their times do. Write the column \
             in one form, in its DEFAULT, its triggers and in the rows that are there",
            self.settings.name,
            self.settings.cursor()
        ))
    }

    async fn read(&mut self, batches: &mut Sender<Result<Batch>>) -> Result<()> {
        let mut reading = Reading::new(&self.settings, &self.shape, &self.place)?;
        let name = &self.shape.table.name;
        let statement = match self.form {
            Some(form) => statement::of(&self.settings, name, form, &self.place)?,
            // The table has no row with a cursor.
            None => None,
        };
        let Some((statement, values)) = statement else {
            return send(batches, self.last(&mut reading)?).await;
        };
        // The rows borrow the connection; everything else is needed beside it.
        let Self { settings, connection, shape, place, form, limits } = self;
        let view = View { settings, shape, place, form: *form };
        let mut rows = sqlx::query_with(AssertSqlSafe(statement), values).fetch(connection);
        while let Some(row) = rows.next().await {
            let row = row.map_err(|cause| error::classify(cause, "reading rows"))?;
            if !view.take(&mut reading, row)? {
                break;
            }
            if reading.is_full(*limits) {
                send(batches, view.batch(&mut reading)?).await?;
            }
        }
        drop(rows);
        let last = self.last(&mut reading)?;
        send(batches, last).await
    }

    /// The batch that ends the sweep, with the rows that are left.
    fn last(&self, reading: &mut Reading) -> Result<Batch> {
        let Self { settings, shape, place, form, .. } = self;
        let view = View { settings, shape, place, form: *form };
        let exact = settings.stream.config.mode == Mode::Append;
        let after = place.after(reading.last.as_ref().map(|(moment, _)| *moment), exact);
        view.ended(reading, &after)
    }
}

async fn send(batches: &mut Sender<Result<Batch>>, batch: Batch) -> Result<()> {
    let closed = |_| Error::transient("the reader of this sweep is gone");
    batches.send(Ok(batch)).await.map_err(closed)
}

/// The rows of the batch that is being filled, and how far the sweep has come.
struct Reading {
    columns: Columns,
    last: Option<(Moment, SqliteRow)>,
    read: u64,
    reread: u64,
    /// Rows above the horizon so far.
    early: u64,
}

impl Reading {
    fn new(settings: &Settings, shape: &Shape, place: &Place) -> Result<Self> {
        debug_assert!(place.low <= place.h || place.h.is_none());
        Ok(Self { columns: shape.columns(settings)?, last: None, read: 0, reread: 0, early: 0 })
    }

    fn is_full(&self, limits: BatchLimits) -> bool {
        self.columns.rows() >= limits.rows || self.columns.bytes() >= limits.bytes
    }
}

/// What a sweep knows beside its connection.
struct View<'a> {
    settings: &'a Settings,
    shape: &'a Shape,
    place: &'a Place,
    form: Option<Form>,
}

impl View<'_> {
    /// Takes a row; false if it must wait: what lies above the horizon is delivered early, and
    /// read again, but not without bound.
    fn take(&self, reading: &mut Reading, row: SqliteRow) -> Result<bool> {
        let moment = self.moment(&row)?;
        let early = self.place.h.is_none_or(|h| moment >= h);
        if early && reading.early >= self.settings.stream.config.max_reread() {
            return Ok(false);
        }
        reading
            .columns
            .push(&row)
            .map_err(|(column, why)| self.settings.refused(&row, &column, &why))?;
        reading.read += 1;
        reading.reread += u64::from(self.place.high.is_some_and(|high| moment <= high));
        reading.early += u64::from(early);
        reading.last = Some((moment, row));
        Ok(true)
    }

    /// The row's cursor, which must have the form of all others.
    fn moment(&self, row: &SqliteRow) -> Result<Moment> {
        let cursor = self.settings.cursor();
        let stored = stored(row, cursor).map_err(|why| self.settings.refused(row, cursor, &why))?;
        let read = match stored {
            Stored::Text(text) => Form::read(text),
            _ => None,
        };
        match read {
            Some((form, micros)) if Some(form) == self.form => {
                Ok(Moment(micros - self.settings.utc_offset_micros))
            }
            _ => {
                let form = self.form.map_or_else(String::new, |form| form.to_string());
                let why = format!(
                    "it has another form than {form}, which the column's newest value has; texts \
                     of different forms do not sort as their times do"
                );
                Err(self.settings.refused(row, cursor, &why))
            }
        }
    }

    /// A batch in the middle of the sweep.
    fn batch(&self, reading: &mut Reading) -> Result<Batch> {
        let (cursor, row) =
            reading.last.as_ref().ok_or_else(|| Error::internal("a full batch without rows"))?;
        let key = self.settings.key().iter().map(|name| match stored(row, name) {
            Ok(Stored::Integer(number)) => Ok(KeyPart::Integer(number)),
            Ok(Stored::Text(text)) => Ok(KeyPart::Text(text.to_owned())),
            Ok(Stored::Blob(bytes)) => Ok(KeyPart::blob(bytes)),
            _ => Err(self.settings.refused(row, name, "it cannot be part of a key")),
        });
        let place = self.place.at(Scan { cursor: *cursor, key: key.collect::<Result<_>>()? });
        self.ended(reading, &place)
    }

    /// The rows so far, reaching `place`.
    fn ended(&self, reading: &mut Reading, place: &Place) -> Result<Batch> {
        let progress = Progress {
            read: std::mem::take(&mut reading.read),
            reread: std::mem::take(&mut reading.reread),
            horizon_micros: self.place.h.map(|Moment(micros)| micros),
        };
        let (records, refused) = reading.columns.take()?;
        let (changes, put) = self.changes(records, refused)?;
        tracing::trace!(
            stream = self.settings.name,
            rows = changes.len(),
            h = progress.horizon_micros.map(text::shown),
            "batch read"
        );
        let position = place.position()?;
        let aside = Aside { put, ..Aside::default() };
        Ok(Batch { changes, position, progress, aside })
    }

    /// Rows that pass the filter, and deletes of those that do not; and rows that are put aside.
    fn changes(&self, records: RecordBatch, refused: Refused) -> Result<(Changes, Vec<Rejected>)> {
        debug_assert_eq!(records.schema_ref(), &self.shape.stream.schema);
        let (changes, put) = self.settings.judged(records, refused)?;
        let deletes = changes.deletes().filter(|_| !self.settings.filter_exit().is_told());
        let Some(deletes) = deletes else { return Ok((changes, put)) };
        let kept = filter_record_batch(changes.records(), &BooleanArray::new(!deletes, None))?;
        Ok((Changes::upserts(kept), put))
    }
}

impl Settings {
    /// Says which value of which row cannot be carried.
    pub(super) fn refused(&self, row: &SqliteRow, column: &str, why: &str) -> Error {
        let key = self.key().iter().map(|name| match stored(row, name) {
            Ok(Stored::Integer(number)) => format!("{name}={number}"),
            Ok(Stored::Text(text)) => format!("{name}={text}"),
            _ => format!("{name}=?"),
        });
        let key = key.collect::<Vec<_>>().join(", ");
        Error::data(format!("{}: column {column}, row {key}: {why}", self.name))
    }

    /// What becomes of a row that leaves the filter.
    pub(super) fn filter_exit(&self) -> FilterExit {
        self.stream.config.filter_exit()
    }

    /// Rows that pass the filter as upserts, others as deletes; and rows that are put aside. A row
    /// that does not pass is not put aside, unless the filter looks at the value that has no form.
    pub(super) fn judged(
        &self,
        records: RecordBatch,
        mut refused: Refused,
    ) -> Result<(Changes, Vec<Rejected>)> {
        let Some(filter) = &self.filter else {
            return refused.take_out(Changes::upserts(records), self.key());
        };
        let (passes, looks_at) = (filter.evaluate(&records)?, filter.columns());
        refused
            .retain(|row, column| passes.value(row) || looks_at.iter().any(|name| *name == column));
        refused.take_out(Changes::new(records, Some(!&passes))?, self.key())
    }
}

pub(super) fn stored<'r>(row: &'r SqliteRow, column: &str) -> Result<Stored<'r>, String> {
    let raw = row.try_get_raw(column).map_err(|_| "it cannot be read".to_owned())?;
    Stored::of(raw)
}
