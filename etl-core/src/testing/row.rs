//! The rows that the suites write and read.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Decimal128Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{
    DataType, Decimal128Type, Field, Int64Type, Schema, SchemaRef, TimeUnit,
    TimestampMicrosecondType,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::error::{Error, Result};
use crate::exact;
use crate::schema::{Definition, StreamSchema, meta};

/// A row as text, by column: `None` is NULL.
///
/// | type | text |
/// |---|---|
/// | whole number | `-12` |
/// | decimal(18,2) | `12.50`, always two digits behind the point |
/// | text | as it is |
/// | boolean | `true`, `false` |
/// | timestamp | `2024-01-02T03:04:05.000006Z`, always six digits, always UTC |
pub type CanonicalRow = BTreeMap<String, Option<String>>;

/// A row of the suites' table. A field without a value is NULL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// `id`: the key, a 64-bit whole number.
    pub id: i64,
    /// `name`: a text of at most 40 characters, nullable.
    pub name: Option<String>,
    /// `status`: a text of at most 20 characters, not nullable.
    pub status: Option<String>,
    /// `amount`: a decimal(18,2) in hundredths, nullable.
    pub amount: Option<i128>,
    /// `active`: a boolean, nullable.
    pub active: Option<bool>,
    /// `updated_at`: microseconds since 1970 UTC, not nullable. At a source the database sets
    /// it: what stands here is not written.
    pub updated_at: Option<i64>,
}

/// 2023-11-14T22:13:20.123456Z: every fractional digit counts.
const SOME_TIME: i64 = 1_700_000_000_123_456;

impl Row {
    /// A row with a value in every column.
    #[must_use]
    pub fn new(id: i64) -> Self {
        Self {
            id,
            name: Some(format!("name {id}")),
            status: Some("confirmed".to_owned()),
            amount: Some(1050),
            active: Some(true),
            updated_at: Some(SOME_TIME),
        }
    }

    /// The same row with another name.
    #[must_use]
    pub fn name(mut self, name: Option<&str>) -> Self {
        self.name = name.map(str::to_owned);
        self
    }

    /// The same row with another status.
    #[must_use]
    pub fn status(mut self, status: &str) -> Self {
        self.status = Some(status.to_owned());
        self
    }

    /// The same row with another amount, in hundredths.
    #[must_use]
    pub fn amount(mut self, hundredths: i128) -> Self {
        self.amount = Some(hundredths);
        self
    }

    /// The amount as SQL writes it: `12.50`.
    #[must_use]
    pub fn amount_text(&self) -> Option<String> {
        self.amount.map(|hundredths| {
            let sign = if hundredths < 0 { "-" } else { "" };
            let digits = hundredths.unsigned_abs();
            format!("{sign}{}.{:02}", digits / 100, digits % 100)
        })
    }

