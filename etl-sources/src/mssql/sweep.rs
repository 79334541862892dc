//! One pass over what changed.
//!
//! In this order, each step on its own: the checks, the horizon, the check that the table is still
//! the one that was planned for, the rows. Asking for the horizon after the first row was read, or
//! anew for each page, loses rows.

use std::sync::Arc;

use async_stream::try_stream;
use etl_core::batch::{Batch, BatchLimits};
use etl_core::connector::{self, Mode, Safety};
use etl_core::error::{Error, Result, ResultExt};
use etl_core::position::Position;
use etl_sql::mssql::Connection;
use etl_sql::mssql::read::catalog::{Database, Reading, Table};
use etl_sql::mssql::read::horizon::{self, Horizon};
use etl_sql::mssql::read::{Cursor, Mark};
use futures::StreamExt;
use futures::stream::{self, BoxStream};

use super::check;
use super::plan::Plan;
use super::position::Place;
use super::query::{self, Bounds};
use super::reader::Reader;
use super::source::MssqlSource;

pub(super) async fn begin(
    source: &MssqlSource,
    after: Option<Position>,
    limits: BatchLimits,
) -> Result<BoxStream<'static, Result<Batch>>> {
    let stream = &source.stream;
    let mut place = Place::decode(after.as_ref())?;
    let mut connection = source.open().await?;
    let database = Database::read(&mut connection).await?;
    check::refusal(check::database(stream, &database))?;
    let table = Table::read(&mut connection, &source.table).await?;
    check::refusal(check::table(stream, &table))?;
    check::refusal(Vec::from_iter(check::sight(&mut connection, stream, &table).await?))?;
    let plan = source.plan(&mut connection, &database, &table).await?;
    place.fits(plan.kind, plan.key.len())?;
    place.database.clone_from(&plan.identity.database);
    place.fork.clone_from(&plan.identity.fork);

    let settled = settle(&mut connection, stream, plan.kind, &mut place).await?;
    let bounds = bounds(&plan, stream, &place);
    let mut reader = Reader::new(Arc::clone(&plan), stream, place, limits);
    if !settled && stream.config.mode == Mode::Replace {
        // Rows that are not read now would be deleted.
        return Err(Error::transient(
            "the server's clock went back behind what was read: what was loaded so far waits until \
             it has caught up",
        ));
    }
    if !settled {
        return Ok(stream::iter([reader.hold()]).boxed());
    }
    let Some(bounds) = bounds else {
        return Ok(stream::iter([reader.end()]).boxed());
    };
    let table = Table::read(&mut connection, &source.table).await?;
    plan.still_fits(&database, &table, stream)?;
    let select = query::sweep(&plan, &source.table, &bounds)?;
    tracing::debug!(stream = stream.name, sql = select, "reading");
    let name = stream.full_name();
    let rows = rows(connection, plan.reading, select, reader);
    Ok(rows.map(move |item| item.context(|| &name)).boxed())
}

/// Fixes the horizon of a sweep that begins; one that goes on keeps its own, because with a newer
/// one it would step over what was written behind it meanwhile.
///
/// `false` if the server's clock went back: nothing can be said about what is settled.
async fn settle(
    connection: &mut Connection,
    stream: &connector::Stream,
    kind: Cursor,
    place: &mut Place,
) -> Result<bool> {
    let config = &stream.config.cursor;
    let horizon = match (kind, config.safety) {
        (Cursor::Version, _) => horizon::versions(connection).await?,
        // `Xid8` was refused when the source was built.
        (_, Safety::Horizon | Safety::Xid8) => {
            horizon::times(connection, kind, config.guard).await?
        }
        (_, Safety::Lookback(lookback)) => horizon::lookback(connection, kind, lookback).await?,
    };
    if kind == Cursor::Version {
        went_back(&horizon, place)?;
    } else if place.h.is_some_and(|h| Mark::from_unix_micros(horizon.clock) < h) {
        tracing::warn!(
            stream = stream.name,
            clock = %Mark::from_unix_micros(horizon.clock),
            horizon = ?place.h.map(|h| h.to_string()),
            "the server's clock went back behind what was read: nothing is read until it has \
             caught up. What was written since may lie behind the position; compare both sides, \
             or run with --full-refresh"
        );
        return Ok(false);
    }
    if place.scan.is_none() {
        place.h = place.h.max(horizon.settled);
        place.above = 0;
        freshen(&horizon, place);
    }
    Ok(true)
}

/// Rowversions of one history never go back.
fn went_back(horizon: &Horizon, place: &Place) -> Result<()> {
    match (place.h, horizon.settled) {
        (Some(was), Some(is)) if is < was => Err(Error::schema(format!(
            "the database's rowversions went back, from {was} to {is}: a backup was restored, and \
             what was written since has numbers that were read before. Run with --full-refresh"
        ))),
        _ => Ok(()),
    }
}

/// Finds the time up to which everything committed is below the horizon of rowversions: one that
/// was noted together with a number that the horizon has passed.
fn freshen(horizon: &Horizon, place: &mut Place) {
    let (Some(h), Some(given_out)) = (place.h, horizon.given_out) else { return };
    let now = (Mark::Version(given_out), Mark::from_unix_micros(horizon.clock));
    for (number, time) in [place.next, Some(now)].into_iter().flatten() {
        if h > number {
            place.at = place.at.max(Some(time));
            place.next = None;
        } else {
            place.next = place.next.or(Some((number, time)));
        }
    }
}

/// What to read; `None` if nothing may be read.
fn bounds(plan: &Plan, stream: &connector::Stream, place: &Place) -> Option<Bounds> {
    let behind = place.scan.clone();
    // Whatever is behind the last row read is not below `low` either.
    let low = if behind.is_some() { None } else { place.low };
    let below = plan.settled_only(stream).then_some(place.h);
    match below {
        Some(None) => None,
        below => Some(Bounds { low, below: below.flatten(), behind }),
    }
}

/// What is said before a `SELECT`: one statement is a transaction of its own, and sees one snapshot.
pub(super) fn settings(reading: Reading) -> &'static str {
    match reading {
        Reading::Snapshot => "SET TRANSACTION ISOLATION LEVEL SNAPSHOT;\n",
        Reading::Versioned | Reading::Locking => "",
    }
}

fn rows(
    mut connection: Connection,
    reading: Reading,
    select: String,
    mut reader: Reader,
) -> BoxStream<'static, Result<Batch>> {
    try_stream! {
        {
            let mut rows = connection.fetch(settings(reading), &select, "reading rows").await?;
            while let Some(record) = rows.next().await.map_err(|error| reader.behind(error))? {
                if reader.is_full(&record) {
                    yield reader.batch()?;
                }
                if !reader.push(&record)? {
                    break;
                }
            }
        }
        // Nothing more is said on this connection: rows may still be on their way.
        drop(connection);
        yield reader.end()?;
    }
    .boxed()
}
