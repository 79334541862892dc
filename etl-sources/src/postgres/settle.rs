//! Asks the server for the horizon of a sweep that begins.

use etl_core::connector::{Safety, Stream};
use etl_core::error::{Error, Result};
use etl_sql::postgres::{horizon, xid8};
use sqlx::postgres::PgConnection;

use super::mark::Mark;
use super::position::Place;

/// The horizon of times. To be found before the snapshot is taken.
///
/// `false` if the server's clock went back: nothing can be said about what is settled.
pub(super) async fn times(
    connection: &mut PgConnection,
    stream: &Stream,
    place: &mut Place,
) -> Result<bool> {
    let cursor = &stream.config.cursor;
    let (clock, settled) = match cursor.safety {
        Safety::Lookback(lookback) => {
            let clock = horizon::clock(connection).await?;
            let lookback = i64::try_from(lookback.as_micros())
                .map_err(|_| Error::config("cursor.safety.lookback: too long"))?;
            (clock, Some(clock.saturating_sub(lookback)))
        }
        _ if place.scan.is_none() => {
            let horizon = horizon::horizon(connection, cursor.guard).await?;
            warn_of_prepared(stream, horizon.prepared);
            (horizon.clock, horizon.settled)
        }
        _ => (horizon::clock(connection).await?, None),
    };
    let clock = Mark::Instant(clock);
    if place.is_ahead_of(clock) {
        tracing::warn!(
            stream = stream.name,
            %clock,
            horizon = ?place.h.map(|h| h.to_string()),
            "the server's clock went back behind what was read: nothing is read until it has \
             caught up. What was written since may lie behind the position; compare both sides, \
             or run with --full-refresh"
        );
        return Ok(false);
    }
    place.begin(settled.map(Mark::Instant));
    Ok(true)
}

fn warn_of_prepared(stream: &Stream, count: i64) {
    if count > 0 {
        tracing::warn!(
            stream = stream.name,
            count,
            "prepared transactions keep the horizon where it is: commit or roll them back \
             (pg_prepared_xacts); until then what is newer is read again by every run"
        );
    }
}

/// A number, and a time by which only lesser ones were committed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Noted {
    next: Mark,
    clock: Mark,
}

/// To be noted before the snapshot is taken, the sooner the better: the snapshot that comes later
/// often shows that all who were under way now have ended.
pub(super) async fn note(connection: &mut PgConnection) -> Result<Noted> {
    // In this order: what is committed before the clock is read has its number already.
    let clock = Mark::Instant(horizon::clock(connection).await?);
    Ok(Noted { next: Mark::Xid(xid8::next(connection).await?), clock })
}

/// The horizon of transaction numbers. To be found inside of the snapshot that is read from.
///
/// The number from which on no row can be seen.
pub(super) async fn numbers(
    connection: &mut PgConnection,
    stream: &Stream,
    noted: Noted,
    place: &mut Place,
) -> Result<Mark> {
    let seen = xid8::seen(connection).await?;
    let next = Mark::Xid(seen.next);
    if let Some(h) = place.h.filter(|_| place.is_ahead_of(next)) {
        return Err(Error::schema(format!(
            "the server's transaction numbers went back, from {h} to {next}: it was restored, and \
             what was written since has numbers that were read before. Run with --full-refresh"
        )));
    }
    if place.scan.is_none() {
        let durable = xid8::is_durable(connection, &seen).await?;
        if !durable {
            tracing::info!(
                stream = stream.name,
                "the server has not yet written its log to disk: the horizon stays where it was, \
                 and what is newer is read again by the next run"
            );
        }
        place.begin(durable.then_some(Mark::Xid(seen.oldest)));
        place.freshen(noted.next, noted.clock);
    }
    Ok(next)
}
