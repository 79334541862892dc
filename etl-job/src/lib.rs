//! The job: reads a pipeline file and moves its rows.
//!
//! `main` is a sentence; everything else is here, so that `mssql-init` and the tests can use it.

pub mod build;
pub mod cli;
pub mod commands;
pub mod config;
pub mod exit;
pub mod interpolate;
pub mod report;
pub mod secrets;
pub mod signals;
pub mod telemetry;
