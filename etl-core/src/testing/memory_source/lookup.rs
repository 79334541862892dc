//! Single rows by their keys.

use arrow::buffer::BooleanBuffer;
use async_trait::async_trait;

use super::{MemorySource, Place, SourceDefect, cursor};
use crate::batch::Changes;
use crate::error::Result;
use crate::position::Position;
use crate::quarantine::{RowKey, Sought};
use crate::source::{Found, Lookup};
use crate::testing::row::Row;

impl Place {
    /// Rows with a cursor below this were read, and no sweep that goes on from here reads them again.
    fn passed(self) -> i64 {
        self.scan.map_or(self.low, |(scanned, _)| self.low.max(scanned.min(self.h)))
    }
}

#[async_trait]
impl Lookup for MemorySource {
    async fn rows(&self, keys: &[RowKey], reached: &Position) -> Result<Found> {
        let place = self.place(reached)?;
        let sought = Sought::new(keys, &Row::columns(), &["id".to_owned()], self.exit.is_told())?;
        self.network().await;
        let ids = sought.texts().iter().flatten().filter_map(|id| id.parse::<i64>().ok());
        let table = self.table.rows();
        let (there, missing): (Vec<i64>, Vec<i64>) = ids.partition(|id| table.contains_key(id));
        let rows = there.iter().filter_map(|id| table.get(id).cloned());
        let (passed, mut later): (Vec<Row>, Vec<Row>) = rows.partition(|row| {
            cursor(row).0 < place.passed() || self.has(SourceDefect::LookupUnsettled)
        });
        if self.has(SourceDefect::LookupLosesMissing) {
            later.extend(missing.into_iter().map(Row::new));
        }
        let records = Row::records(&passed)?;
        let leaves: Option<BooleanBuffer> = match &self.filter {
            Some(filter) if !self.has(SourceDefect::LookupIgnoresFilter) => {
                Some(!&filter.evaluate(&records)?)
            }
            _ => None,
        };
        let passed = Changes::new(records, leaves)?;
        sought.found(&passed, Vec::new(), &Row::records(&later)?)
    }
}
