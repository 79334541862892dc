//! `etl-job run`: every stream of a file, once or every so often.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use etl_core::connector::Stream;
use etl_core::pipeline::{Finished, Observer};
use etl_core::{Error, Result, RunReport};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use crate::build::Wish;
use crate::cli::Run;
use crate::config::{PipelineFile, Secrets};
use crate::report::{Output, Summary};
use crate::telemetry::{Answering, Style, Telemetry};
use crate::{commands, exit};

/// Where metrics are pushed to if the file does not say.
const PUSHGATEWAY: &str = "ETL_PUSHGATEWAY_URL";

/// How often a person sees progress.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

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
    let mut code = round(&file, args, telemetry, stop).await?;
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
            Ok(file) => round(&file, args, telemetry, stop).await,
            Err(error) => Err(error),
        };
        code = done.unwrap_or_else(|error| commands::failed(&error));
    }
}

/// Every stream once, one after another; the worst exit code.
async fn round(
    file: &PipelineFile,
    args: &Run,
    telemetry: &Telemetry,
    stop: &CancellationToken,
) -> Result<u8> {
    let output = Output::new(args.json);
    let wish = Wish { full_refresh: args.full_refresh, deadline: args.deadline };
    let mut code = exit::DONE;
    for stream in file.select(args.stream.as_deref())? {
        if stop.is_cancelled() {
            break;
        }
        let (finished, _) = carry(file, stream, &wish, telemetry, stop, output).await;
        code = exit::worse(code, finished.exit_code());
    }
    let gateway = file.telemetry().pushgateway.clone().or_else(|| std::env::var(PUSHGATEWAY).ok());
    telemetry.push(gateway.as_deref().filter(|url| !url.is_empty()), file.name()).await;
    Ok(code)
}

/// Runs one stream once and prints its summary.
pub(crate) async fn carry(
    file: &PipelineFile,
    stream: &Stream,
    wish: &Wish,
    telemetry: &Telemetry,
    stop: &CancellationToken,
    output: Output,
) -> (Finished, Summary) {
    let run = Uuid::new_v4();
    let span =
        tracing::info_span!("run", pipeline = stream.pipeline, stream = stream.name, run = %run);
    let carried = carry_as(run, file, stream, wish, telemetry, stop).instrument(span.clone());
    let finished = explained(carried.await, file);
    let summary = Summary::new(stream, &finished);
    span.in_scope(|| tell(&summary));
    output.print(&summary, &summary.text());
    (finished, summary)
}

async fn carry_as(
    run: Uuid,
    file: &PipelineFile,
    stream: &Stream,
    wish: &Wish,
    telemetry: &Telemetry,
    stop: &CancellationToken,
) -> Finished {
    let metrics = telemetry.metrics(&stream.pipeline, &stream.name);
    for section in [file.source(), file.target()] {
        if section.tls_unverified() {
            tracing::warn!(side = section.side, "the server's certificate is not verified");
        }
        metrics.tls_unverified(section.side, section.tls_unverified());
    }
    let started = Instant::now();
    let built = file.build_pipeline(stream, wish, metrics.clone());
    match built {
        Ok(pipeline) => {
            tracing::info!("run begins");
            let mut pipeline = pipeline.with_run_id(run);
            if let Some(observer) = progress() {
                pipeline = pipeline.with_observer(observer);
            }
            Box::pin(pipeline.run(stop)).await
        }
        Err(error) => {
            let finished = not_begun(run, stream, error, started.elapsed());
            metrics.finished(&finished.report);
            finished
        }
    }
}

/// The same end; one that has a bad exit code without an error says why.
fn explained(mut finished: Finished, file: &PipelineFile) -> Finished {
    if finished.error.is_some() || finished.exit_code() == exit::DONE {
        return finished;
    }
    let text = match finished.skipped_for {
        Some(time) => format!(
            "another run has held the pipeline for {}, which is longer than lease.max_skip ({}). \
             Look for a run that hangs and end it; its lease then expires by itself",
            humantime::format_duration(Duration::from_secs(time.as_secs())),
            humantime::format_duration(file.lease().max_skip)
        ),
        None => {
            "the deadline passed before one batch was durable; raise limits.deadline, or lower \
                 limits.batch"
                .to_owned()
        }
    };
    let error = Error::transient(text);
    finished.report.error_class = Some(error.class());
    finished.error = Some(error);
    finished
}

