//! What is known about each database: connecting, quoting, types, errors, plans.
//!
//! Sources, sinks and `mssql-init` share it. Each database is a cargo feature and a folder with
//! the same file names.

#[cfg(any(feature = "mssql", feature = "postgres", feature = "sqlite"))]
pub mod migration;
#[cfg(feature = "mssql")]
pub mod mssql;
#[cfg(any(feature = "mssql", feature = "postgres", feature = "sqlite"))]
mod parts;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(any(feature = "mssql", feature = "postgres"))]
pub mod quarantine;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(any(feature = "mssql", feature = "postgres", feature = "sqlite"))]
pub mod stage;
