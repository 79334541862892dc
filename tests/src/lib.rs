//! What the integration tests stand on: servers to test against, and a server double that speaks
//! TDS and T-SQL.

pub mod claims;
pub mod docker;
pub mod mssql;
pub mod policy;
pub mod postgres;
pub mod postgres_proxy;
pub mod skips;
pub mod tds;
pub mod tls;
pub mod torture;
pub mod wire;
