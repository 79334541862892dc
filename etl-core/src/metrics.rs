//! Every instrument, in one table: name, kind, unit, meaning.

mod ledger;

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};

use crate::batch::{Batch, Progress};
use crate::error::Class;
use crate::sink::{Counts, Outcome, RunReport};

pub use ledger::LedgerMetrics;

/// What an instrument is, for documents and dashboards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instrument {
    /// The name as OpenTelemetry has it.
    pub name: &'static str,
    /// The name as Prometheus shows it.
    pub prometheus: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// The unit, after UCUM.
    pub unit: &'static str,
    /// The labels besides `pipeline` and `stream`.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub meaning: &'static str,
}

macro_rules! instruments {
    ($($constant:ident = $name:literal, $prometheus:literal, $kind:literal, $unit:literal, $labels:expr, $meaning:literal;)*) => {
        $(const $constant: Instrument = Instrument {
            name: $name, prometheus: $prometheus, kind: $kind, unit: $unit, labels: &$labels, meaning: $meaning,
        };)*
        /// Every instrument of this workspace.
        pub const INSTRUMENTS: &[Instrument] = &[$($constant),*];
    };
}

instruments! {
    ROWS = "etl.rows", "etl_rows_total", "counter", "{row}", ["kind"],
        "Rows by kind: read, reread, inserted, updated, deleted, unchanged, quarantined.";
    BATCHES = "etl.batches", "etl_batches_total", "counter", "{batch}", [],
        "Batches made durable.";
    BYTES = "etl.carried", "etl_carried_bytes_total", "counter", "By", [],
        "Bytes of rows made durable, as they lay in memory.";
    COMMIT = "etl.commit.duration", "etl_commit_duration_seconds", "histogram", "s", [],
        "Time to make one batch durable, tries included.";
    RETRIES = "etl.retries", "etl_retries_total", "counter", "{retry}", ["class"],
        "Tries that failed and were repeated, by error class.";
    HORIZON_AGE = "etl.source.horizon.age", "etl_source_horizon_age_seconds", "gauge", "s", [],
        "How far the source's settled horizon was behind this clock when a run last ended with success.";
    LAST_SUCCESS = "etl.last_success.time", "etl_last_success_time_seconds", "gauge", "s", [],
        "When a run last ended with success, seconds since 1970 UTC.";
    RUNS = "etl.runs", "etl_runs_total", "counter", "{run}", ["outcome"],
        "Runs by outcome: success, stopped, skipped, fenced, failed, replayed.";
    RUN_DURATION = "etl.run.duration", "etl_run_duration_seconds", "gauge", "s", [],
        "How long the last run took.";
    TLS_UNVERIFIED = "etl.tls_unverified", "etl_tls_unverified", "gauge", "{flag}", ["side"],
        "1 while a side's certificate is not verified, because the config says so.";
    LEDGER_UP = "etl.ledger.up", "etl_ledger_up", "gauge", "{flag}", [],
        "1 if the target's ledger could be read the last time; else 0, and every other etl_ledger series of the stream is away.";
    LEDGER_LAST_SUCCESS = "etl.ledger.last_success.time", "etl_ledger_last_success_time_seconds", "gauge", "s", [],
        "When the last successful run ended, seconds since 1970 UTC; away if none ever did.";
    LEDGER_LAST_RUN = "etl.ledger.last_run.time", "etl_ledger_last_run_time_seconds", "gauge", "s", [],
        "When the last run that was not skipped began, seconds since 1970 UTC.";
    LEDGER_LAST_DURATION = "etl.ledger.last_run.duration", "etl_ledger_last_run_duration_seconds", "gauge", "s", [],
        "How long the last run took that ended and was neither skipped nor killed.";
    LEDGER_HORIZON = "etl.ledger.source_horizon.time", "etl_ledger_source_horizon_time_seconds", "gauge", "s", [],
        "The source's clock up to which everything is in the target, seconds since 1970 UTC.";
    LEDGER_FRESHNESS = "etl.ledger.freshness", "etl_ledger_freshness_seconds", "gauge", "s", [],
        "The target's clock less the horizon of the last success; away if there was none.";
    LEDGER_CHECKPOINT_AGE = "etl.ledger.checkpoint.age", "etl_ledger_checkpoint_age_seconds", "gauge", "s", [],
        "How long ago the checkpoint was last changed, by the target's clock.";
    LEDGER_RUNS = "etl.ledger.runs", "etl_ledger_runs_total", "counter", "{run}", ["outcome"],
        "Runs in the ledger by outcome: success, stopped, skipped, fenced, failed, abandoned, replayed.";
    LEDGER_ROWS = "etl.ledger.rows", "etl_ledger_rows_total", "counter", "{row}", ["kind"],
        "Rows of all runs in the ledger by kind: read, written, deleted, unchanged, reread, quarantined.";
    LEDGER_QUARANTINED = "etl.ledger.quarantined_rows", "etl_ledger_quarantined_rows", "gauge", "{row}", [],
        "Rows that are put aside now.";
    LEDGER_FAILURES = "etl.ledger.failures_since_success", "etl_ledger_failures_since_success", "gauge", "{run}", [],
        "Runs that failed, were fenced or were killed since the last success.";
    LEDGER_LEASE_HELD = "etl.ledger.lease_held", "etl_ledger_lease_held", "gauge", "{flag}", [],
        "1 while a run holds the pipeline's lease.";
}

