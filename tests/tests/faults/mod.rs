//! Any plug, pulled at any instant: nothing is lost, nothing comes twice, nothing hangs.
//!
//! Each test counts what it saw with a `Recorder`; `scripts/torture` runs them at length
//! (`ETL_TORTURE=long`) and makes the table of `docs/reliability.md` of the figures. Most have
//! controls: the same harness with a safeguard taken out, which must lose or double rows.

mod anomaly; // one fault at frame n of either link, for every n
mod broken; // safeguards taken out, by wrapping what has them
mod clauses; // safeguards taken out of the T-SQL that is sent
mod cuts; // commits whose connection is cut
mod kills; // the real program, killed
mod large_cells; // the largest value, and one byte more
mod late; // commits that come late
mod overlap; // eight runs at once
pub(crate) mod points; // the fail points, and that no released program has them
mod schema_drift; // DDL on either side, at every border between two batches
mod shop; // orders that change, and the real program
mod signals; // the real program, asked to end and put to sleep
mod simulation; // the engine against a model, from seeds
mod time; // leases, clocks, pauses
mod world; // a source, targets, runs in this process, what is compared
