//! One stream's run, from its beginning to its summary.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use etl_core::connector::Stream;
use etl_core::pipeline::{Finished, Observer};
use etl_core::{Error, RunReport, fail_point};
use tracing::Instrument;
use uuid::Uuid;

use super::Round;
use crate::build::Work;
use crate::config::{PipelineFile, Refused};
use crate::exit;
use crate::report::Summary;
use crate::telemetry::Style;

/// How often a person sees progress, of whichever stream.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

impl Round {
    /// Runs one stream once and prints its summary.
    pub(crate) async fn carry(&self, stream: &Stream) -> (Finished, Summary) {
        let run = Uuid::new_v4();
        let span = tracing::info_span!(
            "run",
            pipeline = stream.pipeline,
            stream = stream.name,
            run = %run
        );
        let carried = self.carry_as(run, stream).instrument(span.clone());
        let finished = explained(carried.await, &self.file);
        fail_point!("job.after-run");
        let summary = Summary::new(&stream.pipeline, &stream.name, &finished);
        span.in_scope(|| self.tell(&summary));
        self.output.print(&summary, &summary.text());
        (finished, summary)
    }

    /// The end of a stream that the file's patterns led to and that cannot run.
    pub(super) fn refuse(&self, refused: Refused) -> (Summary, u8) {
        let (pipeline, stream) = (self.file.name(), &refused.stream);
        let (run, name) = (Uuid::new_v4(), format!("{pipeline}/{stream}"));
        let span = tracing::info_span!("run", pipeline, stream, run = %run);
        self.look_at_refusal(&refused.error);
        let finished = not_begun(run, name, refused.error, Duration::ZERO);
        self.telemetry.metrics(pipeline, stream).finished(&finished.report);
        let summary = Summary::new(pipeline, stream, &finished);
        span.in_scope(|| self.tell(&summary));
        self.output.print(&summary, &summary.text());
        (summary, finished.exit_code())
    }

    async fn carry_as(&self, run: Uuid, stream: &Stream) -> Finished {
        let metrics = self.telemetry.metrics(&stream.pipeline, &stream.name);
        for section in [self.file.source(), self.file.target()] {
            if section.tls_unverified() {
                tracing::warn!(side = section.side, "the server's certificate is not verified");
            }
            metrics.tls_unverified(section.side, section.tls_unverified());
        }
        let started = Instant::now();
        let wish = self.wish();
        let built = self.file.build_pipeline(stream, &wish, metrics.clone());
        match built {
            Ok(pipeline) => {
                tracing::info!("run begins");
                let mut pipeline = pipeline.with_run_id(run);
                if let Some(observer) = self.progress.observer() {
                    pipeline = pipeline.with_observer(observer);
                }
                fail_point!("job.before-run");
                match wish.work {
                    Work::Replay => Box::pin(pipeline.replay(&self.stop)).await,
                    Work::Sweep | Work::FullRefresh => Box::pin(pipeline.run(&self.stop)).await,
                }
            }
            Err(error) => {
                let finished = not_begun(run, stream.full_name(), error, started.elapsed());
                metrics.finished(&finished.report);
                finished
            }
        }
    }

    /// A stream's end in the logs. On a terminal the summary below tells it already.
    pub(super) fn tell(&self, summary: &Summary) {
        if Style::of_stderr() == Style::Text {
            // Takes the progress line away. Nobody left to see it is no reason to fail.
            write!(std::io::stderr().lock(), "\r\u{1b}[K").ok();
            return;
        }
        let outcome = summary.outcome;
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
fn not_begun(run: Uuid, name: String, error: Error, took: Duration) -> Finished {
    let mut report = RunReport::new(name, run);
    report.duration = took;
    report.error_class = Some(error.class());
    report.error_code = error.code().map(str::to_owned);
    Finished { report, error: Some(error), skipped_for: None, skipped_too_long: false }
}

/// A line that lives while a person watches, shared by all streams.
#[derive(Clone, Default)]
pub(super) struct Progress(Arc<Mutex<Option<Instant>>>);

impl Progress {
    /// One run's part of it; nothing if nobody watches.
    fn observer(&self) -> Option<Observer> {
        if !std::io::stderr().is_terminal() {
            return None;
        }
        let started = Instant::now();
        let last = Arc::clone(&self.0);
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
}

#[cfg(test)]
mod tests {
    use etl_core::Outcome;

    use super::*;
    use crate::config::Secrets;

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
