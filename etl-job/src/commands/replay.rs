//! `etl-job replay`: what was put aside, shown or tried again.

use chrono::{DateTime, SecondsFormat};
use etl_core::connector::Stream;
use etl_core::{Entry, Result};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::build::{Wish, Work};
use crate::cli::Replay;
use crate::commands::{run, state};
use crate::config::{PipelineFile, Secrets};
use crate::exit;
use crate::report::{Output, within};
use crate::telemetry::Telemetry;

/// A row that lies in the quarantine, in the words of the published format.
#[derive(Serialize)]
struct Shown<'a> {
    pipeline: &'a str,
    stream: &'a str,
    /// The texts of the key's columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<Vec<String>>,
    column: Option<&'a str>,
    reason: &'a str,
    code: Option<&'a str>,
    attempts: u64,
    first_seen: String,
    last_seen: String,
}

/// Shows what was put aside, or tries it again; the worst exit code.
///
/// # Errors
/// If the file cannot be read; with `--list`, what the target says.
pub async fn replay(args: &Replay, telemetry: &Telemetry, stop: &CancellationToken) -> Result<u8> {
    let output = Output::new(args.json);
    let only = args.stream.as_deref();
    if args.list {
        // The source is not asked: a row that was put aside may outlive its table.
        let file = PipelineFile::load(&args.file, Secrets::OfTarget)?;
        return list(&file, only, !args.without_keys, output).await;
    }
    let file = PipelineFile::load(&args.file, Secrets::Required)?;
    let wish = Wish { work: Work::Replay, deadline: args.deadline };
    run::once(file, wish, only, telemetry, stop, output).await
}

async fn list(
    file: &PipelineFile,
    only: Option<&str>,
    with_keys: bool,
    output: Output,
) -> Result<u8> {
    let mut count = 0;
    for stream in &state::shown(file, only).await? {
        let mut entries = file.build_admin(stream)?.quarantined().await?;
        entries.sort_by(|a, b| a.rejected.key.cmp(&b.rejected.key));
        count += entries.len();
        for entry in &entries {
            let shown = shown(stream, entry, with_keys)?;
            output.print(&shown, &shown.text());
        }
    }
    if output == Output::Text {
        output.print(&count, &format!("{}: {count} rows in the quarantine", file.name()));
    }
    Ok(exit::DONE)
}

fn shown<'a>(stream: &'a Stream, entry: &'a Entry, with_keys: bool) -> Result<Shown<'a>> {
    let rejected = &entry.rejected;
    Ok(Shown {
        pipeline: &stream.pipeline,
        stream: &stream.name,
        key: with_keys.then(|| rejected.key.parts()).transpose()?,
        column: rejected.column.as_deref(),
        reason: &rejected.reason,
        code: rejected.code.as_deref(),
        attempts: entry.attempts,
        first_seen: time(entry.first_seen_micros),
        last_seen: time(entry.last_seen_micros),
    })
}

fn time(micros: i64) -> String {
    DateTime::from_timestamp_micros(micros)
        .map_or_else(String::new, |at| at.to_rfc3339_opts(SecondsFormat::Secs, true))
}

impl Shown<'_> {
    /// The same for people.
    fn text(&self) -> String {
        // As JSON: a key may hold a line's end.
        let key = self.key.as_ref().map(|key| serde_json::json!(key).to_string());
        let key = key.map_or_else(String::new, |key| format!(" key {key}"));
        let column = self.column.map_or_else(String::new, |column| format!(" column {column}"));
        let code = self.code.map_or_else(String::new, |code| format!(" [code {code}]"));
        format!(
            "{}/{}:{key}{column}: {}{code}\n  attempts {}, first {}, last {}",
            self.pipeline,
            self.stream,
            within(self.reason),
            self.attempts,
            self.first_seen,
            self.last_seen
        )
    }
}
