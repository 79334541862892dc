//! From Arrow to Postgres: the types of a target's columns.
//!
//! | Arrow | column that is created | also taken | loud about |
//! |---|---|---|---|
//! | Int16, Int32, Int64 | smallint, integer, bigint | a wider one | |
//! | Float32, Float64 | real, double precision | a wider one | |
//! | Decimal128(p,s) | numeric(p,s) | a wider one, numeric | |
//! | Boolean | boolean | | |
//! | Utf8, at most n characters | varchar(n) | text, varchar, char(n), citext, an enum, json | over-length, NUL; char(n): blanks at the end |
//! | Utf8 | text | the same | NUL |
//! | Utf8, a json | json | text | NUL |
//! | Utf8, a jsonb of another Postgres | jsonb | json, text | NUL |
//! | Utf8, an array of another Postgres | the same array if its elements are built in, else text | an array, text | |
//! | Binary | bytea | | |
//! | Date32 | date | | |
//! | Timestamp(µs) | timestamp(f), f = 6 unless declared | more digits | digits beyond f |
//! | Timestamp(µs, UTC) | timestamptz(f) | more digits | digits beyond f |
//! | Time64(µs) | time(f) | more digits | digits beyond f |
//! | FixedSizeBinary(16) | uuid | | |
//!
//! A text that is no `jsonb` does not go into a `jsonb` column: it would come back with other
//! blanks and another order of keys. A column of a domain is one of its base type.

use std::fmt;

use arrow::datatypes::{DataType, Field, TimeUnit};
use etl_core::error::{Error, Result};
use etl_core::schema::{meta, meta_number};

use super::catalog::Column;

/// A column's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqlType {
    /// `smallint`
    SmallInt,
    /// `integer`
    Integer,
    /// `bigint`
    BigInt,
    /// `real`
    Real,
    /// `double precision`
    Double,
    /// `numeric(p,s)`, or `numeric`
    Numeric(Option<(u16, i16)>),
    /// `boolean`
    Boolean,
    /// `varchar(n)`, or `text` and `varchar`
    Text(Option<u32>),
    /// `char(n)`
    Char(u32),
    /// `citext`
    CiText,
    /// An enum
    Enum,
    /// An array of anything
    Array,
    /// `json`
    Json,
    /// `jsonb`
    Jsonb,
    /// `bytea`
    Bytea,
    /// `date`
    Date,
    /// `time(f)`
    Time(u8),
    /// `timestamp(f)`
    Timestamp(u8),
    /// `timestamptz(f)`
    TimestampTz(u8),
    /// `uuid`
    Uuid,
}

/// `varchar(n)` takes no greater n.
const MOST_CHARS: u32 = 10_485_760;

