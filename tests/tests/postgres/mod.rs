//! Postgres as a source, against a real server.

mod contract; // the suite that every source runs
mod late_commits; // no row is lost to a commit that comes late
mod resume; // sweeps stop anywhere and go on
mod support;
