//! Integration tests.

mod mssql;
