//! SQLite: one file, one writer at a time, no server.
//!
//! What follows from that, and what the source and the sink build on:
//!
//! * The clock of a file is the clock of the machine that opens it.
//! * Writers follow one another. Whoever holds the write lock knows that nobody else has an open
//!   write transaction ([`writers`]).
//! * A column's declared type is a hint; each value has a storage class of its own. [`types`] says
//!   which declared types keep which values unchanged, and how they are read back.

pub mod connect;
pub mod error;
pub mod migrations;
pub mod plan;
pub mod quote;
pub mod table;
pub mod text;
pub mod types;
pub mod writers;

pub use connect::{Access, Config, connect};
