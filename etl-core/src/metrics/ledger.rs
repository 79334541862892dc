//! What a stream's ledger says, as series that are there only while it can be read.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

use super::{
    Instrument, LEDGER_CHECKPOINT_AGE, LEDGER_FAILURES, LEDGER_FRESHNESS, LEDGER_HORIZON,
    LEDGER_LAST_DURATION, LEDGER_LAST_RUN, LEDGER_LAST_SUCCESS, LEDGER_LEASE_HELD,
    LEDGER_QUARANTINED, LEDGER_ROWS, LEDGER_RUNS, LEDGER_UP,
};
use crate::ledger::Ledger;

/// The series of one stream's ledger.
///
/// A gauge that is set keeps its value for ever, and a dead target would look healthy: so every
/// series is asked for when somebody looks, and is away unless the last reading worked.
#[derive(Debug, Clone)]
pub struct LedgerMetrics {
    last: Arc<Mutex<Option<Reading>>>,
}

/// The figures, and when they were read: ages go on until they are read again.
#[derive(Debug)]
struct Reading {
    ledger: Ledger,
    at: Instant,
}

impl LedgerMetrics {
    /// Series of `meter`, labelled with the pipeline and the stream; once for each stream. Before
    /// the first reading the ledger counts as one that cannot be read.
    #[must_use]
    pub fn new(meter: &Meter, pipeline: &str, stream: &str) -> Self {
        let series = Series {
            meter,
            labels: vec![
                KeyValue::new("pipeline", pipeline.to_owned()),
                KeyValue::new("stream", stream.to_owned()),
            ],
            last: Arc::default(),
        };
        series.up();
        series.seconds(LEDGER_LAST_SUCCESS, |last| last.ledger.last_success_micros.map(seconds));
        series.seconds(LEDGER_LAST_RUN, |last| last.ledger.last_run_micros.map(seconds));
        series.seconds(LEDGER_LAST_DURATION, |last| {
            last.ledger.last_run_duration.map(|duration| duration.as_secs_f64())
        });
        series.seconds(LEDGER_HORIZON, |last| last.ledger.source_horizon_micros.map(seconds));
        series.seconds(LEDGER_FRESHNESS, |last| {
            last.ledger.source_horizon_micros.map(|horizon| last.age(horizon))
        });
        series.seconds(LEDGER_CHECKPOINT_AGE, |last| Some(last.age(last.ledger.checkpoint_micros)));
        series.number(LEDGER_QUARANTINED, |ledger| ledger.quarantined);
        series.number(LEDGER_FAILURES, |ledger| ledger.failures_since_success);
        series.number(LEDGER_LEASE_HELD, |ledger| u64::from(ledger.lease_held));
        series.counts(LEDGER_RUNS, "outcome", |ledger| ledger.runs.by_outcome());
        series.counts(LEDGER_ROWS, "kind", |ledger| ledger.rows.by_kind());
        Self { last: series.last }
    }

    /// The ledger was read.
    pub fn read(&self, ledger: Ledger) {
        *lock(&self.last) = Some(Reading { ledger, at: Instant::now() });
    }

    /// The ledger could not be read.
    pub fn unreadable(&self) {
        *lock(&self.last) = None;
    }
}

impl Reading {
    /// How long ago a moment of the target's clock is, now.
    fn age(&self, micros: i64) -> f64 {
        let then = seconds(self.ledger.now_micros.saturating_sub(micros));
        then + self.at.elapsed().as_secs_f64()
    }
}

/// Builds instruments that all show one reading.
struct Series<'a> {
    meter: &'a Meter,
    labels: Vec<KeyValue>,
    last: Arc<Mutex<Option<Reading>>>,
}

impl Series<'_> {
    fn up(&self) {
        let (labels, last) = (self.labels.clone(), Arc::clone(&self.last));
        self.meter
            .u64_observable_gauge(LEDGER_UP.name)
            .with_unit(LEDGER_UP.unit)
            .with_description(LEDGER_UP.meaning)
            .with_callback(move |observer| {
                observer.observe(u64::from(lock(&last).is_some()), &labels);
            })
            .build();
    }

    fn seconds(&self, of: Instrument, figure: fn(&Reading) -> Option<f64>) {
        let (labels, last) = (self.labels.clone(), Arc::clone(&self.last));
        self.meter
            .f64_observable_gauge(of.name)
            .with_unit(of.unit)
            .with_description(of.meaning)
            .with_callback(move |observer| {
                if let Some(value) = lock(&last).as_ref().and_then(figure) {
                    observer.observe(value, &labels);
                }
            })
            .build();
    }

    fn number(&self, of: Instrument, figure: fn(&Ledger) -> u64) {
        let (labels, last) = (self.labels.clone(), Arc::clone(&self.last));
        self.meter
            .u64_observable_gauge(of.name)
            .with_unit(of.unit)
            .with_description(of.meaning)
            .with_callback(move |observer| {
                if let Some(reading) = lock(&last).as_ref() {
                    observer.observe(figure(&reading.ledger), &labels);
                }
            })
            .build();
    }

    fn counts<const WORDS: usize>(
        &self,
        of: Instrument,
        label: &'static str,
        figures: fn(&Ledger) -> [(&'static str, u64); WORDS],
    ) {
        let (labels, last) = (self.labels.clone(), Arc::clone(&self.last));
        self.meter
            .u64_observable_counter(of.name)
            .with_unit(of.unit)
            .with_description(of.meaning)
            .with_callback(move |observer| {
                let Some(figures) = lock(&last).as_ref().map(|reading| figures(&reading.ledger))
                else {
                    return;
                };
                for (word, count) in figures {
                    let mut labels = labels.clone();
                    labels.push(KeyValue::new(label, word));
                    observer.observe(count, &labels);
                }
            })
            .build();
    }
}

fn lock(last: &Mutex<Option<Reading>>) -> std::sync::MutexGuard<'_, Option<Reading>> {
    last.lock().unwrap_or_else(PoisonError::into_inner)
}

fn seconds(micros: i64) -> f64 {
    let seconds = Duration::from_micros(micros.unsigned_abs()).as_secs_f64();
    if micros < 0 { -seconds } else { seconds }
}
