//! Transaction numbers as a cursor: what a snapshot says of them, and who writes them into rows.
//!
//! Each transaction that writes has a number, greater than those of all that took theirs earlier;
//! `pg_current_xact_id()` gives it, the same in every savepoint. A row that a trigger gives the
//! number of its writer at each insert and update can be found by it. Let `h` be
//! `pg_snapshot_xmin` of the snapshot that is read from: the number of the oldest transaction that
//! is under way, in any database of the server and prepared ones included, or the next number.
//!
//! - Whoever has a number below `h` has ended. If it committed, this snapshot sees its rows,
//!   because a transaction leaves the list that snapshots are taken from only after its commit counts.
//! - So whatever this snapshot does not see, now or ever, has a number of `h` or more, and a sweep
//!   that begins at `h` finds it. There is no clock in this, and no right is needed.
//! - Numbers go on after a restart of the server. After a crash they go on behind the last one in the log
//!   on disk. A commit with `synchronous_commit = off` is seen before it is on disk: if that
//!   is lost its number is given out again, below `h`. So `h` counts only once the log is on disk
//!   as far as it was written when the snapshot was there: [`is_durable`].
//!
//! A number means something on one server and in one of its histories only.

use std::time::Duration;

use etl_core::error::{Error, Result};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Row, query, query_scalar};

use super::error::failed;

/// What a snapshot says of transactions' numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// All below have ended.
    pub oldest: u64,
    /// One more than the greatest that has ended: no row that can be seen has such a number.
    pub next: u64,
    /// Where the log ended afterwards.
    log: String,
}

/// Looks at the snapshot of the transaction, which the caller has begun.
///
/// Dropped half way, it has changed nothing at the server; drop the connection too.
///
/// # Errors
/// Of the connection.
pub async fn seen(connection: &mut PgConnection) -> Result<Seen> {
    const DOING: &str = "asking the snapshot for its transactions";
    let fail = |error| failed(DOING, error);
    let sql = "SELECT pg_snapshot_xmin(s)::text, pg_snapshot_xmax(s)::text, \
               pg_current_wal_insert_lsn()::text FROM pg_current_snapshot() s";
    let row = query(sql).persistent(false).fetch_one(connection).await.map_err(fail)?;
    let number = |column: usize| -> Result<u64> {
        let text: String = row.try_get(column).map_err(fail)?;
        text.parse().map_err(|_| Error::internal(format!("{DOING}: {text} is no number")))
    };
    Ok(Seen { oldest: number(0)?, next: number(1)?, log: row.try_get(2).map_err(fail)? })
}

/// One more than the greatest number of an ended transaction: whatever was committed before this
/// is asked is below it.
///
/// Dropped half way, it has changed nothing at the server; drop the connection too.
///
/// # Errors
/// Of the connection.
pub async fn next(connection: &mut PgConnection) -> Result<u64> {
    seen(connection).await.map(|seen| seen.next)
}

