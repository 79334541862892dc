//! Postgres types and the Arrow types that carry them.
//!
//! | Postgres | Arrow | in the target for example | loud about |
//! |---|---|---|---|
//! | smallint, integer, bigint | Int16, Int32, Int64 | smallint, int, bigint | |
//! | real, double precision | Float32, Float64 | real, float(53) | NaN, ±Infinity |
//! | numeric(p,s), at most 38 digits in all | Decimal128(p,s), or with room for a scale that is negative or greater than p | decimal(p,s) | NaN, ±Infinity |
//! | any other numeric | as declared in `columns` | decimal(p,s), nvarchar | undeclared; too many digits |
//! | xid8 | Decimal128(20,0) | decimal(20,0) | |
//! | boolean | Boolean | bit | |
//! | char(n) without its blanks, varchar(n), text, enums, citext | Utf8 | nvarchar | longer than declared |
//! | bytea | Binary | varbinary(max) | |
//! | date | Date32 | date | ±infinity, BC, after 9999 |
//! | timestamp, timestamptz | Timestamp(µs), Timestamp(µs, UTC) | datetime2(6), datetimeoffset(6) | ±infinity, BC, after 9999 |
//! | time | Time64(µs) | time(6) | 24:00 |
//! | uuid | FixedSizeBinary(16) | uniqueidentifier | |
//! | json, jsonb, arrays | Utf8 | nvarchar(max) | |
//! | money | Decimal128 or Utf8 as declared | decimal(19,2), nvarchar | undeclared |
//! | interval, inet, ranges, others | Utf8 by `::text` | nvarchar | undeclared |
//!
//! A domain is its base type.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Field, TimeUnit};
use etl_core::error::{Error, Result};
use etl_core::schema::{Declared, meta};

use super::catalog::Column;
use super::quote;

/// How a column's values arrive in a binary COPY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// One byte.
    Bool,
    /// Two bytes.
    Int2,
    /// Four bytes.
    Int4,
    /// Eight bytes.
    Int8,
    /// Eight bytes without a sign: a transaction's number, which a decimal(20,0) always holds.
    Xid8,
    /// Four bytes.
    Float4,
    /// Eight bytes.
    Float8,
    /// Digits to the base of 10,000, to become a decimal of this precision and scale.
    Numeric(u8, i8),
    /// UTF-8.
    Text,
    /// As they are.
    Bytes,
    /// Sixteen bytes.
    Uuid,
    /// Days since 2000.
    Date,
    /// Microseconds since midnight.
    Time,
    /// Microseconds since 2000, without zone.
    Timestamp,
    /// Microseconds since 2000 UTC.
    TimestampTz,
}

/// A column as it is read.
#[derive(Debug, Clone)]
pub struct Mapped {
    /// Name, Arrow type, nullability, meaning.
    pub field: Field,
    /// How it arrives.
    pub wire: Wire,
    /// The type that the server makes of it first.
    cast: Option<&'static str>,
}

impl Mapped {
    /// The SQL expression that yields it.
    ///
    /// # Errors
    /// As [`quote::name`].
    pub fn expression(&self) -> Result<String> {
        let name = quote::name(self.field.name())?;
        Ok(match self.cast {
            Some(cast) => format!("{name}::{cast}"),
            None => name,
        })
    }

    /// The SQL expression by which it orders: total, and the same on every server.
    ///
    /// # Errors
    /// As [`quote::name`].
    pub fn order(&self) -> Result<String> {
        let expression = self.expression()?;
        Ok(if self.wire == Wire::Text {
            format!("{expression} COLLATE pg_catalog.\"C\"")
        } else {
            expression
        })
    }

    /// A literal of its type, from the text that [`super::copy::text_of`] gives.
    ///
    /// # Errors
    /// As [`quote::text`].
    pub fn literal(&self, text: &str) -> Result<String> {
        Ok(format!("{}::{}", quote::text(text)?, self.wire.type_name()))
    }

    /// A value of its type, from an SQL expression that yields a [`RowKey`](etl_core::RowKey)'s text.
    #[must_use]
    pub fn of_key(&self, text: &str) -> String {
        match self.wire {
            Wire::Bytes => format!("decode({text}, 'hex')"),
            wire => format!("({text})::{}", wire.type_name()),
        }
    }
}

