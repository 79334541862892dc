//! One pass over what changed.
//!
//! In this order, each step on its own: the checks, the horizon, the snapshot, the check that the
//! table is still the one that was planned for, the rows. Any other order loses rows.

use std::sync::Arc;
use std::time::Duration;

use async_stream::try_stream;
use etl_core::batch::{Batch, BatchLimits};
use etl_core::connector::{self, Mode, Safety};
use etl_core::error::{Error, Result, ResultExt};
use etl_core::position::Position;
use etl_sql::postgres::catalog::{self, Table};
use etl_sql::postgres::copy::Frames;
use etl_sql::postgres::watch::{Doing, Watched};
use etl_sql::postgres::{failed, horizon};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor};
use tokio::time::timeout;

use super::check;
use super::plan::Plan;
use super::position::{Instant, Place};
use super::query::{self, Bounds};
use super::reader::Reader;
use super::source::PostgresSource;

pub(super) async fn begin(
    source: &PostgresSource,
    after: Option<Position>,
    limits: BatchLimits,
) -> Result<BoxStream<'static, Result<Batch>>> {
    let stream = &source.stream;
    let mut place = Place::decode(after.as_ref(), stream.config.primary_key.len())?;
    let mut connection = source.connect.open().await?;
    check::refusal(check::server(&mut connection, stream).await?)?;
    let table = Table::read(&mut connection, &source.table).await?;
    check::refusal(check::table(stream, &table))?;
    let plan = source.plan(&mut connection, &table).await?;
    place.system.clone_from(&plan.identity.system);
    place.timeline.clone_from(&plan.identity.timeline);

    let settled = settle(&mut connection, stream, &mut place).await?;
    let bounds = bounds(stream, &place);
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
    open_snapshot(&mut connection, source, &plan).await?;
    let sql = query::copy(&plan, &source.table, &bounds)?;
    tracing::debug!(stream = stream.name, sql, "reading");
    let name = stream.full_name();
    let watched = Watched::new(&source.connect, &mut connection).await?;
    let rows = rows(connection, sql, reader, (watched, source.silence));
    Ok(rows.map(move |item| item.context(|| &name)).boxed())
}

/// Fixes the horizon of a sweep that begins; one that goes on keeps its own, because with a newer
/// one it would step over what was written behind it meanwhile.
///
/// `false` if the server's clock went back: nothing can be said about what is settled.
async fn settle(
    connection: &mut PgConnection,
    stream: &connector::Stream,
    place: &mut Place,
) -> Result<bool> {
    let cursor = &stream.config.cursor;
    let (clock, settled) = match cursor.safety {
        Safety::Horizon if place.scan.is_none() => {
            let horizon = horizon::horizon(connection, cursor.guard).await?;
            warn_of_prepared(stream, horizon.prepared);
            (horizon.clock, horizon.settled)
        }
        Safety::Horizon => (horizon::clock(connection).await?, None),
        Safety::Lookback(lookback) => {
            let clock = horizon::clock(connection).await?;
            let lookback = i64::try_from(lookback.as_micros())
                .map_err(|_| Error::config("cursor.safety.lookback: too long"))?;
            (clock, Some(clock.saturating_sub(lookback)))
        }
    };
    if place.h.is_some_and(|h| clock < h.0) {
        tracing::warn!(
            stream = stream.name,
            clock = %Instant(clock),
            horizon = ?place.h.map(|h| h.to_string()),
            "the server's clock went back behind what was read: nothing is read until it has \
             caught up. What was written since may lie behind the position; compare both sides, \
             or run with --full-refresh"
        );
        return Ok(false);
    }
    if place.scan.is_none() {
        place.h = place.h.max(settled.map(Instant));
        place.above = 0;
    }
    Ok(true)
}

fn warn_of_prepared(stream: &connector::Stream, count: i64) {
    if count > 0 {
        tracing::warn!(
            stream = stream.name,
            count,
            "prepared transactions keep the horizon where it is: commit or roll them back \
             (pg_prepared_xacts); until then what is newer is read again by every run"
        );
    }
}

/// What to read; `None` if nothing may be read.
fn bounds(stream: &connector::Stream, place: &Place) -> Option<Bounds> {
    let behind = place.scan.clone();
    // Whatever is behind the last row read is not below `low` either.
    let low = if behind.is_some() { None } else { place.low };
    let below = Plan::settled_only(stream).then_some(place.h);
    match below {
        Some(None) => None,
        below => Some(Bounds { low, below: below.flatten(), behind }),
    }
}

/// Begins the transaction, takes the snapshot and the table's lock, and makes sure that both show
/// the table that was planned for.
async fn open_snapshot(
    connection: &mut PgConnection,
    source: &PostgresSource,
    plan: &Plan,
) -> Result<()> {
    connection
        .execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await
        .map_err(|error| failed("beginning to read", error))?;
    source.try_select(connection, plan).await?;
    let table = Table::read(connection, &source.table).await?;
    plan.still_fits(&table, &source.stream)?;
    if catalog::rewritten(connection, table.oid).await? {
        return Err(Error::transient(
            "the table was emptied or rewritten while the read began (TRUNCATE, ALTER TABLE), and \
             looks empty to it; it is read again",
        ));
    }
    Ok(())
}

fn rows(
    mut connection: PgConnection,
    sql: String,
    mut reader: Reader,
    (watched, silence): (Watched, Duration),
) -> BoxStream<'static, Result<Batch>> {
    const READING: &str = "reading rows";
    try_stream! {
        let mut frames = Frames::new(reader.fields());
        let mut complete = true;
        {
            let copy = connection.copy_out_raw(&sql).await;
            let mut copy = copy.map_err(|error| failed(READING, error))?;
            'sweep: while let Some(piece) = heard(&mut copy, &watched, silence).await? {
                frames.feed(&piece.map_err(|error| failed(READING, error))?);
                while let Some(frame) = frames.next()? {
                    if reader.is_full(&frame) {
                        yield reader.batch()?;
                    }
                    if !reader.push(&frame)? {
                        complete = false;
                        break 'sweep;
                    }
                }
            }
        }
        if complete {
            // The stream ended with CommandComplete, else it had yielded an error; the rows have
            // an end mark of their own.
            frames.finish()?;
            close(connection).await;
        } else {
            // In the middle of a COPY: nothing more can be said on this connection.
            drop(connection);
        }
        yield reader.end()?;
    }
    .boxed()
}

/// The next piece, however long it takes as long as the server is at work on it.
async fn heard<S: Stream + Unpin>(
    pieces: &mut S,
    watched: &Watched,
    silence: Duration,
) -> Result<Option<S::Item>> {
    let mut before = Doing::Works;
    loop {
        // Giving up the wait loses nothing: the stream itself stays.
        if let Ok(piece) = timeout(silence, pieces.next()).await {
            return Ok(piece);
        }
        let now = watched.doing().await?;
        if (before, now) == (Doing::WaitsForUs, Doing::WaitsForUs) {
            return Err(Error::transient(
                "the server waits for us to take rows, and none arrive: the connection is broken",
            ));
        }
        before = now;
    }
}

async fn close(connection: PgConnection) {
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "closing the connection");
    }
}
