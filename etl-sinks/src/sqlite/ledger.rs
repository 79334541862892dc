//! The ledger's figures, all of one statement and so of one moment.

use std::time::Duration;

use etl_core::error::Result;
use etl_core::ledger::{Ledger, RowCounts, RunCounts};
use etl_core::sink::Prepared;
use etl_sql::sqlite::connect::now_micros;
use etl_sql::sqlite::table::{self, get};
use etl_sql::sqlite::{error, text};
use sqlx::AssertSqlSafe;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

const DOING: &str = "reading the ledger";

/// In the file as this version prepares it. Who serves metrics may meet an older one.
const QUARANTINED: &str = "(SELECT COUNT(*) FROM etl_quarantine AS q WHERE q.name = ?1)";

/// Runs have ids in the order in which they claimed or ended.
const FIGURES: &str = "\
WITH run AS (SELECT * FROM etl_run WHERE name = ?1),
     success AS (SELECT * FROM run WHERE outcome = 'success' ORDER BY id DESC LIMIT 1),
     worked AS (SELECT * FROM run WHERE outcome NOT IN ('skipped', 'replayed') ORDER BY id DESC LIMIT 1),
     told AS (SELECT * FROM run WHERE outcome NOT IN ('skipped', 'replayed', 'running', 'abandoned')
               ORDER BY id DESC LIMIT 1)
SELECT c.updated_at, c.lease_until,
       (SELECT finished_at FROM success) AS success, (SELECT source_horizon FROM success) AS horizon,
       (SELECT started_at FROM worked) AS started,
       (SELECT started_at FROM told) AS told_from, (SELECT finished_at FROM told) AS told_to,
       (SELECT COUNT(*) FROM run WHERE outcome IN ('failed', 'fenced', 'abandoned')
           AND id > COALESCE((SELECT id FROM success), 0)) AS failures,
       {quarantined} AS quarantined,
       r.*
  FROM etl_checkpoint AS c
 CROSS JOIN (SELECT COUNT(*) FILTER (WHERE outcome = 'success') AS runs_success,
                    COUNT(*) FILTER (WHERE outcome = 'stopped') AS runs_stopped,
                    COUNT(*) FILTER (WHERE outcome = 'skipped') AS runs_skipped,
                    COUNT(*) FILTER (WHERE outcome = 'fenced') AS runs_fenced,
                    COUNT(*) FILTER (WHERE outcome = 'failed') AS runs_failed,
                    COUNT(*) FILTER (WHERE outcome = 'abandoned') AS runs_abandoned,
                    COUNT(*) FILTER (WHERE outcome = 'replayed') AS runs_replayed,
                    COALESCE(SUM(rows_read), 0) AS rows_read,
                    COALESCE(SUM(rows_written), 0) AS rows_written,
                    COALESCE(SUM(rows_deleted), 0) AS rows_deleted,
                    COALESCE(SUM(rows_unchanged), 0) AS rows_unchanged,
                    COALESCE(SUM(rows_reread), 0) AS rows_reread,
                    COALESCE(SUM(rows_quarantined), 0) AS rows_quarantined
               FROM run) AS r
 WHERE c.name = ?1";

/// The figures of a pipeline's stream; `None` if it was never prepared.
pub(super) async fn read(c: &mut SqliteConnection, name: &str) -> Result<Option<Ledger>> {
    let now = now_micros(c).await?;
    let prepared = table::look_up(c, "etl_quarantine").await?.is_some();
    let figures = FIGURES.replace("{quarantined}", if prepared { QUARANTINED } else { "0" });
    let row = sqlx::query(AssertSqlSafe(figures))
        .bind(name)
        .fetch_optional(c)
        .await
        .map_err(|cause| error::classify(cause, DOING))?;
    row.as_ref().map(|row| ledger(row, now)).transpose()
}

const STREAMS: &str = "\
SELECT c.name, (SELECT started_at FROM etl_run AS r WHERE r.name = c.name AND r.outcome NOT IN ('skipped', 'replayed')
                 ORDER BY r.id DESC LIMIT 1) AS started
  FROM etl_checkpoint AS c WHERE substr(c.name, 1, length(?1)) = ?1";

/// The prepared streams whose names begin with `prefix`.
pub(super) async fn streams(c: &mut SqliteConnection, prefix: &str) -> Result<Vec<Prepared>> {
    const DOING: &str = "listing the pipeline's streams";
    let rows = sqlx::query(STREAMS)
        .bind(prefix)
        .fetch_all(c)
        .await
        .map_err(|cause| error::classify(cause, DOING))?;
    let stream = |row: &SqliteRow| -> Result<Prepared> {
        let started: Option<String> = get(row, "started", DOING)?;
        let last_run_micros = started.as_deref().and_then(text::parse_timestamp);
        Ok(Prepared { name: get(row, "name", DOING)?, last_run_micros })
    };
    rows.iter().map(stream).collect()
}

fn ledger(row: &SqliteRow, now: i64) -> Result<Ledger> {
    let at = |column| -> Result<Option<i64>> {
        let text: Option<String> = get(row, column, DOING)?;
        Ok(text.as_deref().and_then(text::parse_timestamp))
    };
    let count = |column| get::<i64>(row, column, DOING).map(|n| u64::try_from(n).unwrap_or(0));
    let told = at("told_from")?.zip(at("told_to")?);
    Ok(Ledger {
        now_micros: now,
        last_success_micros: at("success")?,
        source_horizon_micros: at("horizon")?,
        last_run_micros: at("started")?,
        last_run_duration: told
            .map(|(from, to)| Duration::from_micros(u64::try_from(to - from).unwrap_or(0))),
        checkpoint_micros: at("updated_at")?.unwrap_or(now),
        lease_held: at("lease_until")?.is_some_and(|until| until >= now),
        runs: RunCounts {
            success: count("runs_success")?,
            stopped: count("runs_stopped")?,
            skipped: count("runs_skipped")?,
            fenced: count("runs_fenced")?,
            failed: count("runs_failed")?,
            abandoned: count("runs_abandoned")?,
            replayed: count("runs_replayed")?,
        },
        rows: RowCounts {
            read: count("rows_read")?,
            written: count("rows_written")?,
            deleted: count("rows_deleted")?,
            unchanged: count("rows_unchanged")?,
            reread: count("rows_reread")?,
            quarantined: count("rows_quarantined")?,
        },
        quarantined: count("quarantined")?,
        failures_since_success: count("failures")?,
    })
}
