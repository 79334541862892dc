//! What a sink's ledger and checkpoint say about one stream, in figures.

use std::time::Duration;

use serde::Serialize;

/// One stream's figures, all of one reading. Times are the target's, in microseconds since 1970
/// UTC; whoever compares them compares them with [`Ledger::now_micros`] and no other clock.
///
/// "The last run" is the one that began last. Runs that were skipped did no work, and those that tried
/// again what had been put aside read no sweep; both are counted in [`Ledger::runs`], their rows in
/// [`Ledger::rows`], and nowhere else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Ledger {
    /// The target's clock when the ledger was read.
    pub now_micros: i64,
    /// When the last successful run ended; `None` if none ever did.
    pub last_success_micros: Option<i64>,
    /// That run's horizon: the source's clock up to which everything is in the target.
    pub source_horizon_micros: Option<i64>,
    /// When the last run began, also one that goes on.
    pub last_run_micros: Option<i64>,
    /// How long the last run took that said how it ended: not one that goes on or was killed.
    pub last_run_duration: Option<Duration>,
    /// When the checkpoint was last changed; at first, when it was made.
    pub checkpoint_micros: i64,
    /// Whether a run holds the lease, and it has not expired.
    pub lease_held: bool,
    /// Runs that have ended, by how. A run that was killed counts from when the next one finds it.
    pub runs: RunCounts,
    /// Rows of all runs, of one that goes on too.
    pub rows: RowCounts,
    /// Rows that are put aside now.
    pub quarantined: u64,
    /// Runs that failed, were fenced or were killed and began after the last success did.
    pub failures_since_success: u64,
}

/// Runs by how they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RunCounts {
    /// Read to the end, and all of it durable.
    pub success: u64,
    /// Asked to stop, or at the deadline.
    pub stopped: u64,
    /// Another run held the pipeline.
    pub skipped: u64,
    /// Another run or a person took the pipeline over.
    pub fenced: u64,
    /// An error ended it.
    pub failed: u64,
    /// Killed, as the next run found.
    pub abandoned: u64,
    /// Tried again what had been put aside.
    pub replayed: u64,
}

/// Sums over the runs of a ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RowCounts {
    /// Read from the source.
    pub read: u64,
    /// Inserted or updated.
    pub written: u64,
    /// Deleted.
    pub deleted: u64,
    /// Found equal.
    pub unchanged: u64,
    /// Read that an earlier sweep had read.
    pub reread: u64,
    /// Put aside.
    pub quarantined: u64,
}

impl RunCounts {
    /// Each with its word in the ledger.
    #[must_use]
    pub const fn by_outcome(&self) -> [(&'static str, u64); 7] {
        [
            ("success", self.success),
            ("stopped", self.stopped),
            ("skipped", self.skipped),
            ("fenced", self.fenced),
            ("failed", self.failed),
            ("abandoned", self.abandoned),
            ("replayed", self.replayed),
        ]
    }
}

impl RowCounts {
    /// Each with its word in metrics.
    #[must_use]
    pub const fn by_kind(&self) -> [(&'static str, u64); 6] {
        [
            ("read", self.read),
            ("written", self.written),
            ("deleted", self.deleted),
            ("unchanged", self.unchanged),
            ("reread", self.reread),
            ("quarantined", self.quarantined),
        ]
    }
}
