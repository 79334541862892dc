//! Rows that were read and cannot be carried.

use super::{Rejected, RowKey};
use crate::batch::Changes;
use crate::error::Result;

/// The rows of a batch in the making that a source puts aside. Where such a row has a value without
/// a form, the batch has any other, until the row is taken out.
#[derive(Debug, Default)]
pub struct Refused(Vec<Row>);

#[derive(Debug)]
struct Row {
    place: u64,
    column: String,
    reason: String,
}

impl Refused {
    /// Notes which row of the batch, the one behind so many, cannot be carried, and why: without the
    /// value. To be called in the order of the rows.
    pub fn push(&mut self, behind: usize, column: impl Into<String>, reason: impl Into<String>) {
        let place = u64::try_from(behind).unwrap_or(u64::MAX);
        self.0.push(Row { place, column: column.into(), reason: reason.into() });
    }

    /// Forgets those rows for which this is false, by place and column: they are carried.
    pub fn retain(&mut self, mut refused: impl FnMut(usize, &str) -> bool) {
        self.0.retain(|row| refused(usize::try_from(row.place).unwrap_or(usize::MAX), &row.column));
    }

    /// Takes them out of `read` and names them by their key; none is left here.
    ///
    /// # Errors
    /// As [`RowKey::of`].
    pub fn take_out(&mut self, read: Changes, key: &[String]) -> Result<(Changes, Vec<Rejected>)> {
        let refused = std::mem::take(&mut self.0);
        if refused.is_empty() {
            return Ok((read, Vec::new()));
        }
        let out: Vec<_> = refused.iter().map(|row| row.place).collect();
        let rows = 0..u64::try_from(read.len()).unwrap_or(u64::MAX);
        let kept: Vec<_> = rows.filter(|row| out.binary_search(row).is_err()).collect();
        let keys = RowKey::of(read.rows(&out)?.records(), key)?;
        let rejected = refused.into_iter().zip(keys).map(|(row, key)| Rejected {
            key,
            column: Some(row.column),
            reason: row.reason,
            code: None,
        });
        Ok((read.rows(&kept)?, rejected.collect()))
    }
}

#[cfg(test)]
mod tests {
    use arrow::buffer::BooleanBuffer;

    use super::*;
    use crate::testing::Row;

    #[test]
    fn a_refused_row_is_named_and_the_others_stay_what_they_were() {
        let rows: Vec<_> = (1..=4).map(Row::new).collect();
        let deletes = BooleanBuffer::from(vec![false, true, false, true]);
        let read = Changes::new(Row::records(&rows).unwrap(), Some(deletes)).unwrap();
        let mut refused = Refused::default();
        refused.push(0, "amount", "is NaN");
        refused.push(1, "amount", "is NaN");
        refused.push(2, "name", "is NaN");
        refused.retain(|place, column| (place, column) != (1, "amount"));
        let (kept, out) = refused.take_out(read, &["id".to_owned()]).unwrap();
        let left = Row::from_records(kept.records()).unwrap();
        assert_eq!(left.iter().map(|row| row.id).collect::<Vec<_>>(), [2, 4]);
        assert!(kept.is_delete(0) && kept.is_delete(1));
        let told: Vec<_> =
            out.iter().map(|one| (one.key.as_str(), one.column.as_deref())).collect();
        assert_eq!(told, [(r#"["1"]"#, Some("amount")), (r#"["3"]"#, Some("name"))]);
        let all = Changes::upserts(Row::records(&rows).unwrap());
        assert_eq!(refused.take_out(all, &["id".to_owned()]).unwrap().0.len(), 4);
    }
}
