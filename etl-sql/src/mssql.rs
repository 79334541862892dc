//! Microsoft SQL Server, over TDS by tiberius.

pub mod bulk;
pub mod config;
pub mod connect;
pub mod error;
pub mod login;
pub mod plan;
pub mod pool;
pub mod quote;
pub mod read;
pub mod target;
pub mod types;

pub use config::{MssqlConfig, Tls};
pub use connect::Connection;
