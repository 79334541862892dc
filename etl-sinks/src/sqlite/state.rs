//! The pipeline's checkpoint row and the ledger of its runs. Every function runs inside a
//! transaction that holds the file's write lock.

use std::time::Duration;

use etl_core::error::{Error, Result};
use etl_core::sink::{Checkpoint, Claim, Counts, Fence, Lease, Run, RunReport};
use etl_core::{Definition, Phase, Position};
use etl_sql::sqlite::connect::now_micros;
use etl_sql::sqlite::table::get;
use etl_sql::sqlite::{error, text};
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use uuid::Uuid;

use crate::step::Step;

const READ: &str = "reading the checkpoint";
const WRITE: &str = "writing the checkpoint";
const LEDGER: &str = "writing the run's ledger row";

/// A checkpoint row.
pub(super) struct Row {
    pub(super) checkpoint: Checkpoint,
    run_id: Option<String>,
    lease_until: Option<String>,
    busy_since: Option<String>,
}

impl Row {
    fn is_of(&self, run: Uuid) -> bool {
        self.run_id.as_deref().is_some_and(|text| Uuid::try_parse(text) == Ok(run))
    }
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, SqliteArguments>;

pub(super) async fn execute(
    c: &mut SqliteConnection,
    query: Query<'_>,
    doing: &str,
) -> Result<u64> {
    let done = query.execute(c).await.map_err(|cause| error::classify(cause, doing))?;
    Ok(done.rows_affected())
}

/// A time as the state tables keep it.
pub(super) fn stamp(micros: i64) -> Result<String> {
    text::timestamp(micros, true)
        .ok_or_else(|| Error::config("the clock of this machine is outside of the years 1 to 9999"))
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The time between two moments; nothing if the second is not later.
fn between(from: i64, to: i64) -> Duration {
    Duration::from_micros(u64::try_from(to.saturating_sub(from)).unwrap_or(0))
}

/// The row of a pipeline's stream; `None` if there is none.
pub(super) async fn read(c: &mut SqliteConnection, name: &str) -> Result<Option<Row>> {
    let row = sqlx::query(
        "SELECT position, definition, sequence, run_id, lease_until, busy_since, rows_total, \
         generation, phase FROM etl_checkpoint WHERE name = ?",
    )
    .bind(name)
    .fetch_optional(c)
    .await
    .map_err(|cause| error::classify(cause, READ))?;
    let Some(row) = row else { return Ok(None) };
    let position: Option<String> = get(&row, 0, READ)?;
    let definition: Option<String> = get(&row, 1, READ)?;
    let checkpoint = Checkpoint {
        position: position.map(Position::from_text).transpose()?,
        definition: definition.map(|text| Definition::from_text(&text)).transpose()?,
        sequence: get(&row, 2, READ)?,
        rows_total: get(&row, 6, READ)?,
        generation: get(&row, 7, READ)?,
        phase: Phase::from_text(&get::<String>(&row, 8, READ)?)?,
    };
    Ok(Some(Row {
        checkpoint,
        run_id: get(&row, 3, READ)?,
        lease_until: get(&row, 4, READ)?,
        busy_since: get(&row, 5, READ)?,
    }))
}

/// Takes the pipeline, or says who holds it; `None` if it was never prepared.
pub(super) async fn claim(
    c: &mut SqliteConnection,
    name: &str,
    run: &Run,
) -> Result<Option<Claim>> {
    let Some(row) = read(c, name).await? else { return Ok(None) };
    let now = now_micros(c).await?;
    let until = row.lease_until.as_deref().and_then(text::parse_timestamp);
    let free = match until {
        None => !run.waited,
        Some(until) => until < now,
    };
    if !free && !row.is_of(run.id) {
        return busy(c, name, &row, until, now).await.map(Claim::Busy).map(Some);
    }
    let sequence = row.checkpoint.sequence + 1;
    let taken = sqlx::query(
        "UPDATE etl_checkpoint SET run_id = ?, sequence = ?, lease_until = ?, busy_since = NULL, \
         updated_at = ? WHERE name = ?",
    )
    .bind(run.id.to_string())
    .bind(sequence)
    .bind(stamp(now.saturating_add(micros(run.ttl)))?)
    .bind(stamp(now)?)
    .bind(name);
    execute(c, taken, "claiming the pipeline").await?;
    open_ledger(c, name, run.id, now).await?;
    Ok(Some(Claim::Claimed(Checkpoint { sequence, ..row.checkpoint })))
}

/// Another run's lease. The first to find the pipeline busy notes since when it is.
async fn busy(
    c: &mut SqliteConnection,
    name: &str,
    row: &Row,
    until: Option<i64>,
    now: i64,
) -> Result<Lease> {
    let since = row.busy_since.as_deref().and_then(text::parse_timestamp);
    if since.is_none() {
        let noted = sqlx::query("UPDATE etl_checkpoint SET busy_since = ? WHERE name = ?")
            .bind(stamp(now)?)
            .bind(name);
        execute(c, noted, WRITE).await?;
    }
    Ok(Lease {
        holder: row.run_id.as_deref().and_then(|text| Uuid::try_parse(text).ok()),
        token: row.lease_until.clone().unwrap_or_default(),
        remaining: until.map_or(Duration::ZERO, |until| between(now, until)),
        skipped_for: since.map_or(Duration::ZERO, |since| between(since, now)),
    })
}

/// Opens the run's ledger row. Runs that never said how they ended were killed.
async fn open_ledger(c: &mut SqliteConnection, name: &str, run: Uuid, now: i64) -> Result<()> {
    let abandoned = sqlx::query(
        "UPDATE etl_run SET outcome = 'abandoned', finished_at = ? \
         WHERE name = ? AND outcome = 'running' AND run_id <> ?",
    )
    .bind(stamp(now)?)
    .bind(name)
    .bind(run.to_string());
    execute(c, abandoned, LEDGER).await?;
    let opened = sqlx::query(
        "INSERT INTO etl_run (name, run_id, started_at, outcome) VALUES (?, ?, ?, 'running') \
         ON CONFLICT (name, run_id) DO UPDATE SET outcome = 'running', finished_at = NULL",
    )
    .bind(name)
    .bind(run.to_string())
    .bind(stamp(now)?);
    execute(c, opened, LEDGER).await.map(drop)
}

/// What a step finds.
pub(super) enum Standing {
    /// The checkpoint is where the fence says; whether a load begins.
    Here { begins: bool },
    /// An earlier call had done this step after all.
    Done,
}

/// Whether a step may go on.
///
/// # Errors
/// `Fenced` if another run or a person moved the checkpoint.
pub(super) async fn standing(
    c: &mut SqliteConnection,
    name: &str,
    step: Step<'_>,
    fence: &Fence,
) -> Result<Standing> {
    let row = read(c, name).await?.ok_or_else(|| fenced(name))?;
    let found = &row.checkpoint;
    match row.is_of(fence.run) {
        true if found.sequence == fence.sequence => {
            Ok(Standing::Here { begins: step.begins(found, fence) })
        }
        true if step.left(found, fence) => Ok(Standing::Done),
        _ => Err(fenced(name)),
    }
}

fn fenced(name: &str) -> Error {
    Error::fenced(format!(
        "{name}: another run or a person has moved the checkpoint; nothing of this batch was written"
    ))
}

/// Moves the checkpoint behind a step and counts it in the ledger.
pub(super) async fn advance(
    c: &mut SqliteConnection,
    name: &str,
    step: Step<'_>,
    fence: &Fence,
    counts: &Counts,
) -> Result<()> {
    let progress = step.progress();
    let now = now_micros(c).await?;
    let applied = counts.inserted + counts.updated + counts.deleted;
    let moved = sqlx::query(
        "UPDATE etl_checkpoint SET position = coalesce(?, position), definition = ?, sequence = \
         sequence + 1, generation = coalesce(?, generation), phase = ?, \
         rows_total = rows_total + ?, lease_until = max(coalesce(lease_until, ''), ?), \
         updated_at = ? WHERE name = ? AND sequence = ? AND run_id = ?",
    )
    .bind(step.position().map(Position::as_str))
    .bind(&fence.definition)
    .bind(step.generation(fence))
    .bind(step.phase().as_str())
    .bind(count(applied))
    .bind(stamp(now.saturating_add(micros(fence.ttl)))?)
    .bind(stamp(now)?)
    .bind(name)
    .bind(fence.sequence)
    .bind(fence.run.to_string());
    if execute(c, moved, WRITE).await? != 1 {
        return Err(fenced(name));
    }
    let counted = sqlx::query(
        "UPDATE etl_run SET rows_read = rows_read + ?, rows_reread = rows_reread + ?, \
         rows_written = rows_written + ?, rows_updated = rows_updated + ?, rows_deleted = rows_deleted + ?, \
         rows_unchanged = rows_unchanged + ?, rows_quarantined = rows_quarantined + ?, \
         batches = batches + 1 \
         WHERE name = ? AND run_id = ?",
    )
    .bind(count(progress.read))
    .bind(count(progress.reread))
    .bind(count(counts.inserted + counts.updated))
    .bind(count(counts.updated))
    .bind(count(counts.deleted))
    .bind(count(counts.unchanged))
    .bind(i64::try_from(step.put_aside()).unwrap_or(i64::MAX))
    .bind(name)
    .bind(fence.run.to_string());
    execute(c, counted, LEDGER).await.map(drop)
}

/// What all commits of a run did, by the ledger.
pub(super) async fn tally(c: &mut SqliteConnection, name: &str, run: Uuid) -> Result<Counts> {
    let doing = "reading the run's ledger row";
    let row = sqlx::query(
        "SELECT rows_written - rows_updated, rows_updated, rows_deleted, rows_unchanged FROM etl_run \
         WHERE name = ? AND run_id = ?",
    )
    .bind(name)
    .bind(run.to_string())
    .fetch_optional(c)
    .await
    .map_err(|cause| error::classify(cause, doing))?;
    let Some(row) = row else { return Ok(Counts::default()) };
    let number = |index: usize| -> Result<u64> {
        Ok(u64::try_from(get::<i64>(&row, index, doing)?).unwrap_or(0))
    };
    Ok(Counts {
        inserted: number(0)?,
        updated: number(1)?,
        deleted: number(2)?,
        unchanged: number(3)?,
    })
}

/// Extends the lease.
///
/// # Errors
/// `Fenced` if the pipeline is no longer ours.
pub(super) async fn renew(c: &mut SqliteConnection, name: &str, fence: &Fence) -> Result<()> {
    let until = now_micros(c).await?.saturating_add(micros(fence.ttl));
    let renewed = sqlx::query(
        "UPDATE etl_checkpoint SET lease_until = max(coalesce(lease_until, ''), ?) \
         WHERE name = ? AND run_id = ?",
    )
    .bind(stamp(until)?)
    .bind(name)
    .bind(fence.run.to_string());
    if execute(c, renewed, "renewing the lease").await? == 1 { Ok(()) } else { Err(fenced(name)) }
}

/// Gives the lease back and closes the run's ledger row, whose counts the commits have written; a
/// run that never claimed has none yet, and gets one.
pub(super) async fn finish(c: &mut SqliteConnection, report: &RunReport) -> Result<()> {
    let now = now_micros(c).await?;
    let freed = sqlx::query(
        "UPDATE etl_checkpoint SET lease_until = NULL, updated_at = ? \
         WHERE name = ? AND run_id = ? AND lease_until IS NOT NULL",
    )
    .bind(stamp(now)?)
    .bind(&report.name)
    .bind(report.run.to_string());
    execute(c, freed, WRITE).await?;
    let closed = sqlx::query(
        "INSERT INTO etl_run (name, run_id, started_at, finished_at, outcome, rows_read, \
         rows_written, rows_deleted, rows_unchanged, rows_reread, rows_quarantined, batches, \
         source_horizon, error_class, error_code) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (name, run_id) DO UPDATE SET finished_at = excluded.finished_at, \
         outcome = excluded.outcome, source_horizon = excluded.source_horizon, \
         error_class = excluded.error_class, error_code = excluded.error_code",
    )
    .bind(&report.name)
    .bind(report.run.to_string())
    .bind(stamp(now.saturating_sub(micros(report.duration)))?)
    .bind(stamp(now)?)
    .bind(report.outcome.as_str())
    .bind(count(report.read))
    .bind(count(report.written))
    .bind(count(report.deleted))
    .bind(count(report.unchanged))
    .bind(count(report.reread))
    .bind(count(report.quarantined))
    .bind(count(report.batches))
    .bind(report.horizon_micros.map(stamp).transpose()?)
    .bind(report.error_class.map(etl_core::Class::as_str))
    .bind(&report.error_code);
    execute(c, closed, LEDGER).await.map(drop)
}

/// Stores what a person decided; whatever run is going on is fenced.
pub(super) async fn change(
    c: &mut SqliteConnection,
    name: &str,
    position: Option<&Position>,
    definition: Option<&Definition>,
    phase: Phase,
) -> Result<()> {
    let now = now_micros(c).await?;
    let changed = sqlx::query(
        "UPDATE etl_checkpoint SET position = ?, definition = ?, phase = ?, sequence = sequence + 1, \
         run_id = NULL, lease_until = NULL, busy_since = NULL, updated_at = ? WHERE name = ?",
    )
    .bind(position.map(Position::as_str))
    .bind(definition.map(Definition::to_text).transpose()?)
    .bind(phase.as_str())
    .bind(stamp(now)?)
    .bind(name);
    execute(c, changed, WRITE).await.map(drop)
}
