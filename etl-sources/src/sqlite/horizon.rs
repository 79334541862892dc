//! Up to where nothing can come any more.
//!
//! A row that is not visible yet must not lie below the horizon `h`, or it is lost. SQLite gives
//! two proofs, and each rests on two facts: there is one write transaction at a time, and a
//! statement that writes takes the write lock *before* it evaluates `CURRENT_TIMESTAMP`. So a
//! cursor that SQLite sets (`set_by: database`) is never earlier than its transaction's lock.
//!
//! 1. **The lock.** Whoever gets the write lock at time `t` knows that all earlier writers have
//!    ended and all later ones set cursors of `t` or later. It also shows that an idle source is
//!    idle, so freshness goes on.
//! 2. **The order.** A transaction that is still open began after every committed one had ended;
//!    so its cursors are not below the greatest one that is visible. This holds while somebody
//!    else keeps the write lock for minutes, and for a file that we may only read.
//!
//! From either, a margin is taken off for the cursor's resolution (a second, for
//! `CURRENT_TIMESTAMP`) and for a clock that is set back a little. A clock that is set back by
//! more than the margin is noticed by the stored horizon, which never goes back. Nothing of this
//! holds for cursors that an application sets: those need `lookback`.

use std::time::Duration;

use etl_core::connector::Safety;
use etl_core::error::{Error, Result};
use etl_sql::sqlite::connect::now_micros;
use etl_sql::sqlite::table::get;
use etl_sql::sqlite::text::{self, Form};
use etl_sql::sqlite::writers::{self, Writers};
use etl_sql::sqlite::{error, quote};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row, ValueRef};

use crate::sqlite::Settings;
use crate::sqlite::place::{Moment, Place};

/// No horizon is nearer to the clock: two steps of the coarsest cursor, which has whole seconds.
const LEAST_MARGIN: Duration = Duration::from_secs(2);

/// What the write lock says. To be asked before the snapshot is taken.
///
/// # Errors
/// As opening the file.
pub(super) async fn probe(settings: &Settings) -> Result<Writers> {
    match settings.stream.config.cursor.safety {
        // `Xid8` was refused when the source was built.
        Safety::Horizon | Safety::Xid8 => writers::probe(&settings.config).await,
        Safety::Lookback(_) => Ok(Writers::Unknowable),
    }
}

/// The greatest cursor that the snapshot shows, and how the column writes its times.
///
/// # Errors
/// `Data` if it is no timestamp.
pub(super) async fn newest(
    c: &mut SqliteConnection,
    settings: &Settings,
    table: &str,
) -> Result<Option<(Form, Moment)>> {
    let doing = "looking for the newest row";
    let (cursor, from) = (quote::name(settings.cursor())?, quote::name(table)?);
    let statement = format!(
        "SELECT t.{cursor} FROM main.{from} AS t WHERE t.{cursor} IS NOT NULL \
         ORDER BY t.{cursor} COLLATE BINARY DESC LIMIT 1"
    );
    let row = sqlx::query(AssertSqlSafe(statement))
        .fetch_optional(c)
        .await
        .map_err(|cause| error::classify(cause, doing))?;
    let Some(row) = row else { return Ok(None) };
    let raw = row.try_get_raw(0).map_err(|cause| error::classify(cause, doing))?;
    let is_text = sqlx::TypeInfo::name(raw.type_info().as_ref()) == "TEXT";
    let written: Option<String> = if is_text { get(&row, 0, doing)? } else { None };
    let read = written.as_deref().and_then(Form::read);
    read.map(|(form, micros)| Some((form, Moment(micros - settings.utc_offset_micros)))).ok_or_else(
        || {
            Error::data(format!(
                "{}: cursor column {}: its greatest value is no timestamp such as \
                 2026-01-02T03:04:05.123456Z or 2026-01-02 03:04:05; correct that row",
                settings.name,
                settings.cursor()
            ))
        },
    )
}

/// The horizon of a sweep that begins now.
///
/// # Errors
/// As asking the file for the time.
pub(super) async fn of_new_sweep(
    c: &mut SqliteConnection,
    settings: &Settings,
    place: &Place,
    writers: Writers,
    newest: Option<(Form, Moment)>,
) -> Result<Option<Moment>> {
    let cursor = &settings.stream.config.cursor;
    let now = now_micros(c).await?;
    let (proven, by_clock) = match (cursor.safety, writers) {
        (Safety::Lookback(overlap), _) => (Some(now - micros(overlap)), true),
        (_, Writers::None(locked)) => (Some(locked), true),
        (_, Writers::Active | Writers::Unknowable) => {
            tracing::debug!(stream = settings.name, "no write lock: the newest row is the horizon");
            (newest.map(|(_, Moment(newest))| newest.min(now)), false)
        }
    };
    let resolution = newest.map_or(1_000_000, |(form, _)| form.resolution_micros());
    let margin = micros(LEAST_MARGIN.max(cursor.guard));
    let bound = proven.map(|micros| micros - margin).map(|at| at - at.rem_euclid(resolution));
    Ok(hold(settings, place.h, bound.map(Moment), by_clock))
}

/// The horizon never goes back.
fn hold(
    settings: &Settings,
    stored: Option<Moment>,
    bound: Option<Moment>,
    by_clock: bool,
) -> Option<Moment> {
    if was_set_back(stored, bound, by_clock) {
        tracing::warn!(
            stream = settings.name,
            "this machine's clock is behind the horizon of the last sweep ({}): was it set back? \
             The horizon stays until the clock has passed it; rows that were written meanwhile \
             with earlier times are not found by a cursor",
            stored.map_or_else(String::new, |Moment(micros)| text::shown(micros))
        );
    }
    stored.max(bound)
}

/// Whether a clock says less than it did at the last sweep; a newest row that was deleted says nothing.
fn was_set_back(stored: Option<Moment>, bound: Option<Moment>, by_clock: bool) -> bool {
    by_clock && bound < stored
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests;
