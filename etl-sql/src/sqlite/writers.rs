//! Whether anybody is writing at this moment.

use std::time::Duration;

use etl_core::error::{Class, Result};
use sqlx::Executor;

use crate::sqlite::connect::{Access, Config, connect, now_micros};
use crate::sqlite::error;

/// How long the probe waits for a writer to end. Longer than a short transaction takes, shorter
/// than anybody notices.
const PATIENCE: Duration = Duration::from_millis(500);

/// What the write lock tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writers {
    /// At this time of the file's clock (microseconds since 1970 UTC) there was no open write
    /// transaction: all that was written before is committed or rolled back, and all that is
    /// written later begins later.
    None(i64),
    /// Somebody holds the write lock, and has for half a second.
    Active,
    /// The file cannot be written by us, so the lock cannot be taken either.
    Unknowable,
}

/// Takes the file's write lock for an instant, reads the clock, and gives it back. Writes nothing.
///
/// SQLite has one writer at a time (`BEGIN CONCURRENT` is not part of its releases), and a
/// statement that writes gets the lock before it evaluates `CURRENT_TIMESTAMP`. So a cursor that
/// SQLite sets is never earlier than its transaction's lock, and a lock that is ours proves that
/// nothing older is still under way.
///
/// Dropped half way, the lock is given back with the connection.
///
/// # Errors
/// As connecting; a lock that is taken or may not be taken is no error.
pub async fn probe(config: &Config) -> Result<Writers> {
    let mut connection = match connect(config, Access::Write, PATIENCE).await {
        Ok(connection) => connection,
        Err(error) if error.class() == Class::Permission || error.code() == Some("14") => {
            return Ok(Writers::Unknowable);
        }
        Err(error) => return Err(error),
    };
    if let Err(cause) = connection.execute("BEGIN IMMEDIATE").await {
        let error = error::classify(cause, "taking the write lock for an instant");
        return match error.class() {
            Class::Transient => Ok(Writers::Active),
            Class::Permission => Ok(Writers::Unknowable),
            _ => Err(error),
        };
    }
    let now = now_micros(&mut connection).await?;
    connection
        .execute("ROLLBACK")
        .await
        .map_err(|cause| error::classify(cause, "giving the write lock back"))?;
    Ok(Writers::None(now))
}
