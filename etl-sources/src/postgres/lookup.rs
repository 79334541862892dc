//! Single rows by their keys, for what was put aside.
//!
//! The rows of all keys are of one snapshot, and are read as a sweep reads them: the same columns,
//! the same filter, the same wire.

use std::sync::Arc;

use etl_core::connector::Stream;
use etl_core::error::{Result, ResultExt};
use etl_core::position::Position;
use etl_core::quarantine::Sought;
use etl_core::{Error, Found, RowKey};
use etl_sql::postgres::catalog::Table;
use etl_sql::postgres::copy::{Frame, Frames, Rows};
use etl_sql::postgres::failed;
use etl_sql::postgres::watch::Watched;
use futures::StreamExt;
use sqlx::postgres::PgConnection;

use super::mark::Mark;
use super::plan::Plan;
use super::position::Place;
use super::source::PostgresSource;
use super::sweep::{close, heard, open_snapshot};
use super::{check, query};

const DOING: &str = "looking rows up by their keys";

/// How many keys a statement has.
const KEYS_AT_ONCE: usize = 200;

/// What became of the rows with these keys, as far as sweeps up to `reached` have passed them.
pub(super) async fn rows(
    source: &PostgresSource,
    keys: &[RowKey],
    reached: &Position,
) -> Result<Found> {
    let (mut connection, sought, mut read) = source.heard(begin(source, keys, reached)).await?;
    let watched = source.heard(Watched::new(&source.connect, &mut connection)).await?;
    let sql = query::by_key(&read.plan, &source.table)?;
    tracing::debug!(stream = source.stream.name, sql, keys = sought.texts().len(), "looking up");
    for texts in sought.texts().chunks(KEYS_AT_ONCE) {
        source.heard(tell(&mut connection, texts)).await?;
        let mut frames = Frames::new(read.fields());
        let copy = heard(connection.copy_out_raw(&sql), &watched, source.silence).await?;
        let mut copy = copy.map_err(|error| failed(DOING, error))?;
        while let Some(piece) = heard(copy.next(), &watched, source.silence).await? {
            frames.feed(&piece.map_err(|error| failed(DOING, error))?);
            while let Some(frame) = frames.next()? {
                read.push(&frame)?;
            }
        }
        frames.finish()?;
    }
    close(connection).await;
    read.found(&sought)
}

/// Takes the snapshot, after the checks that a sweep makes: rows that are hidden would be taken for
/// gone.
async fn begin(
    source: &PostgresSource,
    keys: &[RowKey],
    reached: &Position,
) -> Result<(PgConnection, Sought, Read)> {
    let stream = &source.stream;
    let place = Place::decode(Some(reached))?;
    let mut connection = source.connect.open().await?;
    check::refusal(check::server(&mut connection, stream).await?)?;
    let table = Table::read(&mut connection, &source.table).await?;
    check::refusal(check::table(stream, &table))?;
    let plan = source.plan(&mut connection, &table).await?;
    place.fits(plan.kind, plan.key.len())?;
    let sought = Sought::new(keys, &plan.schema, &plan.key_names(), plan.exit.is_told())?;
    open_snapshot(&mut connection, source, &plan).await?;
    Ok((connection, sought, Read::new(plan, stream, place.passed())))
}

/// Tells the server the keys that the next statement looks for.
async fn tell(connection: &mut PgConnection, texts: &[Vec<String>]) -> Result<()> {
    let keys = serde_json::to_string(texts)
        .map_err(|error| Error::internal("writing keys as JSON").with_source(error))?;
    sqlx::query("SELECT set_config($1, $2, true)")
        .bind(query::KEYS)
        .bind(keys)
        .persistent(false)
        .execute(connection)
        .await
        .map(drop)
        .map_err(|error| failed(DOING, error))
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

    /// The number of fields that a row of the statement has.
    fn fields(&self) -> usize {
        self.plan.columns.len() + usize::from(self.plan.filter.is_some())
    }

    fn push(&mut self, frame: &Frame<'_>) -> Result<()> {
        // A row without a cursor is read by no sweep, nor was it.
        let cursor = frame.field(self.plan.cursor).and_then(|bytes| self.plan.kind.read(bytes));
        let passed = cursor.zip(self.bound).is_some_and(|(cursor, bound)| cursor < bound);
        let pushed = if passed {
            let leaves =
                self.plan.filter.is_some() && frame.field(self.plan.columns.len()) != Some(&[1]);
            self.passed.push(frame, leaves)
        } else {
            // Only its key counts, as that of a delete.
            self.later.push(frame, true)
        };
        pushed.map_err(|fault| self.plan.explain(frame, fault))
    }

    fn found(mut self, sought: &Sought) -> Result<Found> {
        let key = self.plan.key_names();
        let (passed, rejected) = self.passed.take(&key)?;
        let (later, _) = self.later.take(&key)?;
        sought.found(&passed, rejected, later.records()).context(|| DOING)
    }
}
