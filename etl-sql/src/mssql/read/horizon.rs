//! The point up to which everything that was ever written can be seen.
//!
//! **Rowversions are exact.** Every insert and update of a row with a `rowversion` column takes the
//! database's next number. `MIN_ACTIVE_ROWVERSION()` is the least number that a transaction still
//! under way has taken; if there is none, the number that comes next. Let `h` be what it says at
//! some instant.
//!
//! - A number below `h` was taken before that instant, because all later ones are greater, and by a
//!   transaction that has ended by then, because it would be counted otherwise.
//! - So a statement that begins *afterwards* finds each row whose number is below `h`: nothing with
//!   such a number can be committed any more. It finds it in every isolation level that shows
//!   only what is committed: a row that is changed meanwhile takes a number of `h` or more, and the
//!   next sweep, which begins at `h` or below, reads it.
//! - `h` never goes back while the database has one history. Where it did, a backup was restored.
//!
//! Asking once for each page, or reading first and asking later, breaks the first step; the greatest
//! number seen (or `@@DBTS`) breaks the second. Both lose rows.
//!
//! **Times are nearly exact.** Where the server sets the column, a value is not before its
//! transaction began. So nothing that is still under way is before `h`, the earlier of the clock and
//! of the beginning of the oldest open transaction of this database, less a margin for the
//! column's resolution and for the moment between a transaction's beginning and its being listed.
//! The list has the server's local time: a transaction that is open while summer time ends seems
//! to have begun in the future, and then `h` does not advance.

use std::time::Duration;

use etl_core::error::{Error, Result};
use tiberius::Row;

use super::mark::{Cursor, Mark, TICKS_PER_SECOND};
use crate::mssql::connect::{Connection, required, value};

/// No horizon of a time is nearer to the clock than this.
const LEAST_MARGIN: Duration = Duration::from_secs(2);

/// What the server says about late commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizon {
    /// The server's clock when it was asked, microseconds since 1970 UTC.
    pub clock: i64,
    /// Every row whose cursor is below this can be seen by statements that begin from now on.
    /// `None` if no such point is known.
    pub settled: Option<Mark>,
    /// The last rowversion that was given out; whatever was committed by `clock` is not above it.
    pub given_out: Option<u64>,
}

/// One row: clock, last and least active rowversion.
pub const VERSIONS: &str = "\
SELECT DATEDIFF_BIG(microsecond, '1970-01-01', SYSUTCDATETIME()) AS [clock],
       CONVERT(bigint, MIN_ACTIVE_ROWVERSION()) AS [settled], CONVERT(bigint, @@DBTS) AS [given_out];";

/// One row: the clock.
pub const CLOCK: &str =
    "SELECT DATEDIFF_BIG(microsecond, '1970-01-01', SYSUTCDATETIME()) AS [clock];";

/// One row: for how many microseconds the oldest and the youngest transaction of this database
/// that may write have been open.
pub const OPEN: &str = "\
SELECT MAX(DATEDIFF_BIG(microsecond, a.[transaction_begin_time], SYSDATETIME())) AS [oldest],
       MIN(DATEDIFF_BIG(microsecond, a.[transaction_begin_time], SYSDATETIME())) AS [youngest]
  FROM sys.dm_tran_database_transactions AS d
  INNER JOIN sys.dm_tran_active_transactions AS a ON a.[transaction_id] = d.[transaction_id]
 WHERE d.[database_id] = DB_ID() AND a.[transaction_type] IN (1, 4);";

/// One row if the server lists its open transactions.
pub const LISTS: &str =
    "SELECT 1 AS [lists] WHERE OBJECT_ID(N'sys.dm_tran_database_transactions') IS NOT NULL;";

/// The horizon of rowversions. Ask outside of any transaction, and read afterwards.
///
/// Dropped half way, it has changed nothing at the server; drop the connection too.
///
/// # Errors
/// Of the connection; a server that does not know the function says so.
pub async fn versions(connection: &mut Connection) -> Result<Horizon> {
    const DOING: &str = "asking for the least active rowversion";
    let row = one(connection, VERSIONS, DOING).await?;
    let version = |name| -> Result<u64> {
        u64::try_from(required::<i64>(&row, name)?)
            .map_err(|_| Error::internal(format!("{DOING}: {name} is negative")))
    };
    Ok(Horizon {
        clock: required(&row, "clock")?,
        settled: Some(Mark::Version(version("settled")?)),
        given_out: Some(version("given_out")?),
    })
}

