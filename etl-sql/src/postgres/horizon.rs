//! The instant up to which everything that was ever written can be seen.

use std::time::Duration;

use etl_core::error::{Error, Result};
use sqlx::Row;
use sqlx::postgres::PgConnection;

use super::error::failed;

/// What the server's activity says about late commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizon {
    /// The server's clock before anything else was looked at, microseconds since 1970 UTC.
    pub clock: i64,
    /// All rows that were written with the server's clock before this instant are visible to
    /// every snapshot taken from now on; microseconds since 1970 UTC. `None` if no such instant
    /// is known, because of a prepared transaction.
    pub settled: Option<i64>,
    /// Prepared transactions of this database.
    pub prepared: i64,
}

/// Finds the horizon.
///
/// Holds for a column that this server sets, on every insert and update, to a time at or after
/// the start of the writing transaction. Call it outside of any transaction, and take the reading
/// snapshot only afterwards: what begins in between is after the horizon, what ends in between is
/// visible.
///
/// Dropped half way, it has changed nothing at the server; drop the connection too.
///
/// # Errors
/// `Permission` without `pg_read_all_stats`; `Config` on a standby, and where sessions hide their
/// activity.
pub async fn horizon(connection: &mut PgConnection, guard: Duration) -> Result<Horizon> {
    Sight::look(connection).await?.refusals().into_iter().next().map_or(Ok(()), Err)?;
    // Separate statements, each its own transaction, in this order: the clock first, so that
    // whatever begins later is above it; the prepared ones last, because an open transaction
    // can become one.
    let clock = clock(connection).await?;
    let oldest: Option<i64> = sqlx::query_scalar(OLDEST)
        .fetch_one(&mut *connection)
        .await
        .map_err(|error| failed("looking for the oldest transaction", error))?;
    let prepared = prepared(connection).await?;
    let guard =
        i64::try_from(guard.as_micros()).map_err(|_| Error::config("cursor.guard: too long"))?;
    let settled = clock.min(oldest.unwrap_or(clock)).saturating_sub(guard);
    Ok(Horizon { clock, settled: (prepared == 0).then_some(settled), prepared })
}

/// The server's clock, microseconds since 1970 UTC.
///
/// Dropped half way, it has changed nothing at the server; drop the connection too.
///
/// # Errors
/// Of the connection.
pub async fn clock(connection: &mut PgConnection) -> Result<i64> {
    sqlx::query_scalar("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8")
        .fetch_one(connection)
        .await
        .map_err(|error| failed("asking for the server's clock", error))
}

/// The number of prepared transactions of this database.
///
/// Dropped half way, it has changed nothing at the server; drop the connection too.
///
/// # Errors
/// Of the connection.
pub async fn prepared(connection: &mut PgConnection) -> Result<i64> {
    sqlx::query_scalar("SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()")
        .fetch_one(connection)
        .await
        .map_err(|error| failed("looking for prepared transactions", error))
}

const OLDEST: &str = "SELECT (extract(epoch FROM min(least(xact_start, query_start))) \
     * 1000000)::int8 FROM pg_stat_activity WHERE pid <> pg_backend_pid() \
     AND datname = current_database() \
     AND backend_type NOT IN ('autovacuum worker', 'walsender') \
     AND (xact_start IS NOT NULL OR state <> 'idle')";

/// What this session can see of the server's activity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// Whether the server is a standby.
    pub in_recovery: bool,
    /// Whether the role sees the transactions of others.
    pub may_see: bool,
    /// Sessions of this database that do not report what they do.
    pub hidden: i64,
    /// The role.
    pub role: String,
}

impl Sight {
    /// Looks.
    ///
    /// Dropped half way, it has changed nothing at the server; drop the connection too.
    ///
    /// # Errors
    /// Of the connection.
    pub async fn look(connection: &mut PgConnection) -> Result<Self> {
        let fail = |error| failed("looking whether the horizon can be known", error);
        let row = sqlx::query(
            "SELECT pg_is_in_recovery(), pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'), \
             (SELECT count(*) FROM pg_stat_activity WHERE state = 'disabled' \
             AND datname = current_database() AND pid <> pg_backend_pid()), current_user::text",
        )
        .fetch_one(connection)
        .await
        .map_err(fail)?;
        Ok(Self {
            in_recovery: row.try_get(0).map_err(fail)?,
            may_see: row.try_get(1).map_err(fail)?,
            hidden: row.try_get(2).map_err(fail)?,
            role: row.try_get(3).map_err(fail)?,
        })
    }

    /// Why no safe read is possible here at all: a standby shows a past that may be older than a
    /// position.
    #[must_use]
    pub fn standby(&self) -> Option<Error> {
        self.in_recovery.then(|| {
            Error::config(
                "the server is a standby: it does not know which transactions are open on the \
                 primary, so that rows would be missed; give the primary's address",
            )
        })
    }

    /// Every reason why the activity cannot be trusted to show all open transactions.
    #[must_use]
    pub fn refusals(&self) -> Vec<Error> {
        let mut refusals = Vec::from_iter(self.standby());
        if !self.may_see {
            let role = &self.role;
            refusals.push(Error::permission(format!(
                "role {role} does not see when the transactions of others began, so that rows \
                 which commit late would be missed: GRANT pg_read_all_stats TO \"{role}\" (with \
                 inheritance), or use cursor.safety: {{ lookback: 10m }}"
            )));
        }
        if self.hidden > 0 {
            refusals.push(Error::config(format!(
                "{} sessions hide what they do (track_activities = off), so that rows which commit \
                 late would be missed: turn track_activities on for every role of this database, \
                 or use cursor.safety: {{ lookback: 10m }}",
                self.hidden
            )));
        }
        refusals
    }
}
