//! The checkpoint's row and the ledger, as the statements of [`super::statements`] give them.

use std::time::Duration;

use etl_core::ledger::{Ledger, RowCounts, RunCounts};
use etl_core::sink::{Checkpoint, Counts, Lease, Phase, Prepared};
use etl_core::{Definition, Error, Position, Result};
use etl_sql::postgres::plan;
use etl_sql::postgres::quote::name;
use etl_sql::postgres::session::{Session, value};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::Link;
use super::statements;

/// The checkpoint's row, in the transaction that is open; `None` if the pipeline or its whole
/// schema was never prepared. The transaction is then of no more use.
pub(super) async fn look(session: &mut Session, link: &Link, doing: &str) -> Result<Option<PgRow>> {
    let sql = statements::look(&link.state_schema)?;
    let row = session.row(sqlx::query(AssertSqlSafe(sql)).bind(&link.name), doing).await;
    missing(row)
}

/// A row of the state tables; `None` also if there are no such tables.
pub(super) fn missing(row: Result<Option<PgRow>>) -> Result<Option<PgRow>> {
    match row {
        Err(error) if is_missing(&error) => Ok(None),
        row => row,
    }
}

/// Whether the schema or the tables of the state are not there.
pub(super) fn is_missing(error: &Error) -> bool {
    matches!(error.code(), Some("42P01" | "3F000"))
}

/// Whether the state tables are there; the transaction is of no more use if not.
///
/// # Errors
/// `Config` if they are of an older version than this program.
pub(super) async fn are_there(session: &mut Session, link: &Link, doing: &str) -> Result<bool> {
    let sql = statements::version(&link.state_schema)?;
    let row = missing(session.row(sqlx::query(AssertSqlSafe(sql)), doing).await)?;
    let Some(row) = row else { return Ok(false) };
    let found = value::<Option<i32>>(&row, "version")?.unwrap_or(0);
    if found >= plan::VERSION {
        return Ok(true);
    }
    Err(Error::config(format!(
        "{doing}: the state tables in {} are of version {found}, this program needs {}; run \
         `etl-job prepare` once, with an owner's login",
        link.state_schema,
        plan::VERSION
    )))
}

/// What the ledger counts for a run, as far as we know.
pub(super) async fn totals(
    session: &mut Session,
    link: &Link,
    run: Uuid,
    doing: &str,
) -> Result<Counts> {
    let sql = statements::totals(&link.state_schema)?;
    let row = session.row(sqlx::query(AssertSqlSafe(sql)).bind(run.to_string()), doing).await?;
    let Some(row) = row else { return Ok(Counts::default()) };
    let total = |column| value::<i64>(&row, column).map(unsigned);
    let updated = total("rows_updated")?;
    Ok(Counts {
        inserted: total("rows_written")?.saturating_sub(updated),
        updated,
        deleted: total("rows_deleted")?,
        unchanged: total("rows_unchanged")?,
    })
}

pub(super) fn checkpoint(row: &PgRow) -> Result<Checkpoint> {
    let text = |column| value::<Option<String>>(row, column);
    Ok(Checkpoint {
        sequence: value(row, "sequence")?,
        position: text("position")?.map(Position::from_text).transpose()?,
        definition: text("definition")?.map(|text| Definition::from_text(&text)).transpose()?,
        rows_total: value(row, "rows_total")?,
        generation: value(row, "generation")?,
        phase: Phase::from_text(&value::<String>(row, "phase")?)?,
    })
}

/// The run that the row names.
pub(super) fn holder(row: &PgRow) -> Result<Option<Uuid>> {
    let text: Option<String> = value(row, "run_id")?;
    Ok(text.and_then(|text| Uuid::try_parse(&text).ok()))
}

pub(super) fn lease(row: &PgRow) -> Result<Lease> {
    let holder = holder(row)?;
    let until: Option<String> = value(row, "lease")?;
    let remaining = value::<Option<i64>>(row, "remaining_ms")?.map_or(0, unsigned);
    let skipped = value::<Option<i64>>(row, "skipped_seconds")?.map_or(0, unsigned);
    Ok(Lease {
        token: match (holder, until) {
            (Some(holder), Some(until)) => format!("{holder} {until}"),
            _ => String::new(),
        },
        holder,
        remaining: Duration::from_millis(remaining),
        skipped_for: Duration::from_secs(skipped),
    })
}

