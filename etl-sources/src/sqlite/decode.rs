//! SQLite's values into Arrow columns: exactly, or not at all.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder,
    FixedSizeBinaryBuilder, Float32Builder, Float64Builder, Int16Builder, Int32Builder,
    Int64Builder, RecordBatch, StringBuilder, Time64MicrosecondBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, SchemaRef, TimeUnit};
use etl_core::error::{Error, Result};
use etl_core::quarantine::Refused;
use etl_sql::sqlite::text;
use sqlx::sqlite::{SqliteRow, SqliteValueRef};
use sqlx::{Decode, Row, Sqlite, TypeInfo, ValueRef};

/// The digits that survive a way through an 8-byte float.
const FLOAT_DIGITS: u8 = 15;

/// The rows of a batch that is being read.
pub(super) struct Columns {
    schema: SchemaRef,
    builders: Vec<Builder>,
    /// The columns' places in a row.
    places: Vec<usize>,
    /// By column: whether a row with a value that is none of it is put aside.
    puts_aside: Vec<bool>,
    refused: Refused,
    rows: usize,
    bytes: usize,
}

enum Builder {
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Decimal(Decimal128Builder, u8, u32),
    Boolean(BooleanBuilder),
    Text(StringBuilder),
    Binary(BinaryBuilder),
    Uuid(FixedSizeBinaryBuilder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    Time(Time64MicrosecondBuilder),
}

/// Why a value is not one of its column.
type Why = String;

/// A value as SQLite keeps it.
pub(super) enum Stored<'r> {
    Null,
    Integer(i64),
    Real(f64),
    Text(&'r str),
    Blob(&'r [u8]),
}

impl<'r> Stored<'r> {
    /// # Errors
    /// A text that is not UTF-8.
    pub(super) fn of(raw: SqliteValueRef<'r>) -> Result<Self, Why> {
        if raw.is_null() {
            return Ok(Self::Null);
        }
        let kind = raw.type_info().into_owned();
        let decoded = match kind.name() {
            "INTEGER" => <i64 as Decode<Sqlite>>::decode(raw).map(Self::Integer),
            "REAL" => <f64 as Decode<Sqlite>>::decode(raw).map(Self::Real),
            "TEXT" => <&str as Decode<Sqlite>>::decode(raw).map(Self::Text),
            _ => <&[u8] as Decode<Sqlite>>::decode(raw).map(Self::Blob),
        };
        decoded.map_err(|_| "its text is not UTF-8".to_owned())
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Integer(_) => "an integer",
            Self::Real(_) => "a binary float",
            Self::Text(_) => "a text",
            Self::Blob(_) => "a blob",
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len() + 4,
            Self::Blob(bytes) => bytes.len() + 4,
            Self::Null | Self::Integer(_) | Self::Real(_) => 8,
        }
    }
}

impl Columns {
    /// The columns of rows that have just these, in this order.
    ///
    /// # Errors
    /// `Internal` for a type that no column of SQLite has.
    pub(super) fn new(schema: &SchemaRef) -> Result<Self> {
        Self::at(schema, (0..schema.fields().len()).collect())
    }

    /// The columns at these places of rows that may have more.
    ///
    /// # Errors
    /// As [`Columns::new`].
    pub(super) fn at(schema: &SchemaRef, places: Vec<usize>) -> Result<Self> {
        let builders =
            schema.fields().iter().map(|field| Builder::of(field)).collect::<Result<_>>()?;
        let puts_aside = vec![false; places.len()];
        let (schema, refused) = (Arc::clone(schema), Refused::default());
        Ok(Self { schema, builders, places, puts_aside, refused, rows: 0, bytes: 0 })
    }

