//! One stream's ledger, read again and again, and whether that goes on.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use etl_core::connector::Stream;
use etl_core::ledger::Ledger;
use etl_core::metrics::LedgerMetrics;
use etl_core::sink::SinkAdmin;
use etl_core::{Class, Error, Result};
use serde_json::Value;
use tokio::time::{MissedTickBehavior, timeout};

use crate::config::{PipelineFile, Secrets};
use crate::report;
use crate::telemetry::Health;

/// No reading takes longer; it may have to wait until a commit gives its locks back.
const READ_LIMIT: Duration = Duration::from_secs(30);

/// Credentials that were refused are not tried again before, unless they change: repeated
/// refusals lock the account.
const REFUSED_PAUSE: Duration = Duration::from_mins(5);

/// So many periods without a beat, and the time of a reading, are a loop that stands still.
const MISSED_BEATS: u32 = 4;

/// Reads one stream's ledger.
pub(super) struct Watch {
    path: PathBuf,
    stream: String,
    metrics: LedgerMetrics,
    /// Holds the connection; gone after an error.
    admin: Option<Box<dyn SinkAdmin>>,
    /// The target's settings that it was built with.
    settings: Value,
    /// When those settings were refused.
    refused: Option<Instant>,
    /// What the last reading failed with, so that it is told once.
    told: Option<String>,
}

impl Watch {
    /// For a stream of a file; opens no connection.
    ///
    /// # Errors
    /// `Config` if the target's settings are wrong.
    pub(super) fn new(
        file: &PipelineFile,
        stream: &Stream,
        metrics: LedgerMetrics,
    ) -> Result<Self> {
        let admin = Some(file.build_admin(stream)?);
        let (path, stream) = (file.path().to_owned(), stream.name.clone());
        let settings = file.target().value().clone();
        Ok(Self { path, stream, metrics, admin, settings, refused: None, told: None })
    }

    /// Reads every so often, until the task is ended.
    pub(super) async fn forever(mut self, every: Duration, pulses: Arc<Pulses>, index: usize) {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            pulses.beat(index);
            let read = match timeout(READ_LIMIT, self.read()).await {
                Ok(read) => read,
                Err(_) => Err(Error::transient(format!(
                    "reading the ledger took longer than {} s",
                    READ_LIMIT.as_secs()
                ))),
            };
            self.show(read);
            pulses.looked(index);
        }
    }

    /// Reads over the connection at hand, or a new one; `None` if these credentials were refused
    /// and it is too early to try them again.
    async fn read(&mut self) -> Result<Option<Ledger>> {
        let admin = match self.admin.take() {
            Some(admin) => Some(admin),
            None => self.build()?,
        };
        let Some(mut admin) = admin else { return Ok(None) };
        let ledger = admin.ledger().await?;
        self.admin = Some(admin);
        ledger.map(Some).ok_or_else(|| {
            Error::config(
                "the pipeline has no ledger: it was never prepared, or this login may not see it; \
                 run mssql-init (`etl-job prepare` for other targets)",
            )
        })
    }

    /// From the file as it is now: it may name secrets that were rotated.
    fn build(&mut self) -> Result<Option<Box<dyn SinkAdmin>>> {
        let file = PipelineFile::load(&self.path, Secrets::OfTarget)?;
        let early = self.refused.is_some_and(|at| at.elapsed() < REFUSED_PAUSE);
        if early && self.settings == *file.target().value() {
            return Ok(None);
        }
        self.refused = None;
        self.settings = file.target().value().clone();
        file.build_admin(&file.unseen(&self.stream)?).map(Some)
    }

    /// A failure is told when it begins or changes, and its end.
    fn show(&mut self, read: Result<Option<Ledger>>) {
        match read {
            // As it was, and told.
            Ok(None) => {}
            Ok(Some(ledger)) => {
                self.metrics.read(ledger);
                if self.told.take().is_some() {
                    tracing::info!("the ledger is read again");
                }
            }
            Err(error) => {
                self.metrics.unreadable();
                if error.class() == Class::Permission && self.refused.is_none() {
                    self.refused = Some(Instant::now());
                }
                let text = report::error(&error);
                if self.told.as_ref() != Some(&text) {
                    tracing::warn!(
                        class = error.class().as_str(),
                        code = error.code(),
                        "the ledger cannot be read: {text}"
                    );
                    self.told = Some(text);
                }
            }
        }
    }
}

/// When each stream's loop last went round, and whether it has looked at its ledger.
pub(super) struct Pulses {
    patience: Duration,
    streams: Mutex<Vec<Pulse>>,
}

#[derive(Clone)]
struct Pulse {
    beat: Instant,
    looked: bool,
}

impl Pulses {
    pub(super) fn new(every: Duration) -> Self {
        Self { patience: READ_LIMIT + every * MISSED_BEATS, streams: Mutex::default() }
    }

    /// One more stream; its index.
    pub(super) fn add(&self) -> usize {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.push(Pulse { beat: Instant::now(), looked: false });
        streams.len() - 1
    }

    fn beat(&self, index: usize) {
        self.change(index, |pulse| pulse.beat = Instant::now());
    }

    fn looked(&self, index: usize) {
        self.change(index, |pulse| pulse.looked = true);
    }

    fn change(&self, index: usize, change: impl FnOnce(&mut Pulse)) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pulse) = streams.get_mut(index) {
            change(pulse);
        }
    }

    fn all(&self, good: impl Fn(&Pulse) -> bool, otherwise: &str) -> Result<(), String> {
        let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if streams.iter().all(good) { Ok(()) } else { Err(otherwise.to_owned()) }
    }
}

impl Health for Pulses {
    fn alive(&self) -> Result<(), String> {
        self.all(|pulse| pulse.beat.elapsed() <= self.patience, "reading the ledger stands still")
    }

    /// Ready once each ledger was looked at, whatever was found. A target that is down must not
    /// make the page unready: who is not ready gets no scrapes through a Service, and
    /// `etl_ledger_up 0`, which is to raise the alarm, would not be seen.
    fn ready(&self) -> Result<(), String> {
        self.all(|pulse| pulse.looked, "a ledger was not looked at yet")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_stands_still_is_not_alive() {
        let pulses = Pulses::new(Duration::from_secs(1));
        assert_eq!([pulses.add(), pulses.add()], [0, 1]);
        assert_eq!(pulses.alive(), Ok(()));
        let long_ago = Instant::now().checked_sub(Duration::from_secs(35)).unwrap();
        pulses.change(1, |pulse| pulse.beat = long_ago);
        assert!(pulses.alive().is_err(), "one of two loops stands still");
        pulses.beat(1);
        assert_eq!(pulses.alive(), Ok(()));
    }

    #[test]
    fn the_page_is_ready_once_every_ledger_was_looked_at() {
        let pulses = Pulses::new(Duration::from_secs(1));
        assert_eq!([pulses.add(), pulses.add()], [0, 1]);
        assert!(pulses.ready().is_err());
        pulses.looked(0);
        assert!(pulses.ready().is_err());
        pulses.looked(1);
        assert_eq!(pulses.ready(), Ok(()));
    }
}
