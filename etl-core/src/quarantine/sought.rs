//! What the rows that a lookup read say about the keys that it was asked for.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, FixedSizeBinaryArray, StringArray};
use arrow::array::{RecordBatch, new_null_array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Schema, SchemaRef};

use super::{Rejected, RowKey};
use crate::batch::Changes;
use crate::error::{Error, Result};
use crate::exact;
use crate::source::Found;

/// The keys that a [`Lookup`](crate::Lookup) was asked for, each once and each good for its stream.
#[derive(Debug)]
pub struct Sought {
    keys: Vec<RowKey>,
    texts: Vec<Vec<String>>,
    /// The names of the key's columns.
    key: Vec<String>,
    told: bool,
    /// A row for each key, with all other columns NULL.
    rows: Changes,
}

impl Sought {
    /// The keys of a stream with this schema and key; `told` says whether its sink is told of rows
    /// that left, by deletes.
    ///
    /// # Errors
    /// `Data` if a key's text is none of its columns' types: what can never be found would be taken
    /// for gone.
    pub fn new(keys: &[RowKey], schema: &Schema, key: &[String], told: bool) -> Result<Self> {
        let once: BTreeSet<_> = keys.iter().cloned().collect();
        let keys: Vec<_> = once.into_iter().collect();
        let texts = keys.iter().map(RowKey::parts).collect::<Result<Vec<_>>>()?;
        if texts.iter().any(|texts| texts.len() != key.len()) {
            return Err(unfit(key));
        }
        let rows = rows(&texts, schema, key)?;
        if RowKey::of(&rows, key)? != keys {
            return Err(unfit(key));
        }
        let deletes = BooleanBuffer::new_set(rows.num_rows());
        let rows = Changes::new(rows, Some(deletes))?;
        Ok(Self { keys, texts, key: key.to_vec(), told, rows })
    }

    /// The texts of each key's columns.
    #[must_use]
    pub fn texts(&self) -> &[Vec<String>] {
        &self.texts
    }

    /// What became of the keys. `passed` are the rows that were read and that sweeps have passed for
    /// good, as deletes if the filter does not let them through; `rejected` are those of them that
    /// cannot be carried; `later` are rows that a later sweep reads, of which only the key counts. A
    /// key in none of them is that of a row that is gone.
    ///
    /// Rows with other keys do not count: to a database several texts may be equal.
    ///
    /// # Errors
    /// `Internal` if the rows do not have the schema's columns.
    pub fn found(
        &self,
        passed: &Changes,
        rejected: Vec<Rejected>,
        later: &RecordBatch,
    ) -> Result<Found> {
        let mut left: BTreeSet<_> = self.keys.iter().collect();
        let (mut gone, mut kept) = (Vec::new(), Vec::new());
        for (number, key) in (0..).zip(RowKey::of(passed.records(), &self.key)?) {
            let left_filter = usize::try_from(number).is_ok_and(|row| passed.is_delete(row));
            match (left.remove(&key), left_filter && !self.told) {
                (false, _) => {}
                (true, true) => gone.push(key),
                (true, false) => kept.push(number),
            }
        }
        let rejected: Vec<_> = rejected.into_iter().filter(|one| left.remove(&one.key)).collect();
        for key in RowKey::of(later, &self.key)? {
            left.remove(&key);
        }
        let lost = (0..).zip(&self.keys).filter(|(_, key)| left.contains(key));
        let lost: Vec<(u64, &RowKey)> = lost.collect();
        if !self.told {
            gone.extend(lost.iter().map(|(_, key)| (*key).clone()));
        }
        let lost: Vec<_> =
            lost.into_iter().map(|(number, _)| number).filter(|_| self.told).collect();
        Ok(Found { changes: self.changes(passed.rows(&kept)?, &lost)?, gone, rejected })
    }