    /// The same columns; rows with values that are none of these columns, by name, are put aside.
    pub(super) fn putting_aside(mut self, puts_aside: impl Fn(&str) -> bool) -> Self {
        let fields = self.schema.fields().iter();
        self.puts_aside = fields.map(|field| puts_aside(field.name())).collect();
        self
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// About how much memory the rows take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a row. One that is to be put aside counts as a row until it is taken.
    ///
    /// # Errors
    /// The column and why its value is not one of it.
    pub(super) fn push(&mut self, row: &SqliteRow) -> Result<(), (String, Why)> {
        let mut aside = None;
        let columns = self.builders.iter_mut().zip(self.schema.fields());
        for ((builder, field), (place, puts_aside)) in
            columns.zip(self.places.iter().zip(&self.puts_aside))
        {
            match take(builder, field, row, *place) {
                Ok(bytes) => self.bytes += bytes,
                Err(why) if *puts_aside => {
                    builder.push_nothing(field.is_nullable());
                    aside.get_or_insert((field.name(), why));
                }
                Err(why) => return Err((field.name().clone(), why)),
            }
        }
        if let Some((column, why)) = aside {
            self.refused.push(self.rows, column, why);
        }
        self.rows += 1;
        Ok(())
    }

    /// The rows so far, and which of them are put aside; begins anew.
    ///
    /// # Errors
    /// `Internal` if Arrow refuses them.
    pub(super) fn take(&mut self) -> Result<(RecordBatch, Refused)> {
        let columns = self
            .builders
            .iter_mut()
            .zip(self.schema.fields())
            .map(|(builder, field)| builder.take(field))
            .collect::<Result<_>>()?;
        (self.rows, self.bytes) = (0, 0);
        let refused = std::mem::take(&mut self.refused);
        Ok((RecordBatch::try_new(Arc::clone(&self.schema), columns)?, refused))
    }
}

/// Adds a value of a row to its column; about how many bytes it takes.
fn take(builder: &mut Builder, field: &Field, row: &SqliteRow, place: usize) -> Result<usize, Why> {
    let raw = row.try_get_raw(place).map_err(|_| "it cannot be read".to_owned())?;
    let stored = Stored::of(raw)?;
    if matches!(stored, Stored::Null) && !field.is_nullable() {
        return Err("it is NULL, and may not be".to_owned());
    }
    builder.push(&stored)?;
    Ok(stored.bytes())
}

impl Builder {
    fn of(field: &Field) -> Result<Self> {
        Ok(match field.data_type() {
            DataType::Int16 => Self::Int16(Int16Builder::new()),
            DataType::Int32 => Self::Int32(Int32Builder::new()),
            DataType::Int64 => Self::Int64(Int64Builder::new()),
            DataType::Float32 => Self::Float32(Float32Builder::new()),
            DataType::Float64 => Self::Float64(Float64Builder::new()),
            DataType::Decimal128(precision, scale) => Self::Decimal(
                Decimal128Builder::new().with_precision_and_scale(*precision, *scale)?,
                *precision,
                u32::try_from(*scale).map_err(|_| Error::internal("a negative scale"))?,
            ),
            DataType::Boolean => Self::Boolean(BooleanBuilder::new()),
            DataType::Utf8 => Self::Text(StringBuilder::new()),
            DataType::Binary => Self::Binary(BinaryBuilder::new()),
            DataType::FixedSizeBinary(16) => Self::Uuid(FixedSizeBinaryBuilder::new(16)),
            DataType::Date32 => Self::Date(Date32Builder::new()),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                Self::Timestamp(TimestampMicrosecondBuilder::new().with_timezone_opt(zone.clone()))
            }
            DataType::Time64(TimeUnit::Microsecond) => Self::Time(Time64MicrosecondBuilder::new()),
            other => return Err(Error::internal(format!("no column of SQLite is {other}"))),
        })
    }

    fn push(&mut self, stored: &Stored<'_>) -> Result<(), Why> {
        match self {
            Self::Int16(b) => b.append_option(whole(stored, "a 16-bit integer")?),
            Self::Int32(b) => b.append_option(whole(stored, "a 32-bit integer")?),
            Self::Int64(b) => b.append_option(whole(stored, "an integer")?),
            Self::Float32(b) => b.append_option(float(stored)?.map(narrow).transpose()?),
            Self::Float64(b) => b.append_option(float(stored)?),
            Self::Decimal(b, precision, scale) => {
                b.append_option(decimal(stored, *precision, *scale)?);
            }
            Self::Boolean(b) => b.append_option(match stored {
                Stored::Null => None,
                Stored::Integer(0) => Some(false),
                Stored::Integer(1) => Some(true),
                other => return Err(not(other, "0 or 1")),
            }),
            Self::Text(b) => b.append_option(match stored {
                Stored::Null => None,
                Stored::Text(text) => Some(*text),
                other => return Err(not(other, "a text")),
            }),
            Self::Binary(b) => b.append_option(match stored {
                Stored::Null => None,
                Stored::Blob(bytes) => Some(*bytes),
                other => return Err(not(other, "a blob")),
            }),
            Self::Uuid(b) => match uuid(stored)? {
                Some(uuid) => b.append_value(uuid.as_bytes()).map_err(|cause| cause.to_string())?,
                None => b.append_null(),
            },
            Self::Date(b) => b.append_option(parsed(stored, text::parse_date, "2026-01-02")?),
            Self::Timestamp(b) => {
                let form = "2026-01-02T03:04:05.123456Z or 2026-01-02 03:04:05";
                b.append_option(parsed(stored, text::parse_timestamp, form)?);
            }
            Self::Time(b) => b.append_option(parsed(stored, text::parse_time, "03:04:05.123456")?),
        }
        Ok(())
    }

