//! The job: reads a pipeline file and moves its rows.
//!
//! Everything is here, so that `mssql-init` and the tests can use it.

use std::process::ExitCode;

use clap::Parser;

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

/// The whole program: from the command line to the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error),
    };
    telemetry::init_logs(telemetry::Style::of_stderr());
    telemetry::panics_to_json();
    ExitCode::from(commands::execute(cli.command))
}
