//! Moves rows: demo, prepare, check, run and state of a pipeline file.

use std::process::ExitCode;

use clap::Parser;
use etl_job::{cli::Cli, commands, exit, telemetry};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error),
    };
    telemetry::init_logs(telemetry::Style::of_stderr());
    telemetry::panics_to_json();
    ExitCode::from(commands::execute(cli.command))
}
