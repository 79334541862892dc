//! What travels: rows with their kinds, and the position that they reach.

use std::ops::Range;

use arrow::array::{Array, RecordBatch, UInt64Array};
use arrow::buffer::BooleanBuffer;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::position::Position;
use crate::quarantine::Aside;

/// Rows of one stream: upserts, and deletes of which only the key columns count.
#[derive(Debug, Clone)]
pub struct Changes {
    records: RecordBatch,
    deletes: Option<BooleanBuffer>,
}

impl Changes {
    /// Rows that are all upserts.
    #[must_use]
    pub fn upserts(records: RecordBatch) -> Self {
        Self { records, deletes: None }
    }

    /// Rows of which those with a set bit in `deletes` are deletes.
    ///
    /// # Errors
    /// `Internal` if the lengths differ.
    pub fn new(records: RecordBatch, deletes: Option<BooleanBuffer>) -> Result<Self> {
        if deletes.as_ref().is_some_and(|bits| bits.len() != records.num_rows()) {
            return Err(Error::internal("a batch has another number of rows than of kinds"));
        }
        let deletes = deletes.filter(|bits| bits.count_set_bits() > 0);
        Ok(Self { records, deletes })
    }

    /// The rows, deletes among them.
    #[must_use]
    pub fn records(&self) -> &RecordBatch {
        &self.records
    }

    /// One bit per row, set for a delete; `None` if all rows are upserts.
    #[must_use]
    pub fn deletes(&self) -> Option<&BooleanBuffer> {
        self.deletes.as_ref()
    }

    /// Whether row `index` is a delete.
    #[must_use]
    pub fn is_delete(&self, index: usize) -> bool {
        self.deletes.as_ref().is_some_and(|bits| bits.value(index))
    }

    /// The rows with these numbers, in that order.
    pub(crate) fn rows(&self, numbers: &[u64]) -> Result<Self> {
        let index = |number: &u64| usize::try_from(*number).unwrap_or(usize::MAX);
        let deletes = |bits: &BooleanBuffer| numbers.iter().map(|n| bits.value(index(n))).collect();
        let deletes = self.deletes.as_ref().map(deletes);
        let numbers = UInt64Array::from(numbers.to_vec());
        Self::new(arrow::compute::take_record_batch(&self.records, &numbers)?, deletes)
    }

    /// The number of rows, deletes included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.num_rows()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.num_rows() == 0
    }

    /// The number of deletes.
    #[must_use]
    pub fn delete_count(&self) -> usize {
        self.deletes.as_ref().map_or(0, BooleanBuffer::count_set_bits)
    }

    /// The memory that the rows take, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.records.columns().iter().map(Array::get_array_memory_size).sum()
    }
}

/// What a source says about how far it has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Rows read from the source for this batch.
    pub read: u64,
    /// Those of them that an earlier sweep had already read (or could have).
    pub reread: u64,
    /// The source's clock up to which everything has been read once this batch is committed and
    /// the sweep it belongs to has ended, in microseconds since 1970 UTC.
    pub horizon_micros: Option<i64>,
}

/// Changes and the position that is reached once they are durable.
///
/// A batch holds at most one row per key, the last change. A batch without rows that only moves
/// the position is legal everywhere. A batch is never committed in parts.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The rows.
    pub changes: Changes,
    /// Where to go on once they are durable.
    pub position: Position,
    /// For the summary and the metrics.
    pub progress: Progress,
    /// Rows that are put aside with it. A source puts here those that it read and cannot carry, if
    /// the stream's config says `quarantine`; the rest is the engine's.
    pub aside: Aside,
}

impl Batch {
    /// A batch that puts nothing aside.
    #[must_use]
    pub fn new(changes: Changes, position: Position, progress: Progress) -> Self {
        Self { changes, position, progress, aside: Aside::default() }
    }
}

/// The bounds of a batch: it ends at whichever is reached first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchLimits {
    /// The greatest number of rows.
    pub rows: usize,
    /// About how many bytes the rows may take; one row may exceed it.
    pub bytes: usize,
}

impl BatchLimits {
    /// Half of both bounds, at least one row.
    #[must_use]
    pub fn halved(self) -> Self {
        Self { rows: (self.rows / 2).max(1), bytes: (self.bytes / 2).max(1) }
    }

    /// Cuts rows, of which each takes so many bytes, where a batch must end. There is at least one
    /// part: a sweep without rows has a batch too, for its position.
    #[must_use]
    pub fn pages(self, sizes: impl IntoIterator<Item = usize>) -> Vec<Range<usize>> {
        let (mut pages, mut page, mut bytes) = (Vec::new(), 0..0, 0_usize);
        for size in sizes {
            let full = page.len() >= self.rows || bytes.saturating_add(size) > self.bytes;
            if full && !page.is_empty() {
                pages.push(page.clone());
                (page, bytes) = (page.end..page.end, 0);
            }
            page.end += 1;
            bytes = bytes.saturating_add(size);
        }
        pages.push(page);
        pages
    }
}

impl Default for BatchLimits {
    /// 4,000 rows (under the 5,000 locks at which SQL Server begins to escalate) or 4 MiB.
    fn default() -> Self {
        Self { rows: 4_000, bytes: 4 << 20 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_cut_where_a_batch_must_end() {
        let pages =
            |rows, bytes, sizes: &[usize]| BatchLimits { rows, bytes }.pages(sizes.iter().copied());
        assert_eq!(pages(2, 100, &[1, 1, 1, 1, 1]), [0..2, 2..4, 4..5]);
        assert_eq!(pages(9, 10, &[4, 6, 1, 30, 1]), [0..2, 2..3, 3..4, 4..5]);
        assert_eq!(pages(9, 0, &[0, 1, usize::MAX]), [0..1, 1..2, 2..3]);
        let none = pages(9, 9, &[]);
        assert!(none.len() == 1 && none[0].is_empty());
    }
}
