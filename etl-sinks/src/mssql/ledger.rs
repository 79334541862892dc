//! The ledger's figures, from the row that [`super::statements::ledger`] gives.

use std::time::Duration;

use etl_core::Result;
use etl_core::ledger::{Ledger, RowCounts, RunCounts};
use etl_sql::mssql::connect::{required, value};
use tiberius::Row;

pub(super) fn figures(row: &Row) -> Result<Ledger> {
    let micros = |column| value::<i64>(row, column);
    // A CASE of whole numbers is an int, a sum of them too; a sum of bigints is a bigint.
    let runs = |column| required::<i32>(row, column).map(|count| unsigned(count.into()));
    let rows = |column| required::<i64>(row, column).map(unsigned);
    Ok(Ledger {
        now_micros: required(row, "now")?,
        last_success_micros: micros("success")?,
        source_horizon_micros: micros("horizon")?,
        last_run_micros: micros("started")?,
        last_run_duration: micros("duration")?.map(unsigned).map(Duration::from_micros),
        checkpoint_micros: required(row, "changed")?,
        lease_held: runs("lease_held")? == 1,
        runs: RunCounts {
            success: runs("runs_success")?,
            stopped: runs("runs_stopped")?,
            skipped: runs("runs_skipped")?,
            fenced: runs("runs_fenced")?,
            failed: runs("runs_failed")?,
            abandoned: runs("runs_abandoned")?,
            replayed: runs("runs_replayed")?,
        },
        rows: RowCounts {
            read: rows("rows_read")?,
            written: rows("rows_written")?,
            deleted: rows("rows_deleted")?,
            unchanged: rows("rows_unchanged")?,
            reread: rows("rows_reread")?,
            quarantined: rows("rows_quarantined")?,
        },
        quarantined: rows("quarantined")?,
        failures_since_success: runs("failures")?,
    })
}

/// A clock that was set back makes a duration negative; it is none then.
fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
