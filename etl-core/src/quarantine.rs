//! Rows that are put aside so that the others can go on.
//!
//! A row that cannot be stored as it is (class [`Data`](crate::Class::Data)) stops a run, unless the
//! pipeline allows some to be *put aside*: its key and the reason go to the target's quarantine in
//! the transaction that makes the rest of its batch and the position durable. So a row is in the
//! target or in the quarantine, never in neither.
//!
//! * An entry is keyed by stream and row key. Put aside again, it keeps when it was first seen, and
//!   counts one attempt more.
//! * It goes, in the same transaction, when a batch that holds its key becomes durable: the row
//!   landed, or it was deleted.
//! * It holds the row's key, which is needed to read the row anew, and no other value of it.
//! * `Pipeline::replay` reads the rows of all entries anew by a [`Lookup`](crate::Lookup).

mod limit;
mod refused;
mod sought;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::error::{Error, Result};
use crate::exact;

pub use limit::MaxRejected;
pub use refused::Refused;
pub use sought::Sought;

/// The key of a row as text: a JSON array of the key columns' values, in the key's order.
///
/// Each value is a JSON string: numbers and decimals in digits, texts as they are, binary values
/// and UUIDs in lower-case hexadecimal without hyphens, times as ISO 8601 with six digits behind the
/// point (UTC, with `Z`, where the column knows an instant). One key has one text, whichever
/// connector wrote it, so two keys are equal if their texts are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey(String);

impl RowKey {
    /// The keys of all rows of `records`, whose key columns are named `key`.
    ///
    /// # Errors
    /// `Internal` if a key column is missing or has a type without a text; `Data` if a key is NULL.
    pub fn of(records: &RecordBatch, key: &[String]) -> Result<Vec<Self>> {
        let columns = key.iter().map(|name| texts(records, name)).collect::<Result<Vec<_>>>()?;
        (0..records.num_rows())
            .map(|row| {
                let parts: Vec<_> = columns.iter().filter_map(|column| column.get(row)).collect();
                serde_json::to_string(&parts)
                    .map(Self)
                    .map_err(|error| Error::internal("writing a row's key").with_source(error))
            })
            .collect()
    }

    /// A key as a sink stored it.
    ///
    /// # Errors
    /// `Schema` if the text is no array of texts: another program wrote it.
    pub fn from_text(text: impl Into<String>) -> Result<Self> {
        let key = Self(text.into());
        key.parts().map(|_| key)
    }

    /// The JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The texts of the key's columns, in the key's order.
    ///
    /// # Errors
    /// As [`RowKey::from_text`].
    pub fn parts(&self) -> Result<Vec<String>> {
        serde_json::from_str(&self.0).map_err(|error| {
            Error::schema("a key in the quarantine is not an array of texts").with_source(error)
        })
    }
}

/// A column's values as [`RowKey`] writes them.
fn texts(records: &RecordBatch, name: &str) -> Result<Vec<String>> {
    let column = records
        .column_by_name(name)
        .ok_or_else(|| Error::internal(format!("a batch lacks the key column {name}")))?;
    if column.null_count() > 0 {
        return Err(Error::data(format!("key column {name} is NULL in a row")));
    }
    let column = in_micros(&exact::zone_by_offset(column)?)?;
    let options = FormatOptions::new()
        .with_time_format(Some("%H:%M:%S%.6f"))
        .with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S%.6f"))
        .with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.6fZ"));
    let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
    (0..column.len()).map(|row| Ok(formatter.value(row).try_to_string()?)).collect()
}

/// A time finer than a microsecond keeps its digits: cut, two keys would have one text.
fn in_micros(column: &ArrayRef) -> Result<ArrayRef> {
    match column.data_type() {
        DataType::Timestamp(TimeUnit::Nanosecond, _) | DataType::Time64(TimeUnit::Nanosecond) => {
            Err(Error::internal("a key column is a time in nanoseconds, which has no text"))
        }
        _ => Ok(ArrayRef::clone(column)),
    }
}

/// A row that is put aside, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Its key, as the target has it.
    pub key: RowKey,
    /// The column that cannot be stored, if that is known.
    pub column: Option<String>,
    /// The error's text; holds no value of the row.
    pub reason: String,
    /// The database's own code.
    pub code: Option<String>,
}

/// A row that lies in a quarantine, for people. Times are the target's, in microseconds since 1970 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The row, and why it was put aside the last time.
    pub rejected: Rejected,
    /// How often it was put aside.
    pub attempts: u64,
    /// When it was put aside first.
    pub first_seen_micros: i64,
    /// When it was put aside last.
    pub last_seen_micros: i64,
}

/// What a commit does to the quarantine, in its own transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aside {
    /// Rows to put aside; none of them is among the batch's changes.
    pub put: Vec<Rejected>,
    /// Entries to clear: the batch holds their keys.
    pub clear: Vec<RowKey>,
}

impl Aside {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.put.is_empty() && self.clear.is_empty()
    }
}
