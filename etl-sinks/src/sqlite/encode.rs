//! Arrow values as SQLite keeps them, checked before they leave.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array,
    FixedSizeBinaryArray, Float32Array, Float64Array, Int16Array, Int32Array, Int64Array,
    StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Float32Type, Float64Type, Int16Type, Int32Type,
    Int64Type, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
};
use etl_core::Changes;
use etl_core::connector::OnSpecial;
use etl_core::error::{Error, Result};
use etl_core::schema::{meta, meta_number};
use etl_sql::sqlite::text;
use sqlx::Arguments;
use sqlx::sqlite::SqliteArguments;

use crate::sqlite::write::Target;

/// The rows of a batch.
pub(super) struct Rows<'a> {
    stream: &'a str,
    changes: &'a Changes,
    columns: Vec<Column<'a>>,
}

struct Column<'a> {
    name: &'a str,
    key: bool,
    nullable: bool,
    on_special: OnSpecial,
    values: Values<'a>,
    array: &'a ArrayRef,
}

enum Values<'a> {
    Int16(&'a Int16Array),
    Int32(&'a Int32Array),
    Int64(&'a Int64Array),
    Float32(&'a Float32Array),
    Float64(&'a Float64Array),
    Decimal(&'a Decimal128Array, u8, u32),
    Boolean(&'a BooleanArray),
    Text(&'a StringArray, Bound),
    Binary(&'a BinaryArray),
    Uuid(&'a FixedSizeBinaryArray),
    Date(&'a Date32Array),
    Timestamp(&'a TimestampMicrosecondArray, bool),
    Time(&'a Time64MicrosecondArray),
}

#[derive(Clone, Copy)]
enum Bound {
    None,
    Characters(u32),
    Units(u32),
}

/// A value on its way into a statement.
enum Value<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    BorrowedText(&'a str),
    Blob(&'a [u8]),
}

/// Why a value has no form in the file.
enum Refused {
    /// It is none that another column's type could hold either: NaN, a date out of range; and the
    /// nearest that is one.
    Special(&'static str, Option<Value<'static>>),
    /// It is too long, or not allowed.
    Other(String),
}

impl<'a> Rows<'a> {
    /// # Errors
    /// `Internal` if the batch has other columns than the stream.
    pub(super) fn new(target: &'a Target, changes: &'a Changes) -> Result<Self> {
        let mut columns = Vec::with_capacity(target.schema.schema.fields().len());
        for field in target.schema.schema.fields() {
            let array = changes.records().column_by_name(field.name()).ok_or_else(|| {
                Error::internal(format!("a batch lacks the column {}", field.name()))
            })?;
            let key = target.schema.is_key(field.name());
            columns.push(Column {
                name: field.name(),
                key,
                nullable: field.is_nullable() && !key,
                on_special: target.config.special_at_target(field.name()),
                values: Values::of(field, array)?,
                array,
            });
        }
        Ok(Self { stream: &target.name, changes, columns })
    }

    pub(super) fn len(&self) -> usize {
        self.changes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub(super) fn deletes(&self) -> usize {
        self.changes.delete_count()
    }

    pub(super) fn width(&self) -> usize {
        self.columns.len()
    }

    /// Adds a row's values, behind its kind if `kinds`. Of a delete only the key is sent.
    ///
    /// # Errors
    /// `Data` with column and key if a value has no form in the file.
    pub(super) fn bind(
        &self,
        values: &mut SqliteArguments,
        index: usize,
        kinds: bool,
    ) -> Result<()> {
        let delete = self.changes.is_delete(index);
        if kinds {
            add(values, Value::Integer(i64::from(delete)))?;
        }
        for column in &self.columns {
            let value = if delete && !column.key {
                Value::Null
            } else {
                column.value(index).map_err(|why| self.refused(column, index, &why))?
            };
            add(values, value)?;
        }
        Ok(())
    }

    fn refused(&self, column: &Column<'_>, index: usize, why: &str) -> Error {
        let (stream, key) = (self.stream, self.key(index));
        let text = format!("{stream}: column {}, row {key}: {why}", column.name);
        Error::data(text).at_column(column.name)
    }

    /// The key of a row, for messages: `id=7, part=a`.
    fn key(&self, index: usize) -> String {
        let shown = |column: &Column<'_>| {
            let value = arrow::util::display::array_value_to_string(column.array, index);
            format!("{}={}", column.name, value.as_deref().unwrap_or("?"))
        };
        self.columns.iter().filter(|column| column.key).map(shown).collect::<Vec<_>>().join(", ")
    }
}

fn add(values: &mut SqliteArguments, value: Value<'_>) -> Result<()> {
    let added = match value {
        Value::Null => Arguments::add(values, None::<i64>),
        Value::Integer(number) => Arguments::add(values, number),
        Value::Real(number) => Arguments::add(values, number),
        Value::Text(text) => Arguments::add(values, text),
        Value::BorrowedText(text) => Arguments::add(values, text.to_owned()),
        Value::Blob(bytes) => Arguments::add(values, bytes.to_vec()),
    };
    added.map_err(|cause| Error::internal("binding a value").with_source(cause))
}

impl<'a> Column<'a> {
    fn value(&self, index: usize) -> Result<Value<'a>, String> {
        if self.array.is_null(index) {
            return self.null("it is NULL, and the column may not be");
        }
        match self.values.get(index) {
            Ok(value) => Ok(value),
            Err(Refused::Special(why, nearest)) => match (self.on_special, nearest) {
                (OnSpecial::Null, _) => {
                    self.null(&format!("{why}, and the column may not be NULL instead"))
                }
                (OnSpecial::Clamp, Some(nearest)) => Ok(nearest),
                (OnSpecial::Clamp, None) => {
                    Err(format!("{why}, and no value is near to it; correct the row"))
                }
                (OnSpecial::Fail | OnSpecial::Quarantine, _) => {
                    Err(format!("{why}; correct the row, or set on_special: null or clamp"))
                }
            },
            Err(Refused::Other(why)) => Err(why),
        }
    }

    fn null(&self, otherwise: &str) -> Result<Value<'a>, String> {
        if self.nullable { Ok(Value::Null) } else { Err(otherwise.to_owned()) }
    }
}

impl<'a> Values<'a> {
    fn of(field: &Field, array: &'a ArrayRef) -> Result<Self> {
        if field.data_type() != array.data_type() {
            return Err(Error::internal(format!(
                "column {} of a batch is {}, not {}",
                field.name(),
                array.data_type(),
                field.data_type()
            )));
        }
        Ok(match field.data_type() {
            DataType::Int16 => Self::Int16(array.as_primitive::<Int16Type>()),
            DataType::Int32 => Self::Int32(array.as_primitive::<Int32Type>()),
            DataType::Int64 => Self::Int64(array.as_primitive::<Int64Type>()),
            DataType::Float32 => Self::Float32(array.as_primitive::<Float32Type>()),
            DataType::Float64 => Self::Float64(array.as_primitive::<Float64Type>()),
            DataType::Decimal128(precision, scale) => Self::Decimal(
                array.as_primitive::<Decimal128Type>(),
                *precision,
                u32::try_from(*scale).map_err(|_| Error::internal("a negative scale"))?,
            ),
            DataType::Boolean => Self::Boolean(array.as_boolean()),
            DataType::Utf8 => Self::Text(array.as_string::<i32>(), Bound::of(field)),
            DataType::Binary => Self::Binary(array.as_binary::<i32>()),
            DataType::FixedSizeBinary(16) => Self::Uuid(array.as_fixed_size_binary()),
            DataType::Date32 => Self::Date(array.as_primitive::<Date32Type>()),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                Self::Timestamp(array.as_primitive::<TimestampMicrosecondType>(), zone.is_some())
            }
            DataType::Time64(TimeUnit::Microsecond) => {
                Self::Time(array.as_primitive::<Time64MicrosecondType>())
            }
            other => return Err(Error::internal(format!("SQLite has no form for {other}"))),
        })
    }

    fn get(&self, index: usize) -> Result<Value<'a>, Refused> {
        let range = || Refused::Special("the time is outside of the years 1 to 9999", None);
        Ok(match self {
            Self::Int16(array) => Value::Integer(array.value(index).into()),
            Self::Int32(array) => Value::Integer(array.value(index).into()),
            Self::Int64(array) => Value::Integer(array.value(index)),
            Self::Float32(array) => real(array.value(index).into())?,
            Self::Float64(array) => real(array.value(index))?,
            Self::Decimal(array, precision, scale) => {
                let value = array.value(index);
                if value.unsigned_abs() >= 10_u128.pow(u32::from(*precision)) {
                    return Err(Refused::Other(format!("it has more than {precision} digits")));
                }
                Value::Text(text::decimal(value, *scale))
            }
            Self::Boolean(array) => Value::Integer(array.value(index).into()),
            Self::Text(array, bound) => {
                let text = array.value(index);
                bound.check(text).map_err(Refused::Other)?;
                Value::BorrowedText(text)
            }
            Self::Binary(array) => Value::Blob(array.value(index)),
            Self::Uuid(array) => uuid::Uuid::from_slice(array.value(index))
                .map(|uuid| Value::Text(uuid.to_string()))
                .map_err(|_| Refused::Other("it is no uuid".to_owned()))?,
            Self::Date(array) => {
                text::date(array.value(index)).map(Value::Text).ok_or_else(range)?
            }
            Self::Timestamp(array, utc) => {
                text::timestamp(array.value(index), *utc).map(Value::Text).ok_or_else(range)?
            }
            Self::Time(array) => text::time(array.value(index))
                .map(Value::Text)
                .ok_or(Refused::Special("the time of day is outside of 00:00 to 23:59", None))?,
        })
    }
}

fn real<'a>(value: f64) -> Result<Value<'a>, Refused> {
    // SQLite would keep NULL in its place, silently.
    if value.is_nan() {
        return Err(Refused::Special("it is NaN, which SQLite cannot keep", None));
    }
    if value == 0.0 && value.is_sign_negative() {
        let what = "it is -0.0, in whose place SQLite keeps 0.0";
        return Err(Refused::Special(what, Some(Value::Real(0.0))));
    }
    Ok(Value::Real(value))
}

impl Bound {
    fn of(field: &Field) -> Self {
        if let Some(length) = meta_number(field, meta::MAX_CHARS) {
            return Self::Characters(length);
        }
        meta_number(field, meta::MAX_UNITS).map_or(Self::None, Self::Units)
    }

    fn check(self, text: &str) -> Result<(), String> {
        if text.contains('\0') {
            return Err("the text holds a NUL character, at which SQLite's functions stop".into());
        }
        let (length, most, what) = match self {
            Self::None => return Ok(()),
            Self::Characters(most) => (text.chars().count(), most, "characters"),
            Self::Units(most) => (text.encode_utf16().count(), most, "UTF-16 units"),
        };
        if usize::try_from(most).is_ok_and(|most| length > most) {
            return Err(format!(
                "the text has {length} {what}, the column takes {most}; widen it under columns \
                 and at the target"
            ));
        }
        Ok(())
    }
}