    /// Rows that were read, and deletes of those with these numbers.
    fn changes(&self, read: Changes, lost: &[u64]) -> Result<Changes> {
        let lost = self.rows.rows(lost)?;
        let schema = self.rows.records().schema();
        let columns = read.records().columns().to_vec();
        let records = RecordBatch::try_new(Arc::clone(&schema), columns)?;
        let records = concat_batches(&schema, [&records, lost.records()])?;
        let deletes = (0..records.num_rows()).map(|row| row >= read.len() || read.is_delete(row));
        Changes::new(records, Some(deletes.collect()))
    }
}

/// Rows with these keys. All other columns are nullable and NULL, as in a batch with deletes.
fn rows(texts: &[Vec<String>], schema: &Schema, key: &[String]) -> Result<RecordBatch> {
    let fields = schema.fields().iter().map(|field| {
        let nullable = !key.contains(field.name());
        field.as_ref().clone().with_nullable(nullable)
    });
    let schema: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let columns = schema.fields().iter().map(|field| {
        let Some(place) = key.iter().position(|name| name == field.name()) else {
            return Ok(new_null_array(field.data_type(), texts.len()));
        };
        let texts = texts.iter().filter_map(|texts| texts.get(place).map(String::as_str));
        column(&texts.collect::<Vec<_>>(), field.data_type()).ok_or_else(|| unfit(key))
    });
    let columns = columns.collect::<Result<_>>()?;
    Ok(RecordBatch::try_new(schema, columns)?)
}

/// The values of [`RowKey`]'s texts; `None` if one is not of the type.
fn column(texts: &[&str], kind: &DataType) -> Option<ArrayRef> {
    let bytes = || texts.iter().map(|text| bytes(text)).collect::<Option<Vec<_>>>();
    match kind {
        DataType::Binary => Some(Arc::new(BinaryArray::from_iter_values(bytes()?))),
        DataType::FixedSizeBinary(size) => {
            let values = bytes()?.into_iter().map(Some);
            let array = FixedSizeBinaryArray::try_from_sparse_iter_with_size(values, *size);
            Some(Arc::new(array.ok()?))
        }
        _ => exact::cast(&(Arc::new(StringArray::from(texts.to_vec())) as ArrayRef), kind).ok(),
    }
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let (pairs, []) = hex.as_bytes().as_chunks::<2>() else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    pairs.iter().map(|[high, low]| Some((digit(*high)? << 4) | digit(*low)?)).collect()
}

