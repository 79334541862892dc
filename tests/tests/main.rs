//! The integration tests, by what they prove.

// Clippy knows tests by their attribute; their helpers fail as tests do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bad_input; // refused before anything is written, with what to change, over every pair
mod deploy; // manifests, dashboards, rules: reviewed, and the review tried on planted faults
mod double; // the server double itself: protocol, T-SQL, bulk loads, locks, permissions, faults
mod errors; // every error number at every place: tried again, or once
mod faults; // any plug, pulled at any instant; scripts/torture runs it at length
mod job; // the real program, from its command line to its exit code
mod matrix; // any source with any sink, by content
mod mssql; // the SQL Server sink keeps the contract, on whatever server this run has
mod mssql_source; // the SQL Server source: contract, late commits, types, refusals, pairs
mod names; // names that SQL stumbles over: 64 of them, and 30 in one table, there and back
mod orders; // the main job, whole: real programs, Postgres, SQL Server
mod postgres; // the Postgres source: contract, late commits, types, refusals, drift
mod postgres_target; // Postgres as a target
mod quarantine; // rows that a target refuses: put aside, counted, cleared; all others land
mod replace; // targets that are replaced as a whole, on every pair
mod replay; // rows put aside, from the command line: shown, tried again, landed
mod security; // TLS, secrets, forged lines: what somebody who means harm gets
mod soft_delete; // rows that leave are marked: every pair by content, and what is refused
mod sqlite; // SQLite as source and sink
mod streams; // many streams in one file: turns, failures, deadlines, patterns
mod tsql; // every statement that we send is its golden file
mod types; // every type, value by value, over every pair: equal, or refused by name

mod support {
    pub(crate) mod binary; // runs the real program
    pub(crate) mod page; // its page of metrics
    pub(crate) mod side; // one database of any kind
    pub(crate) mod sweep; // sweeps of a source, and a target in memory
}
