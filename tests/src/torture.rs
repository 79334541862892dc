//! What the fault tests count, and the file and the table that it becomes.
//!
//! Every fault test counts into a [`Tally`] and ends its [`Recorder`], which writes the figures
//! where `ETL_FAULTS_DIR` says. Nobody types a figure.

mod table;
mod tally;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};

pub use table::{MARKS, NOTHING_YET, page_with, table};
pub use tally::{Rows, Tally};

/// What one test has seen, as the file has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The test.
    pub name: String,
    /// Runs of a pipeline.
    pub runs: u64,
    /// Faults that struck.
    pub faults: u64,
    /// Rows that were compared by content.
    pub rows: u64,
    /// Rows that were missing.
    pub lost: u64,
    /// Rows that were there once more than they should be, or with another content.
    pub twice: u64,
    /// Runs that did not end in their time.
    pub hangs: u64,
    /// Whether something went wrong in every control of the test; null without one.
    pub control_caught: Option<bool>,
    /// The controls: the same test with a safeguard taken out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub controls: Vec<Control>,
    /// How long it took.
    pub seconds: u64,
    /// The commit, where it is another than the others'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// What a control has seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// The safeguard that was taken out.
    pub without: String,
    /// Faults that struck.
    pub faults: u64,
    /// Rows that were missing.
    pub lost: u64,
    /// Rows that were there too often.
    pub twice: u64,
    /// Runs that did not end in their time, of a control that must show that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hangs: Option<u64>,
}

impl Control {
    /// Whether the test has seen that something is wrong.
    #[must_use]
    pub fn caught(&self) -> bool {
        self.hangs.unwrap_or(self.lost + self.twice) > 0
    }
}

/// The file: when and with what it was made, and every test's entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// The day, UTC.
    pub day: String,
    /// The commit that was tested.
    pub commit: String,
    /// The servers.
    pub servers: String,
    /// The tests, by name.
    pub tests: Vec<Entry>,
}

/// Whether the long tests are wanted: `ETL_TORTURE=long`.
#[must_use]
pub fn is_long() -> bool {
    std::env::var("ETL_TORTURE").is_ok_and(|text| text == "long")
}

/// How much of something: as much as CI has time for, or as the long run wants.
#[must_use]
pub fn size(bounded: u64, long: u64) -> u64 {
    if is_long() { long } else { bounded }
}

/// A control that was begun.
struct Planted {
    without: String,
    tally: Arc<Tally>,
    hangs: bool,
}

/// One test's figures.
pub struct Recorder {
    name: String,
    began: Instant,
    promise: Arc<Tally>,
    controls: Mutex<Vec<Planted>>,
}

impl Recorder {
    /// Nothing was seen yet.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            began: Instant::now(),
            promise: Arc::new(Tally::new(name)),
            controls: Mutex::default(),
        }
    }

    /// Where the test itself counts.
    #[must_use]
    pub fn promise(&self) -> Arc<Tally> {
        Arc::clone(&self.promise)
    }

    /// Where a control counts: the same test without a safeguard, which must lose or double rows.
    #[must_use]
    pub fn control(&self, without: &str) -> Arc<Tally> {
        self.plant(without, false)
    }

    /// The same of a control that must not end in its time.
    #[must_use]
    pub fn control_that_hangs(&self, without: &str) -> Arc<Tally> {
        self.plant(without, true)
    }

    fn plant(&self, without: &str, hangs: bool) -> Arc<Tally> {
        let tally = Arc::new(Tally::control());
        let mut controls = self.controls.lock().unwrap_or_else(PoisonError::into_inner);
        let planted = Planted { without: without.to_owned(), tally: Arc::clone(&tally), hangs };
        controls.push(planted);
        tally
    }

    /// Writes the figures and judges them.
    ///
    /// # Panics
    /// If a row was lost or came twice, a run hung, no fault struck, or a control went unnoticed:
    /// then the test proves nothing.
    pub fn end(self) {
        let entry = self.entry();
        println!("{}", serde_json::to_string(&entry).unwrap_or_default());
        if let Some(folder) = std::env::var_os("ETL_FAULTS_DIR") {
            write(Path::new(&folder), &entry);
        }
        assert_eq!((entry.lost, entry.twice, entry.hangs), (0, 0, 0), "{}", entry.name);
        assert!(entry.faults > 0, "{}: no fault struck, so this proves nothing", entry.name);
        assert!(entry.rows > 0, "{}: no row was compared, so this proves nothing", entry.name);
        for control in &entry.controls {
            assert!(control.caught(), "{}: not noticed: {control:?}", entry.name);
        }
    }

    fn entry(&self) -> Entry {
        let figures = self.promise.figures();
        let controls = self.controls.lock().unwrap_or_else(PoisonError::into_inner);
        let controls: Vec<_> = controls
            .iter()
            .map(|planted| {
                let figures = planted.tally.figures();
                Control {
                    without: planted.without.clone(),
                    faults: figures.faults,
                    lost: figures.lost,
                    twice: figures.twice,
                    hangs: planted.hangs.then_some(figures.hangs),
                }
            })
            .collect();
        Entry {
            name: self.name.clone(),
            runs: figures.runs,
            faults: figures.faults,
            rows: figures.rows,
            lost: figures.lost,
            twice: figures.twice,
            hangs: figures.hangs,
            control_caught: (!controls.is_empty()).then(|| controls.iter().all(Control::caught)),
            controls,
            seconds: self.began.elapsed().as_secs(),
            commit: std::env::var("ETL_TORTURE_COMMIT").ok(),
        }
    }
}

#[expect(clippy::expect_used, reason = "figures that get lost were measured for nothing")]
fn write(folder: &Path, entry: &Entry) {
    std::fs::create_dir_all(folder).expect("the folder of ETL_FAULTS_DIR");
    let name: String =
        entry.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let text = serde_json::to_string_pretty(entry).expect("figures as JSON");
    std::fs::write(folder.join(format!("{name}.json")), text).expect("a file of figures");
}

/// The entries that the tests wrote into a folder, by name.
///
/// # Errors
/// If a file cannot be read.
pub fn read(folder: &Path) -> anyhow::Result<Vec<Entry>> {
    let mut entries = BTreeMap::new();
    for file in std::fs::read_dir(folder)? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let entry: Entry = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
            entries.insert(entry.name.clone(), entry);
        }
    }
    Ok(entries.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_is_caught_by_what_it_must_show_and_nothing_else() {
        let record = Recorder::new("a test");
        record.control("a clause").hang("beside the point");
        record.control_that_hangs("a request").wrong(1, 1, "beside the point");
        record.control("another clause").wrong(0, 1, "twice");
        record.control_that_hangs("another request").hang("deaf");
        let caught: Vec<_> = record.entry().controls.iter().map(Control::caught).collect();
        assert_eq!(caught, [false, false, true, true]);
    }
}
