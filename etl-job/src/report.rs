//! What a person or a program is told: summaries, errors, findings.

mod total;

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use etl_core::pipeline::Finished;
use etl_core::{Class, Error, Position, RunReport};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::secrets;

pub use total::Total;

/// The outcome of a stream whose turn did not come; there was no run.
pub const NOT_STARTED: &str = "not_started";

/// How results are printed on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

impl Output {
    /// JSON if `--json` was given.
    #[must_use]
    pub fn new(json: bool) -> Self {
        if json { Self::Json } else { Self::Text }
    }

    /// Prints one result, in the form that was asked for.
    pub fn print(self, value: &impl Serialize, text: &str) {
        let line = match self {
            Self::Text => safe(text),
            Self::Json => match serde_json::to_string(value) {
                Ok(line) => ascii_controls(&secrets::redact(&line)),
                Err(error) => format!("{{\"error\":\"no JSON form: {error}\"}}"),
            },
        };
        // A reader that has gone away is no reason to fail: the rows are where they belong.
        writeln!(std::io::stdout().lock(), "{line}").ok();
    }
}

/// `text` without secrets, and with everything that could steer a terminal written out.
#[must_use]
pub fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in secrets::redact(text).chars() {
        if c != '\n' && is_unsafe(c) {
            // Writing to a String does not fail.
            write!(out, "{}", c.escape_unicode()).ok();
        } else {
            out.push(c);
        }
    }
    out
}

/// A text whose further lines stand to the right, so that none of them is taken for a line of ours.
#[must_use]
pub fn within(text: &str) -> String {
    text.replace('\n', "\n    ")
}

/// JSON text in which [`safe`]'s characters are escapes, as JSON has them.
pub(crate) fn ascii_controls(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_unsafe(c) {
            // All of them are in the basic plane. Writing to a String does not fail.
            write!(out, "\\u{:04x}", u32::from(c)).ok();
        } else {
            out.push(c);
        }
    }
    out
}

/// Control characters, and those that change the direction or the place of what follows.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// One stream's run, in the words of the published format.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// The pipeline's name.
    pub pipeline: String,
    /// The stream's name.
    pub stream: String,
    /// This execution, as in the logs and in the ledger.
    pub run: String,
    /// `success`, `replayed`, `stopped`, `skipped`, `fenced`, `failed` or `not_started`.
    pub outcome: &'static str,
    /// Rows read from the source.
    pub read: u64,
    /// Rows inserted or updated.
    pub written: u64,
    /// Rows deleted.
    pub deleted: u64,
    /// Rows found equal.
    pub unchanged: u64,
    /// Rows read that an earlier sweep had read.
    pub reread: u64,
    /// Rows put aside.
    pub quarantined: u64,
    /// Where the run began, as its source wrote it.
    pub checkpoint_from: Value,
    /// Where the next one goes on.
    pub checkpoint_to: Value,
    /// How long it took.
    pub duration_seconds: f64,
    /// What ended it early.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

/// An error, for programs.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    /// What can be done about it: see the exit codes.
    pub class: &'static str,
    /// The database's own code.
    pub code: Option<String>,
    /// What was being done, what was found, what was written, what to change.
    pub message: String,
}

impl Summary {
    /// The summary of a run that has ended.
    #[must_use]
    pub fn new(pipeline: &str, stream: &str, finished: &Finished) -> Self {
        Self::of(pipeline, stream, &finished.report, finished.error.as_ref())
    }

    /// The summary of a stream whose turn did not come, and why if that is an error.
    #[must_use]
    pub fn not_started(pipeline: &str, stream: &str, error: Option<&Error>) -> Self {
        let report = RunReport::new(format!("{pipeline}/{stream}"), Uuid::nil());
        Self { outcome: NOT_STARTED, ..Self::of(pipeline, stream, &report, error) }
    }