impl Wire {
    /// The type's name in SQL.
    #[must_use]
    pub const fn type_name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int2 => "int2",
            Self::Int4 => "int4",
            Self::Int8 => "int8",
            Self::Xid8 => "xid8",
            Self::Float4 => "float4",
            Self::Float8 => "float8",
            Self::Numeric(..) => "numeric",
            Self::Text => "text",
            Self::Bytes => "bytea",
            Self::Uuid => "uuid",
            Self::Date => "date",
            Self::Time => "time",
            Self::Timestamp => "timestamp",
            Self::TimestampTz => "timestamptz",
        }
    }

    /// The Arrow type that carries it.
    #[must_use]
    pub fn arrow(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int2 => DataType::Int16,
            Self::Int4 => DataType::Int32,
            Self::Int8 => DataType::Int64,
            Self::Xid8 => DataType::Decimal128(20, 0),
            Self::Float4 => DataType::Float32,
            Self::Float8 => DataType::Float64,
            Self::Numeric(precision, scale) => DataType::Decimal128(precision, scale),
            Self::Text => DataType::Utf8,
            Self::Bytes => DataType::Binary,
            Self::Uuid => DataType::FixedSizeBinary(16),
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Microsecond),
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }
}

/// What a column's type needs before it can be carried.
#[derive(Debug)]
pub enum Fit {
    /// Nothing more.
    Mapped(Mapped),
    /// A declaration `decimal(p,s)`, for which the values have to be looked at.
    NumericUndeclared,
}

/// Maps a column, as declared in the config if it is.
///
/// # Errors
/// `Config` if the declaration does not fit the type; `Schema` if the type needs one.
pub fn map(column: &Column, declared: Option<Declared>) -> Result<Fit> {
    let mut cast = None;
    let (wire, mut metadata) = match native(column) {
        Native::Carried(own, metadata) => {
            let wire = declare(column, own, declared)?;
            if let Some(declared) = declared {
                declared.holds(&column.name, &column.declared, &own.arrow(), &metadata)?;
            }
            (wire, metadata)
        }
        Native::Money => match declared {
            Some(decimal @ Declared::Decimal(p, s)) => {
                decimal.holds(&column.name, "money", &MONEY, &HashMap::new())?;
                cast = Some("numeric");
                (Wire::Numeric(p, s), HashMap::new())
            }
            declared => (other(column, declared)?, entry(meta::MEANING, "text")),
        },
        Native::Numeric => match declared {
            None => return Ok(Fit::NumericUndeclared),
            Some(_) => (declare(column, Wire::Numeric(38, 0), declared)?, HashMap::new()),
        },
        Native::Other => (other(column, declared)?, entry(meta::MEANING, "text")),
    };
    if let Some(declared) = declared {
        // What is declared takes the place of what the type says.
        metadata.retain(|key, _| ![meta::MAX_CHARS, meta::FRACTION].contains(&key.as_str()));
        metadata.extend(declared.metadata().map(|(k, v)| (k.to_owned(), v)));
    }
    if wire == Wire::Text && matches!(native(column), Native::Numeric) {
        metadata.extend(entry(meta::MEANING, "text"));
    }
    metadata.extend(entry(meta::SOURCE_TYPE, &column.declared));
    let field = Field::new(&column.name, wire.arrow(), !column.not_null).with_metadata(metadata);
    let cast = if wire == Wire::Text { Some("text") } else { cast };
    Ok(Fit::Mapped(Mapped { field, wire, cast }))
}

/// A type that is a text only once somebody says so.
fn other(column: &Column, declared: Option<Declared>) -> Result<Wire> {
    match declared {
        Some(Declared::Text | Declared::Chars(_) | Declared::Units(_)) => Ok(Wire::Text),
        Some(_) => Err(unfit(column, "text, varchar(n) or nvarchar(n)")),
        None => Err(Error::schema(format!(
            "column {}: {} has no exact form in the target. To carry it as the text that \
             Postgres prints, write columns: {{ {}: text }}, else take it out of select",
            column.name, column.declared, column.name
        ))),
    }
}

enum Native {
    Carried(Wire, HashMap<String, String>),
    /// A numeric without precision and scale, or with more digits than any decimal has.
    Numeric,
    Money,
    Other,
}

/// The number of the type `xid8`.
pub const XID8: i64 = 5069;

/// Every `money`, of a locale with cents.
const MONEY: DataType = DataType::Decimal128(19, 2);