/// Whether the log is on disk up to where it ended when `seen` was; waits two seconds for it.
///
/// Dropped half way, it has changed nothing at the server; drop the connection too.
///
/// # Errors
/// Of the connection.
pub async fn is_durable(connection: &mut PgConnection, seen: &Seen) -> Result<bool> {
    for _ in 0..40 {
        let durable: bool = query_scalar(DURABLE)
            .bind(&seen.log)
            .persistent(false)
            .fetch_one(&mut *connection)
            .await
            .map_err(|error| failed("asking how much of the log is on disk", error))?;
        if durable {
            return Ok(true);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(false)
}

// At the beginning of a page the log's end lies behind the page's header (24 bytes, 40 in the
// first page of a file), and what is on disk ends before it.
const DURABLE: &str = "SELECT f >= l OR (l - f, mod(l - '0/0', page)) = (24, 24) \
       OR (l - f, mod(l - '0/0', file)) = (40, 40) \
     FROM (SELECT $1::pg_lsn AS l, pg_current_wal_flush_lsn() AS f, \
       current_setting('wal_block_size')::numeric AS page, \
       pg_size_bytes(current_setting('wal_segment_size'))::numeric AS file) AS log";

/// A trigger of a table or of one of its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// The table or partition, as SQL names it.
    pub table: String,
    /// Whether that table is another server's.
    pub foreign: bool,
    /// The trigger's name; `None` if the table has no trigger.
    pub name: Option<String>,
    /// Row, before, and the events, as `pg_trigger.tgtype` has them.
    kind: i16,
    /// Whether it fires in ordinary sessions.
    pub enabled: bool,
    /// Whether it fires for rows that a logical subscription writes, too.
    pub always: bool,
    /// Whether it fires only if certain columns are named in the UPDATE.
    pub some_columns: bool,
    /// Whether it has a WHEN.
    pub conditional: bool,
    /// Whether its function's text, without comments, has `pg_current_xact_id()` and, itself or
    /// in the trigger's arguments, the column.
    pub mentions: bool,
}

impl Trigger {
    /// Whether it fires for each row.
    #[must_use]
    pub const fn is_row(&self) -> bool {
        self.kind & 1 != 0
    }

    /// Whether it fires before the row is written.
    #[must_use]
    pub const fn is_before(&self) -> bool {
        self.kind & 2 != 0
    }

    /// Whether it fires on INSERT.
    #[must_use]
    pub const fn on_insert(&self) -> bool {
        self.kind & 4 != 0
    }

    /// Whether it fires on UPDATE.
    #[must_use]
    pub const fn on_update(&self) -> bool {
        self.kind & 16 != 0
    }
}

/// The triggers of a table and of all its partitions; of each at least one line.
///
/// Dropped half way, it has changed nothing at the server; drop the connection too.
///
/// # Errors
/// Of the connection.
pub async fn triggers(
    connection: &mut PgConnection,
    table: i64,
    column: &str,
) -> Result<Vec<Trigger>> {
    let rows =
        query(TRIGGERS).bind(table).bind(column).persistent(false).fetch_all(connection).await;
    rows.and_then(|rows| rows.iter().map(trigger).collect())
        .map_err(|error| failed("looking at the table's triggers", error))
}

fn trigger(row: &PgRow) -> Result<Trigger, sqlx::Error> {
    let enabled: String = row.try_get("enabled")?;
    Ok(Trigger {
        table: row.try_get("place")?,
        foreign: row.try_get("is_foreign")?,
        name: row.try_get("name")?,
        kind: row.try_get("kind")?,
        enabled: ["O", "A"].contains(&enabled.as_str()),
        always: enabled == "A",
        some_columns: row.try_get("some_columns")?,
        conditional: row.try_get("conditional")?,
        mentions: row.try_get("mentions")?,
    })
}

const TRIGGERS: &str = "SELECT c.oid::regclass::text AS place, c.relkind = 'f' AS is_foreign, \
       t.tgname::text AS name, COALESCE(t.tgtype, 0::int2) AS kind, \
       COALESCE(t.tgenabled::text, 'D') AS enabled, \
       COALESCE(t.tgattr::text <> '', false) AS some_columns, t.tgqual IS NOT NULL AS conditional, \
       COALESCE(f.body ~ '\\mpg_current_xact_id\\s*\\(' AND (position($2 in f.body) > 0 \
         OR position($2 in encode(t.tgargs, 'escape')) > 0), false) AS mentions \
     FROM pg_class c LEFT JOIN pg_trigger t ON t.tgrelid = c.oid \
     LEFT JOIN (SELECT oid, regexp_replace(regexp_replace(prosrc, '/\\*.*?\\*/', '', 'g'), \
       '--[^\\n]*', '', 'g') AS body FROM pg_proc) f ON f.oid = t.tgfoid \
     WHERE c.oid = $1::oid OR c.oid IN (SELECT relid FROM pg_partition_tree($1::oid)) \
     ORDER BY c.oid <> $1::oid, 1, 3";
