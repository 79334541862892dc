//! One pass over what changed.
//!
//! In this order, each step on its own: the checks, the horizon, the snapshot, the check that the
//! table is still the one that was planned for, the rows. Any other order loses rows. The horizon
//! of transaction numbers is the snapshot's own, and is looked at inside of it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_stream::try_stream;
use etl_core::batch::{Batch, BatchLimits};
use etl_core::connector::{self, Mode, Safety};
use etl_core::error::{Error, Result, ResultExt};
use etl_core::fail_point;
use etl_core::position::Position;
use etl_sql::postgres::catalog::{self, Table};
use etl_sql::postgres::copy::Frames;
use etl_sql::postgres::failed;
use etl_sql::postgres::watch::{Doing, Watched};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor};
use tokio::time::timeout;

use super::plan::Plan;
use super::position::Place;
use super::query::{self, Bounds};
use super::reader::Reader;
use super::source::PostgresSource;
use super::{check, settle};

pub(super) async fn begin(
    source: &PostgresSource,
    after: Option<Position>,
    limits: BatchLimits,
) -> Result<BoxStream<'static, Result<Batch>>> {
    let stream = &source.stream;
    let mut place = Place::decode(after.as_ref())?;
    let mut connection = source.connect.open().await?;
    check::refusal(check::server(&mut connection, stream).await?)?;
    let by_number = stream.config.cursor.safety == Safety::Xid8;
    let noted = if by_number { Some(settle::note(&mut connection).await?) } else { None };
    let table = Table::read(&mut connection, &source.table).await?;
    check::refusal(check::table(stream, &table))?;
    check::refusal(check::stamps(&mut connection, source, &table).await?)?;
    let plan = source.plan(&mut connection, &table).await?;
    place.fits(plan.kind, plan.key.len())?;
    place.system.clone_from(&plan.identity.system);
    place.timeline.clone_from(&plan.identity.timeline);

    let mut given_out = None;
    let settled = if let Some(noted) = noted {
        open_snapshot(&mut connection, source, &plan).await?;
        given_out = Some(settle::numbers(&mut connection, stream, noted, &mut place).await?);
        true
    } else {
        settle::times(&mut connection, stream, &mut place).await?
    };
    fail_point!("postgres-source.horizon");
    let bounds = bounds(stream, &place);
    let mut reader = Reader::new(Arc::clone(&plan), stream, place, limits).below(given_out);
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
    if !by_number {
        open_snapshot(&mut connection, source, &plan).await?;
    }
    fail_point!("postgres-source.snapshot");
    let sql = query::copy(&plan, &source.table, &bounds)?;
    tracing::debug!(stream = stream.name, sql, "reading");
    let name = stream.full_name();
    let watched = Watched::new(&source.connect, &mut connection).await?;
    let rows = rows(connection, sql, reader, (watched, source.silence));
    Ok(rows.map(move |item| item.context(|| &name)).boxed())
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
pub(super) async fn open_snapshot(
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
            let copy = heard(connection.copy_out_raw(&sql), &watched, silence).await?;
            let mut copy = copy.map_err(|error| failed(READING, error))?;
            'sweep: while let Some(piece) = heard(copy.next(), &watched, silence).await? {
                frames.feed(&piece.map_err(|error| failed(READING, error))?);
                while let Some(frame) = frames.next()? {
                    if reader.is_full(&frame) {
                        yield reader.batch()?;
                    }
                    fail_point!("postgres-source.row");
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
        fail_point!("postgres-source.end");
        yield reader.end()?;
    }
    .boxed()
}

/// The server's answer, however long it takes as long as the server is at work on it.
pub(super) async fn heard<T>(
    answer: impl Future<Output = T>,
    watched: &Watched,
    silence: Duration,
) -> Result<T> {
    let mut answer = pin!(answer);
    let mut before = Doing::Works;
    loop {
        if let Ok(answer) = timeout(silence, &mut answer).await {
            return Ok(answer);
        }
        let now = watched.doing().await?;
        now.or_lost(before)?;
        before = now;
    }
}

pub(super) async fn close(connection: PgConnection) {
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "closing the connection");
    }
}
