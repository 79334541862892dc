//! Integration tests.

mod mssql;
mod postgres;
mod sqlite;
mod tsql;