impl SqlType {
    /// The type of a column that we create for `field`.
    ///
    /// # Errors
    /// `Schema` if there is none.
    pub fn of(field: &Field) -> Result<Self> {
        Ok(match field.data_type() {
            DataType::Int16 => Self::SmallInt,
            DataType::Int32 => Self::Integer,
            DataType::Int64 => Self::BigInt,
            DataType::Float32 => Self::Real,
            DataType::Float64 => Self::Double,
            DataType::Boolean => Self::Boolean,
            DataType::Binary => Self::Bytea,
            DataType::Date32 => Self::Date,
            DataType::FixedSizeBinary(16) => Self::Uuid,
            DataType::Utf8 => text(field),
            DataType::Timestamp(TimeUnit::Microsecond, None) => Self::Timestamp(fraction(field)),
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
                Self::TimestampTz(fraction(field))
            }
            DataType::Time64(TimeUnit::Microsecond) => Self::Time(fraction(field)),
            DataType::Decimal128(precision, scale) if *scale >= 0 => {
                Self::Numeric(Some((u16::from(*precision), i16::from(*scale))))
            }
            _ => {
                return Err(Error::schema(format!(
                    "column {}: {} has no Postgres type here; declare one under columns or leave \
                     it out of select",
                    field.name(),
                    field.data_type()
                )));
            }
        })
    }

    /// The type of a column that is there; `None` for one that nothing is written to.
    #[must_use]
    pub fn from_catalog(column: &Column) -> Option<Self> {
        let digits = || u8::try_from(column.typmod).unwrap_or(6);
        // The typmod of texts counts four bytes of header.
        let length = || u32::try_from(column.typmod.saturating_sub(4)).ok();
        Some(match column.type_oid {
            16 => Self::Boolean,
            17 => Self::Bytea,
            20 => Self::BigInt,
            21 => Self::SmallInt,
            23 => Self::Integer,
            25 => Self::Text(None),
            114 => Self::Json,
            700 => Self::Real,
            701 => Self::Double,
            1042 => Self::Char(length()?),
            1043 => Self::Text(length()),
            1082 => Self::Date,
            1083 => Self::Time(digits()),
            1114 => Self::Timestamp(digits()),
            1184 => Self::TimestampTz(digits()),
            1700 => Self::Numeric(precision_and_scale(column.typmod)),
            2950 => Self::Uuid,
            3802 => Self::Jsonb,
            _ if column.type_category == "A" => Self::Array,
            _ if column.type_kind == "e" => Self::Enum,
            _ if column.type_name == "citext" => Self::CiText,
            _ => return None,
        })
    }

    /// Whether a column of this type takes every value that `wanted` is made for, or makes a
    /// value that it does not take an error rather than another value.
    #[must_use]
    pub fn takes(self, wanted: Self) -> bool {
        match (self, wanted) {
            (Self::Integer | Self::BigInt, Self::SmallInt)
            | (Self::BigInt, Self::Integer)
            | (Self::Double, Self::Real)
            | (Self::Numeric(None), Self::Numeric(_))
            // Lengths are checked value by value before a row leaves.
            | (
                Self::Text(_) | Self::Char(_) | Self::CiText | Self::Enum | Self::Json,
                Self::Text(_),
            )
            | (Self::Text(_), Self::Json | Self::Jsonb | Self::Array)
            | (Self::Json, Self::Jsonb) => true,
            (Self::Numeric(Some((p, s))), Self::Numeric(Some((wanted_p, wanted_s)))) => {
                let whole = |p: u16, s: i16| i32::from(p) - i32::from(s);
                s >= wanted_s && whole(p, s) >= whole(wanted_p, wanted_s)
            }
            (Self::Timestamp(f), Self::Timestamp(wanted))
            | (Self::TimestampTz(f), Self::TimestampTz(wanted))
            | (Self::Time(f), Self::Time(wanted)) => f >= wanted,
            (same, wanted) => same == wanted,
        }
    }

    /// The type in which a value waits in the staging table: one whose binary form we send.
    #[must_use]
    pub const fn staged(self) -> &'static str {
        match self {
            Self::SmallInt => "smallint",
            Self::Integer => "integer",
            Self::BigInt => "bigint",
            Self::Real => "real",
            Self::Double => "double precision",
            Self::Numeric(_) => "numeric",
            Self::Boolean => "boolean",
            Self::Text(_) | Self::Char(_) | Self::CiText | Self::Enum | Self::Array => "text",
            Self::Json => "json",
            Self::Jsonb => "jsonb",
            Self::Bytea => "bytea",
            Self::Date => "date",
            Self::Time(_) => "time",
            Self::Timestamp(_) => "timestamp",
            Self::TimestampTz(_) => "timestamptz",
            Self::Uuid => "uuid",
        }
    }

    /// Whether a staged value becomes one of the column only by a cast that SQL has to name.
    #[must_use]
    pub const fn is_cast(self) -> bool {
        matches!(self, Self::Char(_) | Self::CiText | Self::Enum | Self::Array)
    }
}

impl fmt::Display for SqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Numeric(Some((precision, scale))) => write!(f, "numeric({precision},{scale})"),
            Self::Text(Some(chars)) => write!(f, "varchar({chars})"),
            Self::Char(chars) => write!(f, "char({chars})"),
            Self::CiText => f.write_str("citext"),
            Self::Enum => f.write_str("an enum"),
            Self::Array => f.write_str("an array"),
            Self::Time(digits) => write!(f, "time({digits})"),
            Self::Timestamp(digits) => write!(f, "timestamp({digits})"),
            Self::TimestampTz(digits) => write!(f, "timestamptz({digits})"),
            other => f.write_str(other.staged()),
        }
    }
}

/// The type of a column that we create, as SQL declares it.
#[must_use]
pub fn declaration(sql_type: SqlType, field: &Field) -> String {
    match (sql_type, built_in_array(field)) {
        (SqlType::Array, Some(array)) => array.to_owned(),
        _ => sql_type.to_string(),
    }
}