/// Everything that the ledger says about a stream, as one row; none if the pipeline was never
/// prepared. `$1` name. Times are microseconds since 1970 UTC.
pub(super) fn ledger_statement(state_schema: &str) -> Result<String> {
    let schema = name(state_schema)?;
    let micros = |at: &str| format!("(extract(epoch FROM {at}) * 1000000)::bigint");
    let runs = ["success", "stopped", "skipped", "fenced", "failed", "abandoned", "replayed"].map(
        |outcome| format!("count(*) FILTER (WHERE r.outcome = '{outcome}') AS runs_{outcome}"),
    );
    let rows = ["read", "written", "deleted", "unchanged", "reread", "quarantined"]
        .map(|kind| format!("COALESCE(sum(r.rows_{kind}), 0)::bigint AS rows_{kind}"));
    Ok(format!(
        "WITH mine AS (SELECT * FROM {schema}.run WHERE pipeline = $1),
     good AS (SELECT * FROM mine WHERE outcome = 'success' ORDER BY started_at DESC LIMIT 1),
     last AS (SELECT * FROM mine WHERE outcome NOT IN ('skipped', 'replayed') ORDER BY started_at DESC LIMIT 1),
     told AS (SELECT * FROM mine WHERE outcome NOT IN ('skipped', 'replayed', 'running', 'abandoned') AND finished_at IS NOT NULL
              ORDER BY started_at DESC LIMIT 1),
     sums AS (SELECT {},
                     {},
                     count(*) FILTER (WHERE r.outcome IN ('failed', 'fenced', 'abandoned')
                       AND r.started_at > COALESCE((SELECT started_at FROM good), '-infinity')) AS failures
                FROM mine AS r)
SELECT {} AS now, {} AS success, {} AS horizon,
       {} AS started, {} AS duration, {} AS changed,
       COALESCE(c.lease_until >= clock_timestamp(), false) AS lease_held, sums.*,
       (SELECT count(*) FROM {schema}.quarantine AS q WHERE q.pipeline = $1) AS quarantined
  FROM {schema}.checkpoint AS c CROSS JOIN sums LEFT JOIN good ON true LEFT JOIN last ON true LEFT JOIN told ON true
 WHERE c.pipeline = $1",
        runs.join(", "),
        rows.join(", "),
        micros("clock_timestamp()"),
        micros("good.finished_at"),
        micros("good.source_horizon"),
        micros("last.started_at"),
        micros("(told.finished_at - told.started_at)"),
        micros("c.updated_at"),
    ))
}

/// The prepared streams whose names begin with `$1`, with when each last ran.
pub(super) fn streams_statement(state_schema: &str) -> Result<String> {
    let schema = name(state_schema)?;
    Ok(format!(
        "SELECT c.pipeline, (SELECT (extract(epoch FROM max(r.started_at)) * 1000000)::bigint
          FROM {schema}.run AS r WHERE r.pipeline = c.pipeline AND r.outcome NOT IN ('skipped', 'replayed')) AS started
  FROM {schema}.checkpoint AS c WHERE left(c.pipeline, length($1)) = $1"
    ))
}

/// One of those rows.
pub(super) fn prepared(row: &PgRow) -> Result<Prepared> {
    Ok(Prepared { name: value(row, "pipeline")?, last_run_micros: value(row, "started")? })
}

/// The figures of that row.
pub(super) fn figures(row: &PgRow) -> Result<Ledger> {
    let micros = |column| value::<Option<i64>>(row, column);
    let count = |column| value::<i64>(row, column).map(unsigned);
    Ok(Ledger {
        now_micros: value(row, "now")?,
        last_success_micros: micros("success")?,
        source_horizon_micros: micros("horizon")?,
        last_run_micros: micros("started")?,
        last_run_duration: micros("duration")?.map(unsigned).map(Duration::from_micros),
        checkpoint_micros: value(row, "changed")?,
        lease_held: value(row, "lease_held")?,
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

/// A clock that was set back makes a duration negative; it is none then.
fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
