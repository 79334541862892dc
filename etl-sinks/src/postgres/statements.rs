//! The statements on checkpoint and ledger, each with a golden file. Parameters are `$1` …, named
//! beside each statement.

use etl_core::Result;
use etl_sql::postgres::quote::name;

/// Takes the pipeline: one row back if it is ours now. `$1` name, `$2` run, `$3` lease in
/// milliseconds, `$4` whether another run's lease was seen before.
///
/// # Errors
/// `Config` for a bad schema name.
pub fn claim(state_schema: &str) -> Result<String> {
    Ok(format!(
        "UPDATE {}.checkpoint
   SET run_id = $2::uuid, sequence = sequence + 1, lease_until = clock_timestamp() + $3 * interval '1 millisecond', updated_at = clock_timestamp()
 WHERE pipeline = $1 AND (run_id = $2::uuid OR lease_until < clock_timestamp() OR (lease_until IS NULL AND NOT $4))
RETURNING sequence, position, definition, rows_total, generation, phase",
        name(state_schema)?
    ))
}

/// Runs that never said how they ended were killed. `$1` name, `$2` the run that goes on.
///
/// # Errors
/// `Config` for a bad schema name.
pub fn abandon(state_schema: &str) -> Result<String> {
    Ok(format!(
        "UPDATE {}.run SET outcome = 'abandoned', finished_at = clock_timestamp()
 WHERE pipeline = $1 AND outcome = 'running' AND run_id <> $2::uuid",
        name(state_schema)?
    ))
}

/// Opens the run's ledger row, if it has none. `$1` name, `$2` run.
///
/// # Errors
/// `Config` for a bad schema name.
pub fn open_ledger(state_schema: &str) -> Result<String> {
    Ok(format!(
        "INSERT INTO {}.run (run_id, pipeline, started_at, outcome, rows_read, rows_written, rows_updated, rows_deleted, rows_unchanged, rows_reread, rows_quarantined)
VALUES ($2::uuid, $1, clock_timestamp(), 'running', 0, 0, 0, 0, 0, 0, 0) ON CONFLICT (run_id) DO NOTHING",
        name(state_schema)?
    ))
}

/// The checkpoint's row with its lease, and for how long runs have been skipped. `$1` name.
///
/// # Errors
/// `Config` for a bad schema name.
pub fn look(state_schema: &str) -> Result<String> {
    let schema = name(state_schema)?;
    Ok(format!(
        "SELECT c.sequence, c.position, c.definition, c.rows_total, c.generation, c.phase, c.run_id::text AS run_id, c.lease_until::text AS lease,
       GREATEST((extract(epoch FROM c.lease_until - clock_timestamp()) * 1000)::bigint, 0) AS remaining_ms,
       (SELECT extract(epoch FROM clock_timestamp() - min(s.started_at))::bigint FROM {schema}.run AS s
         WHERE s.pipeline = $1 AND s.outcome = 'skipped'
           AND s.started_at > COALESCE((SELECT max(r.finished_at) FROM {schema}.run AS r
                WHERE r.pipeline = $1 AND r.outcome NOT IN ('skipped', 'running')), '-infinity')) AS skipped_seconds
  FROM {schema}.checkpoint AS c WHERE c.pipeline = $1"
    ))
}

/// What the ledger counts for a run. `$1` run.
///
/// # Errors
/// `Config` for a bad schema name.
pub fn totals(state_schema: &str) -> Result<String> {
    Ok(format!(
        "SELECT rows_written, rows_updated, rows_deleted, rows_unchanged FROM {}.run WHERE run_id = $1::uuid",
        name(state_schema)?
    ))
}

/// Extends the lease: one row if the pipeline is ours. `$1` name, `$2` run, `$3` sequence, `$4`
/// lease in milliseconds.
///
/// # Errors
/// `Config` for a bad schema name.
pub fn renew(state_schema: &str) -> Result<String> {
    Ok(format!(
        "UPDATE {}.checkpoint SET lease_until = clock_timestamp() + $4 * interval '1 millisecond'
 WHERE pipeline = $1 AND run_id = $2::uuid AND sequence = $3",
        name(state_schema)?
    ))
}