/// The source's own name of an array whose elements every Postgres knows.
fn built_in_array(field: &Field) -> Option<&str> {
    const ELEMENTS: &[&str] = &[
        "smallint",
        "integer",
        "bigint",
        "real",
        "double precision",
        "numeric",
        "boolean",
        "text",
        "character varying",
        "uuid",
        "date",
        "timestamp without time zone",
        "timestamp with time zone",
    ];
    let metadata = field.metadata();
    if metadata.get(meta::MEANING).is_none_or(|meaning| meaning != "array") {
        return None;
    }
    let source = metadata.get(meta::SOURCE_TYPE)?;
    ELEMENTS.contains(&source.strip_suffix("[]")?).then_some(source.as_str())
}

fn text(field: &Field) -> SqlType {
    let has = |key: &str, value: &str| field.metadata().get(key).is_some_and(|has| has == value);
    if has(meta::MEANING, "json") {
        let exact = has(meta::SOURCE_TYPE, "jsonb");
        return if exact { SqlType::Jsonb } else { SqlType::Json };
    }
    if built_in_array(field).is_some() {
        return SqlType::Array;
    }
    // No text has more characters than UTF-16 units.
    let chars = meta_number(field, meta::MAX_CHARS).or_else(|| meta_number(field, meta::MAX_UNITS));
    SqlType::Text(chars.filter(|chars| (1..=MOST_CHARS).contains(chars)))
}

fn fraction(field: &Field) -> u8 {
    meta_number(field, meta::FRACTION)
        .and_then(|digits| u8::try_from(digits).ok())
        .unwrap_or(6)
        .min(6)
}

/// Precision and scale of a numeric's typmod; a scale may be negative since Postgres 15.
fn precision_and_scale(typmod: i32) -> Option<(u16, i16)> {
    let packed = typmod.checked_sub(4).filter(|packed| *packed >= 0)?;
    let precision = u16::try_from((packed >> 16) & 0xffff).ok()?;
    let scale = i16::try_from(((packed & 0x7ff) ^ 1024) - 1024).ok()?;
    Some((precision, scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(entries: &[(&str, &str)]) -> String {
        let metadata = entries.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let field = Field::new("a", DataType::Utf8, true).with_metadata(metadata);
        declaration(SqlType::of(&field).unwrap(), &field)
    }

    #[test]
    fn a_column_of_postgres_gets_its_own_type_back() {
        assert_eq!(of(&[]), "text");
        assert_eq!(of(&[(meta::MAX_CHARS, "10")]), "varchar(10)");
        assert_eq!(of(&[(meta::MAX_UNITS, "10")]), "varchar(10)");
        assert_eq!(of(&[(meta::MAX_CHARS, "10485761")]), "text");
        assert_eq!(of(&[(meta::MEANING, "json")]), "json");
        assert_eq!(of(&[(meta::MEANING, "json"), (meta::SOURCE_TYPE, "jsonb")]), "jsonb");
        let array = |of_what| [(meta::MEANING, "array"), (meta::SOURCE_TYPE, of_what)];
        assert_eq!(of(&array("integer[]")), "integer[]");
        assert_eq!(of(&array("shop.mood[]")), "text");
        assert_eq!(of(&[(meta::SOURCE_TYPE, "integer[]")]), "text");
    }

    #[test]
    fn a_narrower_target_is_told_from_a_wider_one() {
        let numeric = |p, s| SqlType::Numeric(Some((p, s)));
        assert!(numeric(19, 4).takes(numeric(17, 2)) && !numeric(18, 4).takes(numeric(18, 2)));
        assert!(!numeric(18, 1).takes(numeric(10, 2)) && !numeric(10, 2).takes(numeric(11, 2)));
        assert!(SqlType::Numeric(None).takes(numeric(38, 38)));
        assert!(!numeric(38, 0).takes(SqlType::Numeric(None)));
        assert!(!SqlType::Timestamp(3).takes(SqlType::Timestamp(6)));
        assert!(!SqlType::Timestamp(6).takes(SqlType::TimestampTz(6)));
        assert!(!SqlType::Jsonb.takes(SqlType::Json) && SqlType::Json.takes(SqlType::Jsonb));
        assert!(!SqlType::Jsonb.takes(SqlType::Text(None)));
        assert!(!SqlType::Integer.takes(SqlType::BigInt));
    }
}