    /// NULL; where there can be none, a value that nobody looks at.
    fn push_nothing(&mut self, nullable: bool) {
        let any = (!nullable).then_some(());
        match self {
            Self::Int16(b) => b.append_option(any.map(|()| 0)),
            Self::Int32(b) => b.append_option(any.map(|()| 0)),
            Self::Int64(b) => b.append_option(any.map(|()| 0)),
            Self::Float32(b) => b.append_option(any.map(|()| 0.0)),
            Self::Float64(b) => b.append_option(any.map(|()| 0.0)),
            Self::Decimal(b, ..) => b.append_option(any.map(|()| 0)),
            Self::Boolean(b) => b.append_option(any.map(|()| false)),
            Self::Text(b) => b.append_option(any.map(|()| "")),
            Self::Binary(b) => b.append_option(any.map(|()| [])),
            // Sixteen bytes always fit.
            Self::Uuid(b) if !nullable => drop(b.append_value([0; 16])),
            Self::Uuid(b) => b.append_null(),
            Self::Date(b) => b.append_option(any.map(|()| 0)),
            Self::Timestamp(b) => b.append_option(any.map(|()| 0)),
            Self::Time(b) => b.append_option(any.map(|()| 0)),
        }
    }

    fn take(&mut self, field: &Field) -> Result<ArrayRef> {
        Ok(match self {
            Self::Int16(b) => Arc::new(b.finish()),
            Self::Int32(b) => Arc::new(b.finish()),
            Self::Int64(b) => Arc::new(b.finish()),
            Self::Float32(b) => Arc::new(b.finish()),
            Self::Float64(b) => Arc::new(b.finish()),
            Self::Decimal(b, precision, _) => {
                let DataType::Decimal128(_, scale) = field.data_type() else {
                    return Err(Error::internal("a decimal column is none"));
                };
                Arc::new(b.finish().with_precision_and_scale(*precision, *scale)?)
            }
            Self::Boolean(b) => Arc::new(b.finish()),
            Self::Text(b) => Arc::new(b.finish()),
            Self::Binary(b) => Arc::new(b.finish()),
            Self::Uuid(b) => Arc::new(b.finish()),
            Self::Date(b) => Arc::new(b.finish()),
            Self::Timestamp(b) => Arc::new(b.finish()),
            Self::Time(b) => Arc::new(b.finish()),
        })
    }
}

fn not(stored: &Stored<'_>, expected: &str) -> Why {
    format!("it is {}, expected is {expected}", stored.kind())
}

fn whole<T: TryFrom<i64>>(stored: &Stored<'_>, expected: &str) -> Result<Option<T>, Why> {
    match stored {
        Stored::Null => Ok(None),
        Stored::Integer(number) => {
            T::try_from(*number).map(Some).map_err(|_| format!("it is too large for {expected}"))
        }
        other => Err(not(other, expected)),
    }
}

#[allow(clippy::cast_precision_loss, reason = "only integers that a float holds exactly")]
fn float(stored: &Stored<'_>) -> Result<Option<f64>, Why> {
    match stored {
        Stored::Null => Ok(None),
        Stored::Real(number) => Ok(Some(*number)),
        Stored::Integer(number) if number.unsigned_abs() <= 1 << 53 => Ok(Some(*number as f64)),
        other => Err(not(other, "a float")),
    }
}

#[allow(clippy::cast_possible_truncation, reason = "what would be cut is refused")]
fn narrow(number: f64) -> Result<f32, Why> {
    let narrow = number as f32;
    if f64::from(narrow).to_bits() == number.to_bits() {
        return Ok(narrow);
    }
    Err("it does not fit a 4-byte float without loss".to_owned())
}

/// Texts and integers are exact. A binary float is taken for the decimal that was put in, as long
/// as that has no more digits than survive the way.
fn decimal(stored: &Stored<'_>, precision: u8, scale: u32) -> Result<Option<i128>, Why> {
    let read = match stored {
        Stored::Null => return Ok(None),
        Stored::Text(text) => text::parse_decimal(text, precision, scale),
        Stored::Integer(number) => text::parse_decimal(&number.to_string(), precision, scale),
        Stored::Real(number) => {
            text::parse_decimal(&number.to_string(), precision.min(FLOAT_DIGITS), scale)
                .filter(|value| value.unsigned_abs() < 10_u128.pow(u32::from(FLOAT_DIGITS)))
        }
        Stored::Blob(_) => return Err(not(stored, "a decimal number")),
    };
    read.map(Some).ok_or_else(|| {
        format!(
            "it is {} that is no decimal({precision},{scale}) without loss; keep such values as \
             text, or declare more digits under columns",
            stored.kind()
        )
    })
}

fn uuid(stored: &Stored<'_>) -> Result<Option<uuid::Uuid>, Why> {
    let read = match stored {
        Stored::Null => return Ok(None),
        Stored::Text(text) => uuid::Uuid::try_parse(text).ok(),
        Stored::Blob(bytes) => uuid::Uuid::from_slice(bytes).ok(),
        Stored::Integer(_) | Stored::Real(_) => None,
    };
    read.map(Some).ok_or_else(|| not(stored, "a uuid as text or as 16 bytes"))
}

fn parsed<T>(
    stored: &Stored<'_>,
    parse: fn(&str) -> Option<T>,
    form: &str,
) -> Result<Option<T>, Why> {
    match stored {
        Stored::Null => Ok(None),
        Stored::Text(text) => {
            parse(text).map(Some).ok_or_else(|| format!("its text has not the form {form}"))
        }
        other => Err(not(other, &format!("a text such as {form}"))),
    }
}
