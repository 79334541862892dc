//! Postgres: connecting, quoting, types, errors, the binary COPY and the horizon.

pub mod catalog;
pub mod connect;
pub mod copy;
pub mod error;
pub mod horizon;
pub mod quote;
pub mod types;
pub mod watch;

pub use catalog::{Column, Identity, Table};
pub use connect::{Connect, Tls};
pub use error::{class_of, failed};
pub use horizon::{Horizon, horizon};
