//! `etl-job run`: every stream of a file, once or every so often.

mod carry;
mod round;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use etl_core::Result;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::build::{Wish, Work};
use crate::cli::Run;
use crate::commands;
use crate::config::{PipelineFile, Secrets};
use crate::report::Output;
use crate::telemetry::{Answering, Telemetry};

pub(crate) use round::Round;

/// Where metrics are pushed to if the file does not say.
const PUSHGATEWAY: &str = "ETL_PUSHGATEWAY_URL";

/// Runs until done, or with `--every` until asked to stop; the exit code of the last round.
///
/// # Errors
/// If the file cannot be read when the process starts, or the metrics page not be served.
pub async fn run(args: &Run, telemetry: &Telemetry, stop: &CancellationToken) -> Result<u8> {
    let file = PipelineFile::load(&args.file, Secrets::Required)?;
    let server = match &args.metrics_addr {
        Some(address) => Some(telemetry.serve(address, Arc::new(Answering)).await?),
        None => None,
    };
    let mut code = round(file, args, telemetry, stop).await?;
    if let Some(period) = args.every {
        code = again(period, args, telemetry, stop, code).await;
    }
    drop(server);
    Ok(code)
}

/// The rounds after the first. The file is read anew for each: it may name rotated secrets.
async fn again(
    period: Duration,
    args: &Run,
    telemetry: &Telemetry,
    stop: &CancellationToken,
    mut code: u8,
) -> u8 {
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return code,
            _ = ticks.tick() => {}
        }
        let done = match PipelineFile::load(&args.file, Secrets::Required) {
            Ok(file) => round(file, args, telemetry, stop).await,
            Err(error) => Err(error),
        };
        code = done.unwrap_or_else(|error| commands::failed(&error));
    }
}

/// Every stream once; the worst exit code.
async fn round(
    file: PipelineFile,
    args: &Run,
    telemetry: &Telemetry,
    stop: &CancellationToken,
) -> Result<u8> {
    let work = if args.full_refresh { Work::FullRefresh } else { Work::Sweep };
    let wish = Wish { work, deadline: args.deadline };
    let only = args.stream.as_deref();
    once(file, wish, only, telemetry, stop, Output::new(args.json)).await
}

/// The stream called `only`, or every stream, once; the worst exit code.
pub(super) async fn once(
    file: PipelineFile,
    wish: Wish,
    only: Option<&str>,
    telemetry: &Telemetry,
    stop: &CancellationToken,
    output: Output,
) -> Result<u8> {
    let gateway = file.telemetry().pushgateway.clone().or_else(|| std::env::var(PUSHGATEWAY).ok());
    let name = file.name().to_owned();
    let round = Round::new(file, wish, telemetry, stop, output);
    let code = Arc::new(round).run(only).await?;
    telemetry.push(gateway.as_deref().filter(|url| !url.is_empty()), &name).await;
    Ok(code)
}
