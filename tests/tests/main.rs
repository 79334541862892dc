//! Integration tests.

mod mssql;
mod tsql;
