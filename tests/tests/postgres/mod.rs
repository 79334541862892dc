//! Postgres as a source, against a real server.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests, which clippy does not take for tests"
)]

mod contract; // the suite that every source runs
mod drift; // tables that change and connections that break while rows are read
mod late_commits; // no row is lost to a commit that comes late
mod properties; // quoting, decimals and the decoder, against the server's own answer
mod refusals; // what is refused, and what a person is told
mod resume; // sweeps stop anywhere and go on
mod stamps; // what a cursor of transaction numbers asks of its table
mod support;
mod transaction_numbers; // late commits, restarts and dumps with `safety: xid8`
mod types; // each type from end to end of its range