/// The instruments of one pipeline's stream.
#[derive(Clone)]
pub struct Metrics {
    labels: Vec<KeyValue>,
    rows: Counter<u64>,
    batches: Counter<u64>,
    bytes: Counter<u64>,
    commit: Histogram<f64>,
    retries: Counter<u64>,
    horizon_age: Gauge<f64>,
    last_success: Gauge<f64>,
    runs: Counter<u64>,
    run_duration: Gauge<f64>,
    tls_unverified: Gauge<u64>,
}

/// 1 ms to 5 min: a commit of a few rows on a near server to one of a full batch on a busy one.
const COMMIT_BOUNDS: [f64; 12] =
    [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0];

impl Metrics {
    /// Instruments of `meter`, labelled with the pipeline and the stream.
    #[must_use]
    pub fn new(meter: &Meter, pipeline: &str, stream: &str) -> Self {
        let counter = |of: Instrument| {
            meter.u64_counter(of.name).with_unit(of.unit).with_description(of.meaning).build()
        };
        let gauge = |of: Instrument| {
            meter.f64_gauge(of.name).with_unit(of.unit).with_description(of.meaning).build()
        };
        Self {
            labels: vec![
                KeyValue::new("pipeline", pipeline.to_owned()),
                KeyValue::new("stream", stream.to_owned()),
            ],
            rows: counter(ROWS),
            batches: counter(BATCHES),
            bytes: counter(BYTES),
            commit: meter
                .f64_histogram(COMMIT.name)
                .with_unit(COMMIT.unit)
                .with_description(COMMIT.meaning)
                .with_boundaries(COMMIT_BOUNDS.to_vec())
                .build(),
            retries: counter(RETRIES),
            horizon_age: gauge(HORIZON_AGE),
            last_success: gauge(LAST_SUCCESS),
            runs: counter(RUNS),
            run_duration: gauge(RUN_DURATION),
            tls_unverified: meter
                .u64_gauge(TLS_UNVERIFIED.name)
                .with_unit(TLS_UNVERIFIED.unit)
                .with_description(TLS_UNVERIFIED.meaning)
                .build(),
        }
    }

    /// Instruments that nobody reads.
    #[must_use]
    pub fn none() -> Self {
        let provider = opentelemetry::metrics::noop::NoopMeterProvider::new();
        Self::new(&opentelemetry::metrics::MeterProvider::meter(&provider, "etl"), "", "")
    }

    fn with(&self, key: &'static str, value: &'static str) -> Vec<KeyValue> {
        let mut labels = self.labels.clone();
        labels.push(KeyValue::new(key, value));
        labels
    }

    /// A batch is durable.
    pub fn committed(&self, batch: &Batch, counts: &Counts, took: Duration) {
        self.progress(&batch.progress);
        self.batches.add(1, &self.labels);
        let aside = u64::try_from(batch.aside.put.len()).unwrap_or(u64::MAX);
        self.rows.add(aside, &self.with("kind", "quarantined"));
        self.bytes.add(u64::try_from(batch.changes.bytes()).unwrap_or(u64::MAX), &self.labels);
        self.applied(counts, took);
    }

    /// Rows of the target became durable.
    pub fn applied(&self, counts: &Counts, took: Duration) {
        for (kind, rows) in [
            ("inserted", counts.inserted),
            ("updated", counts.updated),
            ("deleted", counts.deleted),
            ("unchanged", counts.unchanged),
        ] {
            self.rows.add(rows, &self.with("kind", kind));
        }
        self.commit.record(took.as_secs_f64(), &self.labels);
    }

    fn progress(&self, progress: &Progress) {
        self.rows.add(progress.read, &self.with("kind", "read"));
        self.rows.add(progress.reread, &self.with("kind", "reread"));
    }

    /// Something failed and is tried again.
    pub fn retried(&self, class: Class) {
        self.retries.add(1, &self.with("class", class.as_str()));
    }

    /// A run ended.
    pub fn finished(&self, report: &RunReport) {
        self.runs.add(1, &self.with("outcome", report.outcome.as_str()));
        self.run_duration.record(report.duration.as_secs_f64(), &self.labels);
        if let Some(horizon) = report.horizon_micros {
            let age = chrono::Utc::now().timestamp_micros().saturating_sub(horizon);
            let age = Duration::from_micros(u64::try_from(age).unwrap_or(0));
            self.horizon_age.record(age.as_secs_f64(), &self.labels);
        }
        if report.outcome == Outcome::Success {
            let now = chrono::Utc::now().timestamp_micros();
            let now = Duration::from_micros(u64::try_from(now).unwrap_or(0));
            self.last_success.record(now.as_secs_f64(), &self.labels);
        }
    }

    /// A side's certificate is verified, or by configuration not.
    pub fn tls_unverified(&self, side: &'static str, unverified: bool) {
        self.tls_unverified.record(u64::from(unverified), &self.with("side", side));
    }
}
