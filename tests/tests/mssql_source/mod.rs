//! The SQL Server source, on whatever server this run has.

mod contract; // the suite that every source runs, for each kind of cursor
mod cut; // connections that break, fall silent, or end in a lie
mod late_commits; // open transactions, and the two ways of losing their rows
mod pair; // to SQLite and to SQL Server, incrementally, with rows that leave the filter
mod refusals; // what would lose or bend rows, and what is told
mod resume; // sweeps that stop anywhere and go on
pub(crate) mod support;
mod types; // every type, from NULL to its greatest value