fn native(column: &Column) -> Native {
    let plain = |wire| Native::Carried(wire, HashMap::new());
    let with = |wire, key: &str, value: i32| {
        if value < 0 { plain(wire) } else { Native::Carried(wire, entry(key, &value.to_string())) }
    };
    // Numbers of pg_type.dat, which never change.
    match column.type_oid {
        16 => plain(Wire::Bool),
        21 => plain(Wire::Int2),
        23 => plain(Wire::Int4),
        20 => plain(Wire::Int8),
        XID8 => plain(Wire::Xid8),
        700 => plain(Wire::Float4),
        701 => plain(Wire::Float8),
        1700 => precision_and_scale(column.typmod)
            .map_or(Native::Numeric, |(precision, scale)| plain(Wire::Numeric(precision, scale))),
        25 => plain(Wire::Text),
        // The typmod of texts counts four bytes of header.
        1042 | 1043 => with(Wire::Text, meta::MAX_CHARS, column.typmod.saturating_sub(4)),
        17 => plain(Wire::Bytes),
        790 => Native::Money,
        2950 => Native::Carried(Wire::Uuid, entry(meta::MEANING, "uuid")),
        1082 => plain(Wire::Date),
        1083 => with(Wire::Time, meta::FRACTION, column.typmod),
        1114 => with(Wire::Timestamp, meta::FRACTION, column.typmod),
        1184 => with(Wire::TimestampTz, meta::FRACTION, column.typmod),
        114 | 3802 => Native::Carried(Wire::Text, entry(meta::MEANING, "json")),
        _ if column.type_category == "A" => {
            Native::Carried(Wire::Text, entry(meta::MEANING, "array"))
        }
        _ if column.type_kind == "e" || column.type_name == "citext" => plain(Wire::Text),
        _ => Native::Other,
    }
}

fn entry(key: &str, value: &str) -> HashMap<String, String> {
    HashMap::from([(key.to_owned(), value.to_owned())])
}

/// Precision and scale of the least decimal that holds every value of a numeric with this typmod.
fn precision_and_scale(typmod: i32) -> Option<(u8, i8)> {
    let packed = typmod.checked_sub(4).filter(|packed| *packed >= 0)?;
    let precision = (packed >> 16) & 0xffff;
    // Eleven bits with a sign, since 15; before, the sign bit is never set.
    let scale = ((packed & 0x7ff) ^ 1024) - 1024;
    let whole = (precision - scale).max(0);
    let scale = i8::try_from(scale.max(0)).ok()?;
    let precision = u8::try_from(whole + i32::from(scale)).ok()?;
    (1..=38).contains(&precision).then_some((precision, scale))
}

fn declare(column: &Column, wire: Wire, declared: Option<Declared>) -> Result<Wire> {
    let text =
        |declared| matches!(declared, Declared::Text | Declared::Chars(_) | Declared::Units(_));
    match (wire, declared) {
        (wire, None) => Ok(wire),
        (Wire::Text, Some(declared)) if text(declared) => Ok(Wire::Text),
        (Wire::Text, Some(_)) => Err(unfit(column, "text, varchar(n) or nvarchar(n)")),
        (Wire::Numeric(..), Some(Declared::Decimal(p, s))) => Ok(Wire::Numeric(p, s)),
        (Wire::Numeric(..), Some(declared)) if text(declared) => Ok(Wire::Text),
        (Wire::Numeric(..), Some(_)) => Err(unfit(column, "decimal(p,s), text or nvarchar(n)")),
        (Wire::Timestamp, Some(Declared::Timestamp(_))) => Ok(wire),
        (Wire::Timestamp, Some(_)) => Err(unfit(column, "datetime2(f)")),
        (Wire::TimestampTz, Some(Declared::TimestampTz(_))) => Ok(wire),
        (Wire::TimestampTz, Some(_)) => Err(unfit(column, "datetimeoffset(f)")),
        (Wire::Time, Some(Declared::Time(_))) => Ok(wire),
        (Wire::Time, Some(_)) => Err(unfit(column, "time(f)")),
        (_, Some(_)) => Err(Error::config(format!(
            "columns.{}: {} has one exact form only; take the declaration out",
            column.name, column.declared
        ))),
    }
}

fn unfit(column: &Column, allowed: &str) -> Error {
    Error::config(format!(
        "columns.{}: {} can be declared as {allowed} only",
        column.name, column.declared
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numerics_typmod_is_read_as_the_server_packs_it() {
        for (precision, scale, expected) in [
            (18, 2, Some((18, 2))),
            (38, 38, Some((38, 38))),
            (39, 2, None),
            (2, 5, Some((5, 5))),
            (2, 38, Some((38, 38))),
            (2, 39, None),
            (5, -2, Some((7, 0))),
            (30, -9, None),
            (1000, 1000, None),
        ] {
            let typmod = ((precision << 16) | (scale & 0x7ff)) + 4;
            assert_eq!(precision_and_scale(typmod), expected, "numeric({precision},{scale})");
        }
        assert_eq!(precision_and_scale(-1), None);
    }
}