fn unfit(key: &[String]) -> Error {
    Error::data(format!(
        "a key in the quarantine is none of the stream's ({}): did a column of the key change its \
         type? Nothing was looked up",
        key.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        BooleanArray, Date32Array, Decimal128Array, Int16Array, Int64Array, Time64MicrosecondArray,
        TimestampMicrosecondArray,
    };
    use arrow::datatypes::Field;

    use super::*;
    use crate::error::Class;
    use crate::testing::Row;

    fn every_kind() -> RecordBatch {
        let uuid = FixedSizeBinaryArray::try_from_iter([[7_u8; 16], [0xab; 16]].iter()).unwrap();
        let decimal = Decimal128Array::from(vec![-5, 10_i128.pow(37)]);
        let instants = TimestampMicrosecondArray::from(vec![-1, 253_402_300_799_999_999]);
        let times = Time64MicrosecondArray::from(vec![0, 86_399_999_999]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int16Array::from(vec![-1, i16::MAX])),
            Arc::new(Int64Array::from(vec![i64::MIN, i64::MAX])),
            Arc::new(StringArray::from(vec!["", "O'Brien \"\\\" \u{1f980}\n, ]"])),
            Arc::new(BinaryArray::from_vec(vec![b"", b"\x00\xff"])),
            Arc::new(uuid),
            Arc::new(decimal.with_precision_and_scale(38, 3).unwrap()),
            Arc::new(BooleanArray::from(vec![true, false])),
            Arc::new(Date32Array::from(vec![-719_162, 2_932_896])),
            Arc::new(times),
            Arc::new(instants.clone()),
            Arc::new(instants.with_timezone("UTC")),
        ];
        let fields = columns.iter().enumerate();
        let fields = fields.map(|(n, c)| Field::new(format!("k{n}"), c.data_type().clone(), false));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        RecordBatch::try_new(schema, columns).unwrap()
    }

    #[test]
    fn a_key_of_every_kind_survives_its_text() {
        let rows = every_kind();
        let names: Vec<_> =
            rows.schema().fields().iter().map(|field| field.name().clone()).collect();
        let keys = RowKey::of(&rows, &names).unwrap();
        let sought = Sought::new(&keys, rows.schema_ref(), &names, true).unwrap();
        let none = Changes::upserts(rows.slice(0, 0));
        let found = sought.found(&none, Vec::new(), none.records()).unwrap();
        assert_eq!(found.changes.delete_count(), 2);
        let found = RowKey::of(found.changes.records(), &names).unwrap();
        let sorted = |mut keys: Vec<RowKey>| {
            keys.sort();
            keys
        };
        assert_eq!(sorted(found), sorted(keys));
    }

    fn key(text: &str) -> RowKey {
        RowKey::from_text(text).unwrap()
    }

    #[test]
    fn a_text_that_no_key_has_is_refused() {
        let (schema, id) = (Row::columns(), ["id".to_owned()]);
        for wrong in [r#"["x"]"#, r#"["01"]"#, r#"["1.0"]"#, r#"[""]"#, r#"["1","2"]"#, "[]"] {
            let sought = Sought::new(&[key(wrong)], &schema, &id, true);
            assert_eq!(sought.unwrap_err().class(), Class::Data, "{wrong}");
        }
        let rows = every_kind();
        for (place, wrong) in [(3, "0"), (3, "0g"), (4, "00"), (7, "2024-02-30"), (10, "yesterday")]
        {
            let wrong = key(&format!("[\"{wrong}\"]"));
            let sought = Sought::new(&[wrong], rows.schema_ref(), &[format!("k{place}")], true);
            assert_eq!(sought.unwrap_err().class(), Class::Data, "{place}");
        }
    }

    #[test]
    fn each_key_has_one_answer_or_waits() {
        let (schema, id) = (Row::columns(), ["id".to_owned()]);
        let keys: Vec<_> = [5, 4, 3, 2, 1, 1].iter().map(|n| key(&format!("[\"{n}\"]"))).collect();
        let rows = |ids: &[i64]| {
            Row::records(&ids.iter().copied().map(Row::new).collect::<Vec<_>>()).unwrap()
        };
        // 1 passes the filter, 2 does not, 3 cannot be carried, 4 waits, 5 is gone, 9 was not asked.
        let passed = Changes::new(rows(&[9, 1, 2]), Some(vec![false, false, true].into())).unwrap();
        let rejected = |n: i64| Rejected {
            key: key(&format!("[\"{n}\"]")),
            column: None,
            reason: String::new(),
            code: None,
        };
        for (told, deletes, gone) in
            [(true, [2, 5].as_slice(), [].as_slice()), (false, &[], &[2, 5])]
        {
            let sought = Sought::new(&keys, &schema, &id, told).unwrap();
            assert_eq!(sought.texts().len(), 5);
            let rejected = vec![rejected(3), rejected(9)];
            let found = sought.found(&passed, rejected, &rows(&[4, 9])).unwrap();
            let rows = Row::from_records(found.changes.records()).unwrap();
            let of = |delete: bool| {
                let rows = rows.iter().enumerate();
                rows.filter(|(n, _)| found.changes.is_delete(*n) == delete)
                    .map(|(_, row)| row.id)
                    .collect::<Vec<_>>()
            };
            assert_eq!((of(false), of(true).as_slice()), (vec![1], deletes), "{told}");
            let gone: Vec<_> = gone.iter().map(|n| key(&format!("[\"{n}\"]"))).collect();
            assert_eq!(found.gone, gone, "{told}");
            assert_eq!(found.rejected.len(), 1, "{told}");
        }
    }
}