    /// About what the row takes in memory, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        64 + [&self.name, &self.status].into_iter().flatten().map(String::len).sum::<usize>()
    }

    /// The row as text.
    ///
    /// # Errors
    /// `Internal` if its time has no text form.
    pub fn canonical(&self) -> Result<CanonicalRow> {
        let rows = canonical(&Self::records(std::slice::from_ref(self))?)?;
        rows.into_iter().next().ok_or_else(|| Error::internal("one row gave none"))
    }

    /// The columns of the suites' table, with their metadata.
    #[must_use]
    pub fn columns() -> SchemaRef {
        let with = |field: Field, key: &str, value: &str| {
            field.with_metadata([(key.to_owned(), value.to_owned())].into())
        };
        Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            with(Field::new("name", DataType::Utf8, true), meta::MAX_CHARS, "40"),
            with(Field::new("status", DataType::Utf8, false), meta::MAX_CHARS, "20"),
            Field::new("amount", DataType::Decimal128(18, 2), true),
            Field::new("active", DataType::Boolean, true),
            with(
                Field::new(
                    "updated_at",
                    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
                    false,
                ),
                meta::FRACTION,
                "6",
            ),
        ]))
    }

    /// The suites' stream, named `name`.
    #[must_use]
    pub fn stream(name: &str) -> StreamSchema {
        StreamSchema {
            name: name.to_owned(),
            schema: Self::columns(),
            key: vec!["id".to_owned()],
            definition: Definition::default(),
        }
    }

    /// The rows as Arrow has them. All columns but the key are nullable, as in a batch with
    /// deletes.
    ///
    /// # Errors
    /// `Internal` if they do not fit the columns.
    pub fn records(rows: &[Self]) -> Result<RecordBatch> {
        let fields = Self::columns()
            .fields()
            .iter()
            .map(|field| field.as_ref().clone().with_nullable(field.name() != "id"))
            .collect::<Vec<_>>();
        let text = |of: fn(&Self) -> Option<&str>| {
            Arc::new(rows.iter().map(of).collect::<StringArray>()) as ArrayRef
        };
        let amounts = rows.iter().map(|row| row.amount).collect::<Decimal128Array>();
        let times = rows.iter().map(|row| row.updated_at).collect::<TimestampMicrosecondArray>();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(rows.iter().map(|row| row.id).collect::<Int64Array>()),
            text(|row| row.name.as_deref()),
            text(|row| row.status.as_deref()),
            Arc::new(amounts.with_precision_and_scale(18, 2)?),
            Arc::new(rows.iter().map(|row| row.active).collect::<BooleanArray>()),
            Arc::new(times.with_timezone("UTC")),
        ];
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
    }

    /// The rows of an Arrow batch.
    ///
    /// # Errors
    /// `Internal` if it has other columns.
    pub fn from_records(records: &RecordBatch) -> Result<Vec<Self>> {
        let column = |name: &str, found: fn(&ArrayRef) -> bool| {
            records.column_by_name(name).filter(|column| found(column)).ok_or_else(|| {
                Error::internal(format!("column {name} is missing or of another type"))
            })
        };
        let id = column("id", |a| a.as_primitive_opt::<Int64Type>().is_some())?;
        let name = column("name", |a| a.as_string_opt::<i32>().is_some())?;
        let status = column("status", |a| a.as_string_opt::<i32>().is_some())?;
        let amount = column("amount", |a| a.as_primitive_opt::<Decimal128Type>().is_some())?;
        let active = column("active", |a| a.as_boolean_opt().is_some())?;
        let time =
            column("updated_at", |a| a.as_primitive_opt::<TimestampMicrosecondType>().is_some())?;
        let (id, amount, time) = (
            id.as_primitive::<Int64Type>(),
            amount.as_primitive::<Decimal128Type>(),
            time.as_primitive::<TimestampMicrosecondType>(),
        );
        let rows = name.as_string::<i32>().iter().zip(status.as_string::<i32>()).enumerate();
        Ok(rows
            .zip(amount.iter().zip(active.as_boolean()).zip(time))
            .map(|((index, (name, status)), ((amount, active), updated_at))| Self {
                id: id.value(index),
                name: name.map(str::to_owned),
                status: status.map(str::to_owned),
                amount,
                active,
                updated_at,
            })
            .collect())
    }
}

/// The rows of a batch as text, whatever its columns.
///
/// # Errors
/// `Internal` if a type has no text form.
pub fn canonical(records: &RecordBatch) -> Result<Vec<CanonicalRow>> {
    let options = FormatOptions::new()
        .with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S%.6fZ"))
        .with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.6fZ"));
    let mut rows = vec![CanonicalRow::new(); records.num_rows()];
    for (field, column) in records.schema_ref().fields().iter().zip(records.columns()) {
        let column = exact::zone_by_offset(column)?;
        let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
        for (index, row) in rows.iter_mut().enumerate() {
            let text = column.is_valid(index).then(|| formatter.value(index).try_to_string());
            row.insert(field.name().clone(), text.transpose()?);
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_goes_through_arrow_and_comes_back() {
        let null = Row { name: None, amount: None, active: None, ..Row::new(2) };
        let rows = vec![Row::new(1), null, Row::new(3).amount(-5)];
        assert_eq!(Row::from_records(&Row::records(&rows).unwrap()).unwrap(), rows);
    }

    #[test]
    fn canonical_text_is_exact() {
        let text = Row::new(1).amount(-5).name(Some("")).canonical().unwrap();
        let get = |column: &str| text[column].as_deref();
        assert_eq!(get("id"), Some("1"));
        assert_eq!(get("name"), Some(""));
        assert_eq!(get("amount"), Some("-0.05"));
        assert_eq!(Row::new(1).amount(-5).amount_text().as_deref(), Some("-0.05"));
        assert_eq!(get("active"), Some("true"));
        assert_eq!(get("updated_at"), Some("2023-11-14T22:13:20.123456Z"));
        assert_eq!(Row::new(1).name(None).canonical().unwrap()["name"], None);
    }
}
