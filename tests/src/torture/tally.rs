//! Counting, from several tasks at once.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Rows as text, in any order.
pub type Rows = Vec<Vec<Option<String>>>;

/// What was seen so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Figures {
    pub(super) runs: u64,
    pub(super) faults: u64,
    pub(super) rows: u64,
    pub(super) lost: u64,
    pub(super) twice: u64,
    pub(super) hangs: u64,
}

/// Counts runs, faults, rows and what is wrong with them.
#[derive(Debug)]
pub struct Tally {
    /// Whose loss is told at once; of a control it is wanted.
    told: Option<String>,
    figures: Mutex<Figures>,
}

impl Tally {
    pub(super) fn new(name: &str) -> Self {
        Self { told: Some(name.to_owned()), figures: Mutex::default() }
    }

    pub(super) fn control() -> Self {
        Self { told: None, figures: Mutex::default() }
    }

    pub(super) fn figures(&self) -> Figures {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Figures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts runs of a pipeline.
    pub fn runs(&self, count: u64) {
        self.lock().runs += count;
    }

    /// Counts faults that struck.
    pub fn faults(&self, count: u64) {
        self.lock().faults += count;
    }

    /// Counts rows that somebody else compared.
    pub fn rows(&self, count: u64) {
        self.lock().rows += count;
    }

    /// How many faults have struck.
    #[must_use]
    pub fn struck(&self) -> u64 {
        self.lock().faults
    }

    /// Whether something was lost, doubled, or hung.
    #[must_use]
    pub fn is_wrong(&self) -> bool {
        let figures = self.lock();
        figures.lost + figures.twice + figures.hangs > 0
    }

    /// Counts a run that did not end in its time.
    pub fn hang(&self, story: &str) {
        self.lock().hangs += 1;
        if let Some(name) = &self.told {
            println!("{name}: HANG: {story}");
        }
    }

    /// Counts violations of something that is not a table's content.
    pub fn wrong(&self, lost: u64, twice: u64, story: &str) {
        let mut figures = self.lock();
        figures.lost += lost;
        figures.twice += twice;
        if let Some(name) = self.told.as_ref().filter(|_| lost + twice > 0) {
            println!("{name}: {lost} lost, {twice} twice: {story}");
        }
    }

    /// Compares the target with what it should hold, as multisets.
    pub fn compare(&self, story: &str, wanted: &Rows, found: &Rows) {
        let mut times: BTreeMap<&Vec<Option<String>>, i64> = BTreeMap::new();
        for row in wanted {
            *times.entry(row).or_default() += 1;
        }
        for row in found {
            *times.entry(row).or_default() -= 1;
        }
        let sum = |sign: i64| times.values().map(|n| (n * sign).max(0).unsigned_abs()).sum();
        self.lock().rows += u64::try_from(wanted.len()).unwrap_or(0);
        let odd: Vec<_> = times.iter().filter(|(_, n)| **n != 0).take(5).collect();
        self.wrong(sum(1), sum(-1), &format!("{story}: {odd:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(ids: &[&str]) -> Rows {
        ids.iter().map(|id| vec![Some((*id).to_owned())]).collect()
    }

    #[test]
    fn lost_and_doubled_rows_are_counted_as_a_multiset() {
        let tally = Tally::control();
        tally.compare("equal", &rows(&["1", "2", "2"]), &rows(&["2", "1", "2"]));
        assert!(!tally.is_wrong());
        tally.compare("one lost", &rows(&["1", "2"]), &rows(&["2"]));
        tally.compare("one twice, one never written", &rows(&["1"]), &rows(&["1", "1", "3"]));
        let figures = tally.figures();
        assert_eq!((figures.rows, figures.lost, figures.twice), (6, 1, 2));
    }
}
