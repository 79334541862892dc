//! Rows of one statement as they arrive, and the proof that all of them did.

use std::time::Duration;

use etl_core::error::{Error, Result};
use futures::TryStreamExt;
use tiberius::{ColumnData, QueryItem, QueryStream, Row, ToSql};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::mark::{Cursor, Mark};
use super::value;
use crate::mssql::connect::{Connection, required};
use crate::mssql::error::{Phase, classify, timed_out};

/// The rows of one `SELECT`.
///
/// They have ended only when the server has said how many there were: a connection that breaks,
/// a session that is killed and an answer that is cut short are all errors.
pub struct Fetch<'a> {
    items: QueryStream<'a>,
    doing: String,
    limit: Duration,
    received: i64,
    counted: Option<i64>,
}

/// A row as it arrived.
pub struct Record(Row);

impl Connection {
    /// Sends a `SELECT`, with settings that go before it, and gives its rows one by one. The
    /// connection is of no more use unless the rows were read to their end.
    ///
    /// Dropped half way, it has changed nothing at the server; drop the connection too.
    ///
    /// # Errors
    /// Classed by the server's number.
    pub async fn fetch(&mut self, settings: &str, select: &str, doing: &str) -> Result<Fetch<'_>> {
        let limit = self.limit();
        let sql = counted(&format!("{settings}{select}"));
        // The driver's futures are large.
        let sent = timeout(limit, Box::pin(self.client.simple_query(sql))).await;
        Fetch::new(sent, doing, limit)
    }

    /// The same of a `SELECT` with texts as its parameters `@P1` ….
    ///
    /// Dropped half way, as [`Connection::fetch`].
    ///
    /// # Errors
    /// Classed by the server's number.
    pub async fn fetch_with(
        &mut self,
        settings: &str,
        select: &str,
        parameters: &[String],
        doing: &str,
    ) -> Result<Fetch<'_>> {
        let limit = self.limit();
        let parameters: Vec<_> = parameters.iter().map(|text| text as &dyn ToSql).collect();
        let sql = counted(&format!("{settings}{select}"));
        let sent = self.client.query(sql, &parameters);
        Fetch::new(timeout(limit, Box::pin(sent)).await, doing, limit)
    }
}

/// A `SELECT` and behind it how many rows it gave.
fn counted(select: &str) -> String {
    format!("{select};\nSELECT ROWCOUNT_BIG() AS [rows];")
}

impl<'a> Fetch<'a> {
    fn new(
        sent: std::result::Result<tiberius::Result<QueryStream<'a>>, Elapsed>,
        doing: &str,
        limit: Duration,
    ) -> Result<Self> {
        let items = sent
            .map_err(|_| timed_out(Phase::Repeatable, doing, limit.as_secs()))?
            .map_err(|error| broken(&error, doing))?;
        Ok(Fetch { items, doing: doing.to_owned(), limit, received: 0, counted: None })
    }

    /// The next row; `None` once all of them have come.
    ///
    /// Dropped half way, the next call goes on with the same row; nothing is skipped.
    ///
    /// # Errors
    /// `Transient` if the answer breaks off, or nothing comes for as long as a statement may take;
    /// `Data` for a text that is no UTF-16.
    pub async fn next(&mut self) -> Result<Option<Record>> {
        loop {
            let item = timeout(self.limit, self.items.try_next())
                .await
                .map_err(|_| timed_out(Phase::Repeatable, &self.doing, self.limit.as_secs()))?
                .map_err(|error| broken(&error, &self.doing))?;
            match item {
                Some(QueryItem::Metadata(_)) => {}
                Some(QueryItem::Row(row)) if row.result_index() == 0 => {
                    self.received += 1;
                    return Ok(Some(Record(row)));
                }
                Some(QueryItem::Row(row)) => self.counted = Some(required(&row, "rows")?),
                None if self.counted == Some(self.received) => return Ok(None),
                None => {
                    return Err(Error::transient(format!(
                        "{}: the answer broke off after {} rows",
                        self.doing, self.received
                    )));
                }
            }
        }
    }
}

fn broken(error: &tiberius::error::Error, doing: &str) -> Error {
    // The driver tells this one by its text alone.
    match error {
        tiberius::error::Error::Protocol(text) if text.contains("invalid UTF-16") => {
            Error::data(format!(
                "{doing}: a text holds half of a surrogate pair, which is no character; correct it \
                 at the source, or take its column out of select"
            ))
        }
        error => classify(error, Phase::Repeatable, doing),
    }
}

impl Record {
    pub(super) fn cell(&self, column: usize) -> Option<&ColumnData<'static>> {
        self.0.get_column_data(column).ok()
    }

    /// About how many bytes the row takes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.cells().map(|(_, cell)| value::size(cell)).sum()
    }

    /// Whether an integer column is 1.
    #[must_use]
    pub fn is_one(&self, column: usize) -> bool {
        matches!(self.cell(column), Some(ColumnData::I32(Some(1))))
    }

    /// The value of a cursor column; `None` if it is NULL.
    #[must_use]
    pub fn mark(&self, column: usize, cursor: Cursor) -> Option<Mark> {
        value::mark(self.cell(column)?, cursor)
    }

    /// The text of a value, from which a literal of its type is made; `None` if it is NULL.
    #[must_use]
    pub fn text(&self, column: usize) -> Option<String> {
        value::text(self.cell(column)?)
    }
}
