//! A TDS 7.4 / T-SQL server double: SQL Server 2019 as far as a careful loader needs it.
//!
//! It speaks the protocol to an unmodified `tiberius`, parses the T-SQL that it receives and runs
//! it on typed tables in memory. Nothing is matched by text: a statement that it does not
//! understand is refused, with error 102 near the spot or with an error whose text starts with
//! `double: not supported:`. No clause is ever ignored silently.
//!
//! ```no_run
//! use etl_tests::tds::{Action, Fault, Options, Point, Server};
//!
//! # fn main() -> std::io::Result<()> {
//! let server = Server::start(Options::default())?; // threads of its own, any runtime or none
//! println!("{}", server.url());                    // mssql://sa:...@127.0.0.1:port/test
//! server.fault(Fault::error_at("UPDATE [etl].[checkpoint]", 1205, 13).nth(2));
//! server.fault(Fault::new(Point::Commit, Action::DropAnswer));
//! let seen = server.statements();                  // text of every batch and sp_executesql
//! # drop(seen);
//! # Ok(())
//! # }
//! ```
//!
//! As a process of its own, with a file that keeps every commit and survives `kill -9`:
//!
//! ```text
//! tds-double --listen 127.0.0.1:0 --data FILE --sa-password-env VAR [--tls-cert C --tls-key K]
//! ```
//!
//! It prints one line, `listening on ADDR`. There `EXEC double.fault '{...}'` sets a [`Fault`] as
//! JSON, for `sa` only; `EXEC double.fault 'clear'` removes them all.
//!
//! What is faithful because real loads break on it: collations (case, trailing blanks, control
//! characters, emoji, error 468), the rules of type conversion and decimal arithmetic,
//! transactions with `XACT_ABORT` and TRY/CATCH, locks between sessions (a writer's rows, key
//! ranges, application locks, time-outs, deadlocks), default-deny permissions, the format checks
//! of bulk loads, and that a batch runs to its end after its client has vanished.

mod bind;
mod engine;
mod error;
mod exec;
mod faults;
mod net;
mod parse;
mod server;
mod session;
mod types;

pub use faults::{Action, Counters, Fault, Point, Raised};
pub use server::{Encryption, Handle, Options, Server};
