//! Single rows by their keys, for what was put aside.
//!
//! Each statement sees a moment of its own. That makes no difference: a row counts only if its cursor
//! is below what sweeps have passed for good, and such a row has not changed since they passed it.

use std::sync::Arc;

use etl_core::connector::Stream;
use etl_core::error::{Error, Result, ResultExt};
use etl_core::position::Position;
use etl_core::quarantine::Sought;
use etl_core::{Found, RowKey};
use etl_sql::mssql::read::catalog::{Database, Table};
use etl_sql::mssql::read::types::Mapped;
use etl_sql::mssql::read::{Mark, Record, Rows};

use super::plan::Plan;
use super::position::Place;
use super::source::MssqlSource;
use super::{check, query, sweep};

const DOING: &str = "looking rows up by their keys";

/// How many parameters a statement has at most. The server takes 2,100, but compares for long.
const PARAMETERS: usize = 100;

/// What became of the rows with these keys, as far as sweeps up to `reached` have passed them.
pub(super) async fn rows(
    source: &MssqlSource,
    keys: &[RowKey],
    reached: &Position,
) -> Result<Found> {
    let stream = &source.stream;
    let place = Place::decode(Some(reached))?;
    let mut connection = source.open().await?;
    // The checks that a sweep makes: rows that are hidden would be taken for gone.
    let database = Database::read(&mut connection).await?;
    check::refusal(check::database(stream, &database))?;
    let table = Table::read(&mut connection, &source.table).await?;
    check::refusal(check::table(stream, &table))?;
    check::refusal(Vec::from_iter(check::sight(&mut connection, stream, &table).await?))?;
    let plan = source.plan(&mut connection, &database, &table).await?;
    place.fits(plan.kind, plan.key.len())?;
    let sought = Sought::new(keys, &plan.schema, &plan.key_names(), plan.exit.is_told())?;
    let mut read = Read::new(Arc::clone(&plan), stream, place.passed());
    for texts in sought.texts().chunks((PARAMETERS / plan.key.len().max(1)).max(1)) {
        let texts = key_texts(&plan, texts)?;
        let keys = texts.len() / plan.key.len().max(1);
        let select = query::by_key(&plan, &source.table, keys)?;
        tracing::debug!(stream = stream.name, sql = select, "looking up");
        let settings = sweep::settings(plan.reading);
        let mut rows = connection.fetch_with(settings, &select, &texts, DOING).await?;
        while let Some(record) = rows.next().await? {
            read.push(&record)?;
        }
    }
    read.found(&sought)
}

/// The keys' texts as the server reads them, key by key.
fn key_texts(plan: &Plan, keys: &[Vec<String>]) -> Result<Vec<String>> {
    let columns = plan.key.iter().map(|place| query::column(plan, *place));
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let parts = keys.iter().flat_map(|texts| columns.iter().zip(texts));
    let text = |(column, text): (&&Mapped, &String)| {
        column.key_text(text).ok_or_else(|| {
            Error::config(format!(
                "rows cannot be looked up by the key column {}: its seventh digit is not carried. \
                 Read everything again with --full-refresh",
                column.field.name()
            ))
        })
    };
    parts.map(text).collect()
}

/// The rows so far.
struct Read {
    plan: Arc<Plan>,
    /// Rows with cursors below this are passed for good.
    bound: Option<Mark>,
    passed: Rows,
    later: Rows,
}

impl Read {
    fn new(plan: Arc<Plan>, stream: &Stream, bound: Option<Mark>) -> Self {
        Self { passed: plan.rows(stream), later: plan.rows(stream), plan, bound }
    }

    fn push(&mut self, record: &Record) -> Result<()> {
        // A row without a cursor is read by no sweep, nor was it.
        let cursor = record.mark(self.plan.cursor, self.plan.kind);
        let passed = cursor.zip(self.bound).is_some_and(|(cursor, bound)| cursor < bound);
        let pushed = if passed {
            let leaves = self.plan.filter.is_some() && !record.is_one(self.plan.columns.len());
            self.passed.push(record, leaves)
        } else {
            // Only its key counts, as that of a delete.
            self.later.push(record, true)
        };
        pushed.map_err(|fault| self.plan.explain(record, fault))
    }

    fn found(mut self, sought: &Sought) -> Result<Found> {
        let key = self.plan.key_names();
        let (passed, rejected) = self.passed.take(&key)?;
        let (later, _) = self.later.take(&key)?;
        sought.found(&passed, rejected, later.records()).context(|| DOING)
    }
}