/// A run that failed before it had anything to run.
fn not_begun(run: Uuid, stream: &Stream, error: Error, took: Duration) -> Finished {
    let mut report = RunReport::new(stream.full_name(), run);
    report.duration = took;
    report.error_class = Some(error.class());
    report.error_code = error.code().map(str::to_owned);
    Finished { report, error: Some(error), skipped_for: None, skipped_too_long: false }
}

/// The run's end in the logs. On a terminal the summary below tells it already.
fn tell(summary: &Summary) {
    if Style::of_stderr() == Style::Text {
        // Takes the progress line away. Nobody left to see it is no reason to fail.
        write!(std::io::stderr().lock(), "\r\u{1b}[K").ok();
        return;
    }
    let outcome = summary.outcome.as_str();
    if let Some(error) = &summary.error {
        tracing::error!(outcome, class = error.class, code = error.code, "{}", error.message);
        return;
    }
    tracing::info!(
        outcome,
        read = summary.read,
        written = summary.written,
        deleted = summary.deleted,
        unchanged = summary.unchanged,
        reread = summary.reread,
        duration_seconds = summary.duration_seconds,
        "run ended"
    );
}

/// A line that lives while a person watches; nothing otherwise.
fn progress() -> Option<Observer> {
    if !std::io::stderr().is_terminal() {
        return None;
    }
    let started = Instant::now();
    let last = Mutex::new(None::<Instant>);
    Some(Box::new(move |report: &RunReport| {
        let Ok(mut last) = last.lock() else { return };
        if last.is_some_and(|at| at.elapsed() < PROGRESS_EVERY) {
            return;
        }
        *last = Some(Instant::now());
        // Whole rows per second are enough for a person.
        let millis = started.elapsed().as_millis().max(1);
        let rate = u128::from(report.read) * 1000 / millis;
        let line = format!(
            "\r\u{1b}[K{}: {} rows read, {} written, {} deleted, {rate} rows/s",
            report.name, report.read, report.written, report.deleted
        );
        write!(std::io::stderr().lock(), "{line}").ok();
    }))
}

#[cfg(test)]
mod tests {
    use etl_core::Outcome;

    use super::*;

    const FILE: &str = "version: 1\npipeline: p\nsource: { type: a }\ntarget: { type: b }\n\
        streams: { s: { object: t, primary_key: [i], cursor: { column: i }, select: [i] } }\n";

    fn ended(outcome: Outcome, skipped_too_long: bool) -> Finished {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.yaml");
        std::fs::write(&path, FILE).unwrap();
        let file = PipelineFile::load(&path, Secrets::Required).unwrap();
        let mut report = RunReport::new("p/s", Uuid::nil());
        report.outcome = outcome;
        let skipped_for = skipped_too_long.then(|| Duration::from_mins(31));
        explained(Finished { report, error: None, skipped_for, skipped_too_long }, &file)
    }

    #[test]
    fn an_exit_code_other_than_0_always_has_an_error() {
        let skipped = ended(Outcome::Skipped, true);
        assert_eq!(skipped.exit_code(), exit::TEMPORARY);
        let text = skipped.error.unwrap().to_string();
        assert!(text.contains("31m") && text.contains("lease.max_skip (30m)"), "{text}");
        let stopped = ended(Outcome::Stopped, false);
        assert_eq!(stopped.exit_code(), exit::TEMPORARY);
        assert!(stopped.error.unwrap().to_string().contains("deadline"));
        assert!(ended(Outcome::Skipped, false).error.is_none());
        assert!(ended(Outcome::Success, false).error.is_none());
    }
}
