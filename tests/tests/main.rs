//! Integration tests.

mod job; // the real program, from its command line to its exit code
mod mssql;
mod postgres;
mod sqlite;
mod tsql;

mod support {
    pub(crate) mod binary; // runs the real program
}
