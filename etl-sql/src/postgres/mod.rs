//! Postgres: connecting, quoting, types, errors, the binary COPY, the horizon; targets and plans.

pub mod bulk;
pub mod catalog;
pub mod connect;
pub mod copy;
pub mod error;
pub mod horizon;
pub mod plan;
pub mod quote;
pub mod session;
pub mod shape;
pub mod sqltype;
pub mod target;
pub mod types;
pub mod watch;
pub mod xid8;

pub use catalog::{Column, Identity, Table};
pub use connect::{Connect, Tls};
pub use error::{class_of, failed};
pub use horizon::{Horizon, horizon};
