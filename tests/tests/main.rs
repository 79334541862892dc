//! Integration tests.

mod mssql;
mod postgres;
mod tsql;
