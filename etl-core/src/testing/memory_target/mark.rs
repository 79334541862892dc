//! Rows that are marked when they leave, not removed.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::{MemoryTarget, State};
use crate::testing::row::CanonicalRow;

/// A target's column for the time at which a row left.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    column: String,
    defect: Option<MarkDefect>,
}

/// Ways to mark rows that break the contract. They show that what looks for such rows finds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkDefect {
    /// A delete that is delivered again sets another time.
    TimeAnew,
    /// A row that comes back stays marked.
    Stays,
    /// The row is removed.
    Removes,
    /// A row that was never there is made, of its key alone.
    Invents,
}

impl MemoryTarget {
    /// The same server, whose target marks rows in `column`; with a defect, wrongly.
    #[must_use]
    pub fn marking(self, column: &str, defect: Option<MarkDefect>) -> Self {
        self.state().mark = Some(Mark { column: column.to_owned(), defect });
        self
    }

    /// This server's time as a row shows it.
    pub(super) fn time_text(&self) -> String {
        let at = chrono::DateTime::from_timestamp_micros(self.micros(Instant::now()));
        at.unwrap_or_default().format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
    }
}

type Upserted = BTreeMap<Vec<Option<String>>, CanonicalRow>;

impl Mark {
    /// The row as the table has it once it is written.
    fn unmarked(&self, mut row: CanonicalRow, before: Option<&CanonicalRow>) -> CanonicalRow {
        let stays = before.filter(|_| self.defect == Some(MarkDefect::Stays));
        let mark = stays.and_then(|before| before.get(&self.column).cloned().flatten());
        row.insert(self.column.clone(), mark);
        row
    }

    /// Marks a row; whether it was there and not marked.
    fn mark(
        &self,
        rows: &mut Upserted,
        key: Vec<Option<String>>,
        row: CanonicalRow,
        now: &str,
    ) -> bool {
        if self.defect == Some(MarkDefect::Removes) {
            return rows.remove(&key).is_some();
        }
        if self.defect == Some(MarkDefect::Invents) {
            rows.entry(key.clone()).or_insert(row);
        }
        let Some(there) = rows.get_mut(&key) else { return false };
        let mark = there.entry(self.column.clone()).or_default();
        let new = mark.is_none();
        if new || self.defect == Some(MarkDefect::TimeAnew) {
            *mark = Some(now.to_owned());
        }
        new
    }
}

impl State {
    /// What a delete does; whether it counts.
    pub(super) fn leave(&mut self, key: Vec<Option<String>>, row: CanonicalRow, now: &str) -> bool {
        match &self.mark {
            Some(mark) => mark.mark(&mut self.tables.upserted, key, row, now),
            None => self.tables.upserted.remove(&key).is_some(),
        }
    }

    /// A row as the table is to have it.
    pub(super) fn as_stored(&self, key: &Vec<Option<String>>, row: CanonicalRow) -> CanonicalRow {
        match &self.mark {
            Some(mark) => mark.unmarked(row, self.tables.upserted.get(key)),
            None => row,
        }
    }
}