/// The horizon of a time that the server sets. Ask outside of any transaction, and read afterwards.
///
/// Dropped half way, it has changed nothing at the server; drop the connection too.
///
/// # Errors
/// `Permission` to a login that may not see the transactions of others; of the connection.
pub async fn times(
    connection: &mut Connection,
    cursor: Cursor,
    guard: Duration,
) -> Result<Horizon> {
    // Two statements in this order: whatever begins later than the clock was read is above it.
    let clock = clock(connection).await?;
    let row = one(connection, OPEN, "looking for the oldest open transaction").await?;
    let (oldest, youngest) = (value::<i64>(&row, "oldest")?, value::<i64>(&row, "youngest")?);
    let margin = margin(cursor, guard);
    let settled = clock.saturating_sub(oldest.unwrap_or(0).max(0)).saturating_sub(margin);
    let known = youngest.is_none_or(|age| age > -micros(LEAST_MARGIN));
    let settled = known.then(|| floor(settled, cursor));
    Ok(Horizon { clock, settled, given_out: None })
}

/// What is older than `lookback`, whoever sets the cursor.
///
/// Dropped half way, it has changed nothing at the server; drop the connection too.
///
/// # Errors
/// Of the connection.
pub async fn lookback(
    connection: &mut Connection,
    cursor: Cursor,
    lookback: Duration,
) -> Result<Horizon> {
    let clock = clock(connection).await?;
    let overlap = micros(lookback).max(margin(cursor, Duration::ZERO));
    let settled = Some(floor(clock.saturating_sub(overlap), cursor));
    Ok(Horizon { clock, settled, given_out: None })
}

/// The server's clock, microseconds since 1970 UTC.
///
/// Dropped half way, it has changed nothing at the server; drop the connection too.
///
/// # Errors
/// Of the connection.
pub async fn clock(connection: &mut Connection) -> Result<i64> {
    required(&one(connection, CLOCK, "asking for the server's clock").await?, "clock")
}

/// Why this login cannot know the horizon of a time, if it cannot.
///
/// Dropped half way, it has changed nothing at the server; drop the connection too.
///
/// # Errors
/// Of the connection.
pub async fn blindness(connection: &mut Connection) -> Result<Option<Error>> {
    const DOING: &str = "looking whether open transactions can be seen";
    if connection.batch(LISTS, DOING).await?.is_empty() {
        return Ok(Some(Error::config(
            "this server does not list its open transactions, so that rows which commit late would \
             be missed: use a rowversion column as the cursor, or cursor.safety: { lookback: 10m }",
        )));
    }
    match connection.batch(OPEN, DOING).await {
        Ok(_) => Ok(None),
        Err(error) if error.class() == etl_core::Class::Permission => Ok(Some(Error::permission(
            "the login does not see when the transactions of others began, so that rows which \
             commit late would be missed: GRANT VIEW SERVER STATE to it (SQL Server 2022: VIEW \
             SERVER PERFORMANCE STATE), use a rowversion column as the cursor, or cursor.safety: \
             { lookback: 10m }",
        ))),
        Err(error) => Err(error),
    }
}

async fn one(connection: &mut Connection, sql: &str, doing: &str) -> Result<Row> {
    let row = connection.batch(sql, doing).await?.into_iter().next();
    row.ok_or_else(|| Error::internal(format!("{doing}: no answer")))
}

fn margin(cursor: Cursor, guard: Duration) -> i64 {
    let resolution = 2 * cursor.resolution_ticks() * 1_000_000 / TICKS_PER_SECOND;
    micros(LEAST_MARGIN).max(micros(guard)).max(resolution)
}

/// The last value of the column that is not after `unix_micros`.
fn floor(unix_micros: i64, cursor: Cursor) -> Mark {
    let Mark::Instant(ticks) = Mark::from_unix_micros(unix_micros) else {
        return Mark::from_unix_micros(unix_micros);
    };
    Mark::Instant(ticks - ticks.rem_euclid(cursor.resolution_ticks()))
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4)
}