/// The version of the state tables. No parameter.
///
/// # Errors
/// `Config` for a bad schema name.
pub fn version(state_schema: &str) -> Result<String> {
    Ok(format!("SELECT max(version) AS version FROM {}.schema_version", name(state_schema)?))
}

/// Moves the checkpoint behind a step: one row if it stood at the fence. The row stays locked
/// until the transaction ends, so whoever comes later waits, an earlier try of ours included.
/// `$1` name, `$2` run, `$3` sequence, `$4` position (none: as it is), `$5` definition, `$6` lease in
/// milliseconds, `$7` rows, `$8` generation (none: as it is), `$9` phase.
///
/// # Errors
/// `Config` for a bad schema name.
pub fn advance(state_schema: &str) -> Result<String> {
    Ok(format!(
        "UPDATE {}.checkpoint
   SET position = COALESCE($4, position), definition = $5, sequence = sequence + 1, rows_total = rows_total + $7, generation = COALESCE($8, generation), phase = $9, lease_until = clock_timestamp() + $6 * interval '1 millisecond', updated_at = clock_timestamp()
 WHERE pipeline = $1 AND sequence = $3 AND run_id = $2::uuid",
        name(state_schema)?
    ))
}

/// Counts the rows of an apply in the checkpoint, and begins its lease anew: it may have taken long.
/// `$1` name, `$2` rows, `$3` lease in milliseconds.
///
/// # Errors
/// `Config` for a bad schema name.
pub fn total(state_schema: &str) -> Result<String> {
    Ok(format!(
        "UPDATE {}.checkpoint SET rows_total = rows_total + $2, lease_until = clock_timestamp() + $3 * interval '1 millisecond'
 WHERE pipeline = $1",
        name(state_schema)?
    ))
}

/// Counts a batch in the ledger. `$1` run, `$2` read, `$3` read again, `$4` inserted, `$5`
/// updated, `$6` deleted, `$7` unchanged, `$8` put aside.
///
/// # Errors
/// `Config` for a bad schema name.
pub fn count(state_schema: &str) -> Result<String> {
    Ok(format!(
        "UPDATE {}.run
   SET rows_read = rows_read + $2, rows_reread = rows_reread + $3, rows_written = rows_written + $4 + $5, rows_updated = rows_updated + $5,
       rows_deleted = rows_deleted + $6, rows_unchanged = rows_unchanged + $7, rows_quarantined = rows_quarantined + $8
 WHERE run_id = $1::uuid",
        name(state_schema)?
    ))
}

/// Gives the lease back. `$1` name, `$2` run.
///
/// # Errors
/// `Config` for a bad schema name.
pub fn release(state_schema: &str) -> Result<String> {
    Ok(format!(
        "UPDATE {}.checkpoint SET lease_until = NULL WHERE pipeline = $1 AND run_id = $2::uuid",
        name(state_schema)?
    ))
}

/// Closes the run's ledger row, whose counts the commits have written; a run that never claimed
/// has none yet, and gets one. `$1` name, `$2` run, `$3` outcome, `$4` horizon in microseconds,
/// `$5` class, `$6` code, `$7` duration in milliseconds.
///
/// # Errors
/// `Config` for a bad schema name.
pub fn close_ledger(state_schema: &str) -> Result<String> {
    Ok(format!(
        "INSERT INTO {}.run AS r (run_id, pipeline, started_at, finished_at, outcome, rows_read, rows_written, rows_updated, rows_deleted, rows_unchanged, rows_reread, rows_quarantined, source_horizon, error_class, error_code)
VALUES ($2::uuid, $1, clock_timestamp() - $7 * interval '1 millisecond', clock_timestamp(), $3, 0, 0, 0, 0, 0, 0, 0, timestamptz 'epoch' + $4 * interval '1 microsecond', $5, $6)
ON CONFLICT (run_id) DO UPDATE SET finished_at = EXCLUDED.finished_at, outcome = EXCLUDED.outcome, source_horizon = EXCLUDED.source_horizon, error_class = EXCLUDED.error_class, error_code = EXCLUDED.error_code",
        name(state_schema)?
    ))
}