    fn of(pipeline: &str, stream: &str, report: &RunReport, error: Option<&Error>) -> Self {
        let name = format!("{pipeline}/{stream}");
        let error = error.map(|error| Failure {
            class: error.class().as_str(),
            code: error.code().map(str::to_owned),
            message: secrets::redact(&run_error(&name, error, report)),
        });
        Self {
            pipeline: pipeline.to_owned(),
            stream: stream.to_owned(),
            run: report.run.to_string(),
            outcome: report.outcome.as_str(),
            read: report.read,
            written: report.written,
            deleted: report.deleted,
            unchanged: report.unchanged,
            reread: report.reread,
            quarantined: report.quarantined,
            checkpoint_from: position(report.checkpoint_from.as_ref()),
            checkpoint_to: position(report.checkpoint_to.as_ref()),
            duration_seconds: seconds(report.duration),
            error,
        }
    }

    /// The same for people, in a few lines.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!(
            "{}/{}: {} in {:.3} s: read {}, written {}, deleted {}, unchanged {}, reread {}, \
             quarantined {}\n  checkpoint {} -> {}\n  run {}",
            self.pipeline,
            self.stream,
            self.outcome,
            self.duration_seconds,
            self.read,
            self.written,
            self.deleted,
            self.unchanged,
            self.reread,
            self.quarantined,
            self.checkpoint_from,
            self.checkpoint_to,
            self.run,
        );
        if let Some(error) = &self.error {
            text.push_str("\n  error ");
            text.push_str(&error.message);
        }
        text
    }
}

/// A stored position as JSON.
#[must_use]
pub fn position(position: Option<&Position>) -> Value {
    position.map_or(Value::Null, |position| {
        serde_json::from_str(position.as_str())
            .unwrap_or_else(|_| Value::String(position.as_str().to_owned()))
    })
}

/// Seconds to the millisecond.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

/// What was being done and found, the causes, class and code.
#[must_use]
pub fn error(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = inner.source();
    }
    text.push_str(&format!(" [class {}", error.class()));
    if let Some(code) = error.code() {
        text.push_str(&format!(", code {code}"));
    }
    text.push(']');
    secrets::redact(&text)
}

/// The whole story of a run that failed: what, why, what was written, what to change.
fn run_error(name: &str, failure: &Error, report: &RunReport) -> String {
    format!("{}. {}. {}", named(name, &error(failure)), written(report), advice(failure.class()))
}

/// `text` with the stream's name in front, and nowhere else: several layers put it there.
pub(crate) fn named(name: &str, text: &str) -> String {
    let name = format!("{name}: ");
    format!("{name}{}", text.replace(&name, ""))
}

fn written(report: &RunReport) -> String {
    if report.batches == 0 {
        return match &report.checkpoint_from {
            Some(from) => format!("Nothing was written; the checkpoint stays at {from}"),
            None => "Nothing was written; the checkpoint is unchanged".to_owned(),
        };
    }
    let to = report.checkpoint_to.as_ref().map_or("the beginning", Position::as_str);
    format!(
        "{} batches ({} rows written, {} deleted) are durable; the next run goes on at {}",
        report.batches, report.written, report.deleted, to
    )
}

/// What somebody who is woken by an error of this class can do.
#[must_use]
pub fn advice(class: Class) -> &'static str {
    match class {
        Class::Transient | Class::Unknown => {
            "Nothing has to be changed: run it again, or let the schedule do it"
        }
        Class::Capacity => {
            "Make room on the server (disk, log, memory) or lower limits.batch, then run it again"
        }
        Class::Data => {
            "Correct the row at the source, or declare the column's type under columns or \
             on_special, then run it again; or let some rows be put aside with quarantine.max_rows"
        }
        Class::Schema => {
            "Compare both sides with `etl-job check`, correct the one that is wrong, then run it \
             again"
        }
        Class::Config => "Change the setting and look at it with `etl-job lint` and `check`",
        Class::Permission => {
            "Give the login what `etl-job check` says is missing; it is not tried again, so that \
             no account is locked"
        }
        Class::Fenced => {
            "Another run or a person took this pipeline over; see to it that only one schedule \
             runs it"
        }
        Class::Internal => {
            "This is a defect in this program: report it with this message; running it again does \
             no harm"
        }
    }
}

#[cfg(test)]
mod tests;
