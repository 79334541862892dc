//! One line per event on stderr: JSON for machines, short text on a terminal.

use std::fmt::{self, Write as _};
use std::io::{IsTerminal, Write as _};

use chrono::{SecondsFormat, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::{LookupSpan, Scope};
use tracing_subscriber::util::SubscriberInitExt;

use crate::report::{ascii_controls, safe};
use crate::secrets;
use crate::telemetry::filter::filter;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// One JSON object per line.
    Json,
    /// `time level message key=value`.
    Text,
}

impl Style {
    /// Text if stderr is a terminal.
    #[must_use]
    pub fn of_stderr() -> Self {
        if std::io::stderr().is_terminal() { Self::Text } else { Self::Json }
    }
}

/// Logs go to stderr from now on. A second call changes nothing.
pub fn init(style: Style) {
    let wanted = std::env::var("RUST_LOG").ok();
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .fmt_fields(JsonFields::new())
        .event_format(style);
    let subscriber = tracing_subscriber::registry().with(layer).with(filter(wanted.as_deref()));
    // The only error is that somebody has set one already.
    subscriber.try_init().ok();
}

/// A panic becomes one JSON line, without a backtrace that nobody parses.
pub fn panics_to_json() {
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let message = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        let place = panic.location().map_or_else(String::new, ToString::to_string);
        // Nobody left to read it is no reason to panic while panicking.
        writeln!(std::io::stderr().lock(), "{}", panic_line(&place, &message)).ok();
    }));
}

fn panic_line(place: &str, message: &str) -> String {
    let line = json!({
        "timestamp": now(),
        "level": "ERROR",
        "message": safe(&format!("a defect: panicked at {place}: {message}")),
        "target": "panic",
    });
    line.to_string()
}

fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true)
}

impl<S> FormatEvent<S, JsonFields> for Style
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            let extensions = span.extensions();
            let Some(text) = extensions.get::<FormattedFields<JsonFields>>() else { continue };
            // Span fields were written as JSON by the same layer.
            if let Ok(Value::Object(map)) = serde_json::from_str(text.fields.as_str()) {
                fields.map.extend(map);
            }
        }
        event.record(&mut fields);
        let metadata = event.metadata();
        match self {
            Self::Json => {
                let line = Line {
                    timestamp: now(),
                    level: metadata.level().as_str(),
                    message: fields.message,
                    target: metadata.target(),
                    fields: fields.map,
                };
                let line = serde_json::to_string(&line).map_err(|_| fmt::Error)?;
                let line = secrets::redact(&line);
                writeln!(writer, "{}", ascii_controls(&line))
            }
            Self::Text => {
                let time = Utc::now().format("%H:%M:%S");
                let mut line = format!("{time} {:5} {}", metadata.level(), fields.message);
                for (name, value) in &fields.map {
                    write!(line, " {name}={value}")?;
                }
                // The first two take the progress line away, if one stands there.
                writeln!(writer, "\r\u{1b}[K{}", safe(&line.replace('\n', " ")))
            }
        }
    }
}

/// A line, in the order in which people read it.
#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    level: &'a str,
    message: String,
    target: &'a str,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

/// An event's fields as JSON values, the message apart.
#[derive(Default)]
struct Fields {
    message: String,
    map: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = safe_text(&text),
            ("message", other) => self.message = other.to_string(),
            // They would stand there twice.
            ("timestamp" | "level" | "target", _) => {}
            (name, Value::String(text)) => {
                self.map.insert(name.to_owned(), safe_text(&text).into());
            }
            (name, other) => {
                self.map.insert(name.to_owned(), other);
            }
        }
    }
}

/// Written out before it becomes JSON, so that it stays harmless after it was parsed.
fn safe_text(text: &str) -> String {
    safe(text)
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(style: Style, log: impl FnOnce()) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .fmt_fields(JsonFields::new())
            .event_format(style);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_line_is_flat_json_with_the_run_and_the_stream() {
        let line = logged(Style::Json, || {
            let span = tracing::info_span!("run", pipeline = "shop", stream = "orders", run = "r1");
            let _inside = span.enter();
            tracing::warn!(tries = 3, code = "40001", "trying again");
        });
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["message"], "trying again");
        assert_eq!((&line["pipeline"], &line["stream"]), (&json!("shop"), &json!("orders")));
        assert_eq!((&line["run"], &line["tries"]), (&json!("r1"), &json!(3)));
        assert_eq!(line["level"], "WARN");
        let time = line["timestamp"].as_str().unwrap();
        assert!(
            chrono::DateTime::parse_from_rfc3339(time).is_ok() && time.ends_with('Z'),
            "{time}"
        );
    }

    #[test]
    fn a_message_cannot_steer_the_terminal_nor_forge_a_line() {
        let hostile = "a\u{1b}[2Jb\u{202e}c\nd";
        let json = logged(Style::Json, || tracing::info!(key = hostile, "{hostile}"));
        assert_eq!(json.lines().count(), 1);
        let parsed: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(parsed["message"], "a\\u{1b}[2Jb\\u{202e}c\nd");
        assert_eq!(parsed["key"], "a\\u{1b}[2Jb\\u{202e}c\nd");
        let text = logged(Style::Text, || tracing::info!("{hostile}"));
        assert_eq!(text.matches('\u{1b}').count(), 1, "{text:?}");
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn a_panic_is_one_line_without_secrets() {
        secrets::remember("canary-in-panic");
        let line = panic_line("a.rs:1:2", "no \u{1b}[1m\nuse for canary-in-panic");
        assert_eq!(line.lines().count(), 1);
        let parsed: Value = serde_json::from_str(&line).unwrap();
        let expected = "a defect: panicked at a.rs:1:2: no \\u{1b}[1m\nuse for [secret]";
        assert_eq!(parsed["message"], expected);
    }

    #[test]
    fn a_secret_is_not_logged() {
        secrets::remember("canary-in-logs");
        let line = logged(Style::Json, || {
            tracing::error!(url = "postgres://u:canary-in-logs@h", "to {}", "canary-in-logs");
        });
        assert!(!line.contains("canary"), "{line}");
    }
}
