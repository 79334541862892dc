//! Postgres as a source, against a real server.

mod contract;
mod support;
