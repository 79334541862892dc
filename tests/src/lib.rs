//! What the integration tests run against: a server double that speaks TDS and T-SQL.

pub mod tds;
