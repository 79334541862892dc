//! Prepares a SQL Server for a pipeline: database, tables, logins, rights.

use std::process::ExitCode;

use clap::Parser;
use etl_core::{Error, Result};
use etl_job::{commands, exit, report, telemetry};
use mssql_init::cli::{Cli, Settings};
use mssql_init::{run, steps};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error),
    };
    telemetry::init_logs(telemetry::Style::of_stderr());
    telemetry::panics_to_json();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = runtime
        .map_err(|error| Error::internal("starting the runtime").with_source(error))
        .and_then(|runtime| runtime.block_on(Box::pin(prepare(&cli))));
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => ExitCode::from(commands::failed(&error)),
    }
}

/// Prepares what can be; the worst exit code of what cannot.
async fn prepare(cli: &Cli) -> Result<u8> {
    let settings = Settings::load(cli).await?;
    if !settings.targets.is_empty() {
        prepare_for(cli, &settings).await?;
    }
    let left_out = settings.left_out.iter().map(commands::failed);
    Ok(left_out.fold(exit::DONE, exit::worse))
}

async fn prepare_for(cli: &Cli, settings: &Settings) -> Result<()> {
    let steps = steps::steps(&settings.job, settings.metrics.as_ref(), &settings.targets)?;
    if cli.dry_run {
        for (index, step) in steps.iter().enumerate() {
            let place = step.place.as_str();
            let statement = &step.statement;
            report::Output::new(false).print(
                &statement,
                &format!(
                    "-- {}. {} (in {place})\n{}\nGO\n",
                    index + 1,
                    statement.title(),
                    statement.text
                ),
            );
        }
        return Ok(());
    }
    let admin = settings.admin(cli)?;
    run(&admin, settings, &steps, cli.wait).await?;
    tracing::info!(steps = steps.len(), database = settings.job.database, "prepared");
    Ok(())
}
