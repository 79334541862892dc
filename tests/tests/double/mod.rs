//! The double answers as SQL Server documents, asked through an unmodified `tiberius`.

// Helpers of tests fail as tests do.
#![allow(clippy::unwrap_used, clippy::panic)]

mod bulk;
mod client;
mod faults;
mod locks;
mod process;
mod protocol;
mod security;
mod statements;
mod versions;