/// Moves the checkpoint by hand, after [`look_and_lock`]. `$1` name, `$2` position, `$3`
/// definition, `$4` phase.
///
/// # Errors
/// `Config` for a bad schema name.
pub fn change(state_schema: &str) -> Result<String> {
    Ok(format!(
        "UPDATE {}.checkpoint
   SET position = $2, definition = $3, phase = $4, sequence = sequence + 1, run_id = NULL, lease_until = NULL, updated_at = clock_timestamp()
 WHERE pipeline = $1",
        name(state_schema)?
    ))
}

/// The checkpoint's row, locked until the transaction ends. `$1` name.
///
/// # Errors
/// `Config` for a bad schema name.
pub fn look_and_lock(state_schema: &str) -> Result<String> {
    Ok(format!(
        "SELECT sequence, position, definition, rows_total, generation, phase FROM {}.checkpoint WHERE pipeline = $1 FOR UPDATE",
        name(state_schema)?
    ))
}

/// Takes entries out of the quarantine. `$1` name, `$2` the hashes of their keys.
///
/// # Errors
/// `Config` for a bad schema name.
pub fn clear_aside(state_schema: &str) -> Result<String> {
    Ok(format!(
        "DELETE FROM {}.quarantine WHERE pipeline = $1 AND key_hash = ANY ($2::bytea[])",
        name(state_schema)?
    ))
}

/// Takes out what no batch of a load has put there: those rows are gone. `$1` name, `$2` the load's
/// generation.
///
/// # Errors
/// `Config` for a bad schema name.
pub fn clear_other_loads(state_schema: &str) -> Result<String> {
    Ok(format!(
        "DELETE FROM {}.quarantine WHERE pipeline = $1 AND generation <> $2",
        name(state_schema)?
    ))
}

/// The rows to put aside: `$1` name, `$2` run, `$3` the hashes of their keys, `$4` columns, `$5` keys,
/// `$6` reasons, `$7` codes; `$8` the load's generation.
const ASIDE: &str = "unnest($3::bytea[], $4::text[], $5::text[], $6::text[], $7::text[]) AS a(key_hash, column_name, key_json, reason, error_code)";

/// Renews the entries of rows that were put aside before. The parameters are those of the rows.
///
/// # Errors
/// `Config` for a bad schema name.
pub fn renew_aside(state_schema: &str) -> Result<String> {
    Ok(format!(
        "UPDATE {}.quarantine AS q
   SET column_name = a.column_name, key_json = a.key_json, reason = a.reason, error_code = a.error_code, run_id = $2::uuid, generation = $8, last_seen = statement_timestamp(), attempts = q.attempts + 1
  FROM {ASIDE}
 WHERE q.pipeline = $1 AND q.key_hash = a.key_hash",
        name(state_schema)?
    ))
}

/// Enters the others, first and last seen at one time: `clock_timestamp()` goes on between two calls of it.
/// The parameters are those of the rows.
///
/// # Errors
/// `Config` for a bad schema name.
pub fn enter_aside(state_schema: &str) -> Result<String> {
    let schema = name(state_schema)?;
    Ok(format!(
        "INSERT INTO {schema}.quarantine (pipeline, key_hash, column_name, key_json, reason, error_code, run_id, generation, first_seen, last_seen, attempts)
SELECT $1, a.key_hash, a.column_name, a.key_json, a.reason, a.error_code, $2::uuid, $8, statement_timestamp(), statement_timestamp(), 1
  FROM {ASIDE}
 WHERE NOT EXISTS (SELECT FROM {schema}.quarantine AS q WHERE q.pipeline = $1 AND q.key_hash = a.key_hash)"
    ))
}

/// What lies in the quarantine, the oldest first. `$1` name. Times are microseconds since 1970 UTC.
///
/// # Errors
/// `Config` for a bad schema name.
pub fn entries(state_schema: &str) -> Result<String> {
    Ok(format!(
        "SELECT key_json, column_name, reason, error_code, attempts, (extract(epoch FROM first_seen) * 1000000)::bigint AS first_seen, (extract(epoch FROM last_seen) * 1000000)::bigint AS last_seen
  FROM {}.quarantine AS q WHERE q.pipeline = $1 ORDER BY q.first_seen, key_hash",
        name(state_schema)?
    ))
}

/// Has the server check now what constraints put off until the commit.
pub const CHECK_NOW: &str = "SET CONSTRAINTS ALL IMMEDIATE";

#[cfg(test)]
mod tests;
