//! What the integration tests stand on: servers to test against.

pub mod mssql;
pub mod postgres;
