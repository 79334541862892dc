//! `etl-job serve --metrics-only`, and what its page says.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::binary::{Running, get};

/// A served page.
pub(crate) struct Page {
    pub(crate) running: Running,
    pub(crate) address: String,
}

impl Page {
    /// Starts the command and waits until the page is served.
    pub(crate) fn start(command: Command) -> Self {
        let mut running = Running::start(command);
        let line: Value = serde_json::from_str(&running.wait_for("metrics are served")).unwrap();
        let address = line["address"].as_str().unwrap().to_owned();
        Self { running, address }
    }

    /// The status line and the body of a path.
    pub(crate) fn get(&self, path: &str) -> (String, String) {
        let (head, body) = get(&self.address, path);
        (head.lines().next().unwrap_or_default().to_owned(), body)
    }

    /// Every series of the ledger by its name and its own label's value, as in
    /// `etl_ledger_runs_total success`.
    pub(crate) fn ledger(&self) -> BTreeMap<String, f64> {
        let (head, page) = self.get("/metrics");
        assert!(head.contains("200"), "{head}: {page}");
        let series = page.lines().filter(|line| line.starts_with("etl_ledger_"));
        series
            .map(|line| {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let (name, labels) = series.split_once('{').unwrap();
                assert!(labels.contains("pipeline=") && labels.contains("stream="), "{line}");
                let own = labels.trim_end_matches('}').split(',').find_map(|label| {
                    label.strip_prefix("outcome=").or_else(|| label.strip_prefix("kind="))
                });
                let own = own.map(|own| format!(" {}", own.trim_matches('"')));
                (format!("{name}{}", own.unwrap_or_default()), value.parse().unwrap())
            })
            .collect()
    }

    /// The ledger's series once they are as wanted.
    pub(crate) fn wait(
        &self,
        what: &str,
        wanted: impl Fn(&BTreeMap<String, f64>) -> bool,
    ) -> BTreeMap<String, f64> {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let found = self.ledger();
            if wanted(&found) {
                return found;
            }
            assert!(Instant::now() < until, "{what} never came: {found:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until the ledger can be read.
    pub(crate) fn wait_up(&self) -> BTreeMap<String, f64> {
        self.wait("a ledger that can be read", |found| found["etl_ledger_up"] > 0.5)
    }

    /// Waits until it cannot be, and nothing else is shown.
    pub(crate) fn wait_down(&self) {
        let found = self.wait("a ledger that is down", |found| found["etl_ledger_up"] < 0.5);
        assert_eq!(found.len(), 1, "{found:?}");
    }

    /// SIGTERM ends it at once, with 0.
    pub(crate) fn stop(self) {
        let started = Instant::now();
        self.running.signal("TERM");
        self.running.end().expect(0);
        let took = started.elapsed();
        assert!(took < Duration::from_secs(5), "it took {took:?} to end");
    }
}
