//! The quarantine: what a commit does to it in its own transaction, and what lies there.

use etl_core::error::{Error, Result};
use etl_core::{Aside, Entry, Fence, Rejected, RowKey};
use etl_sql::sqlite::connect::now_micros;
use etl_sql::sqlite::table::get;
use etl_sql::sqlite::{error, text};
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::sqlite::state::{execute, stamp};

const WRITE: &str = "writing the quarantine";
const READ: &str = "reading the quarantine";

/// Enters what is put aside and takes out what is cleared.
pub(super) async fn put(
    c: &mut SqliteConnection,
    name: &str,
    fence: &Fence,
    aside: &Aside,
) -> Result<()> {
    if aside.is_empty() {
        return Ok(());
    }
    for key in &aside.clear {
        let clear = sqlx::query("DELETE FROM etl_quarantine WHERE name = ? AND key_json = ?")
            .bind(name)
            .bind(key.as_str());
        execute(c, clear, WRITE).await?;
    }
    let now = stamp(now_micros(c).await?)?;
    for row in &aside.put {
        let entered = sqlx::query(
            "INSERT INTO etl_quarantine (name, key_json, column_name, reason, error_code, run_id, \
             generation, first_seen, last_seen, attempts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1) \
             ON CONFLICT (name, key_json) DO UPDATE SET column_name = excluded.column_name, \
             reason = excluded.reason, error_code = excluded.error_code, run_id = excluded.run_id, \
             generation = excluded.generation, last_seen = excluded.last_seen, attempts = attempts + 1",
        )
        .bind(name)
        .bind(row.key.as_str())
        .bind(&row.column)
        .bind(&row.reason)
        .bind(&row.code)
        .bind(fence.run.to_string())
        .bind(fence.generation)
        .bind(&now)
        .bind(&now);
        execute(c, entered, WRITE).await?;
    }
    Ok(())
}

/// Takes out what no batch of this load has put there: those rows are gone.
pub(super) async fn clear_other_loads(
    c: &mut SqliteConnection,
    name: &str,
    fence: &Fence,
) -> Result<()> {
    let clear = sqlx::query("DELETE FROM etl_quarantine WHERE name = ? AND generation <> ?");
    execute(c, clear.bind(name).bind(fence.generation), WRITE).await.map(drop)
}

/// What lies there, the oldest first.
pub(super) async fn read(c: &mut SqliteConnection, name: &str) -> Result<Vec<Entry>> {
    let rows = sqlx::query(
        "SELECT key_json, column_name, reason, error_code, attempts, first_seen, last_seen \
         FROM etl_quarantine WHERE name = ? ORDER BY first_seen, key_json",
    )
    .bind(name)
    .fetch_all(c)
    .await
    .map_err(|cause| error::classify(cause, READ))?;
    rows.iter().map(entry).collect()
}

fn entry(row: &SqliteRow) -> Result<Entry> {
    let seen = |column| {
        let text: String = get(row, column, READ)?;
        text::parse_timestamp(&text)
            .ok_or_else(|| Error::schema(format!("{READ}: {column} is no time of ours")))
    };
    Ok(Entry {
        rejected: Rejected {
            key: RowKey::from_text(get::<String>(row, "key_json", READ)?)?,
            column: get(row, "column_name", READ)?,
            reason: get(row, "reason", READ)?,
            code: get(row, "error_code", READ)?,
        },
        attempts: u64::try_from(get::<i64>(row, "attempts", READ)?).unwrap_or(0),
        first_seen_micros: seen("first_seen")?,
        last_seen_micros: seen("last_seen")?,
    })
}
