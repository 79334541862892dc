//! From Arrow to SQL Server.
//!
//! | Arrow | column | staged as | loud about |
//! |---|---|---|---|
//! | Int16, Int32, Int64 | smallint, int, bigint | same | |
//! | Float32, Float64 | real, float(53) | same | NaN, ±Inf, subnormal |
//! | Decimal128(p,s) | decimal(p,s) | same | more digits than the column has |
//! | Boolean | bit | bit | |
//! | Utf8, at most n characters | nvarchar(2n) up to 4000, else nvarchar(max) | up to 2000, else max | over-length, in UTF-16 units |
//! | Utf8, at most n units | nvarchar(n) up to 4000, else nvarchar(max) | up to 2000, else max | over-length |
//! | Utf8 | nvarchar(max) | nvarchar(max) | |
//! | Binary | varbinary(max) | varbinary(max) | |
//! | Date32 | date | date | before 0001, after 9999 |
//! | Timestamp(µs) | datetime2(f), f = 6 unless declared | datetime2(7) | out of range, digits beyond f |
//! | Timestamp(µs, UTC) | datetimeoffset(f) | datetimeoffset(7) | out of range, digits beyond f |
//! | Time64(µs) | time(f) | time(7) | 24:00, digits beyond f |
//! | FixedSizeBinary(16) | uniqueidentifier | same | |
//!
//! Times are staged at scale 7, whatever the target's: the driver sends them at the scale of the
//! value it is given and announces 7 in `INSERT BULK`, so any other scale is silently misread.
//! Lengths beyond 2000 are staged as `max` because the driver announces bytes as characters.

use arrow::datatypes::{DataType, Field, TimeUnit};
use etl_core::schema::{meta, meta_number};
use etl_core::{Error, Result};

/// The binary collation of keys and of every comparison that decides whether a row differs.
pub const BINARY_COLLATION: &str = "Latin1_General_100_BIN2";

/// A column's type in SQL Server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqlType {
    /// `smallint`
    SmallInt,
    /// `int`
    Int,
    /// `bigint`
    BigInt,
    /// `real`
    Real,
    /// `float(53)`
    Float,
    /// `decimal(p,s)`
    Decimal(u8, u8),
    /// `bit`
    Bit,
    /// `nvarchar(n)`, n UTF-16 code units; `None` is `max`
    NVarChar(Option<u16>),
    /// `varbinary(n)`, n bytes; `None` is `max`
    VarBinary(Option<u16>),
    /// `date`
    Date,
    /// `datetime2(f)`
    DateTime2(u8),
    /// `datetimeoffset(f)`
    DateTimeOffset(u8),
    /// `time(f)`
    Time(u8),
    /// `uniqueidentifier`
    UniqueIdentifier,
}

/// `nvarchar` without `max` holds this many UTF-16 code units.
const NVARCHAR_UNITS: u32 = 4000;
/// The longest `nvarchar` whose bulk-load announcement the driver gets right.
const STAGE_UNITS: u16 = 2000;

impl SqlType {
    /// The type of a column that we create for `field`.
    ///
    /// # Errors
    /// `Schema` if there is none.
    pub fn of(field: &Field) -> Result<Self> {
        Ok(match field.data_type() {
            DataType::Int16 => Self::SmallInt,
            DataType::Int32 => Self::Int,
            DataType::Int64 => Self::BigInt,
            DataType::Float32 => Self::Real,
            DataType::Float64 => Self::Float,
            DataType::Boolean => Self::Bit,
            DataType::Binary => Self::VarBinary(None),
            DataType::Date32 => Self::Date,
            DataType::FixedSizeBinary(16) => Self::UniqueIdentifier,
            DataType::Utf8 => Self::NVarChar(text_units(field)),
            DataType::Timestamp(TimeUnit::Microsecond, None) => Self::DateTime2(fraction(field)),
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
                Self::DateTimeOffset(fraction(field))
            }
            DataType::Time64(TimeUnit::Microsecond) => Self::Time(fraction(field)),
            DataType::Decimal128(precision, scale) => {
                let scale = u8::try_from(*scale).ok().filter(|scale| scale <= precision);
                match scale {
                    Some(scale) => Self::Decimal(*precision, scale),
                    None => return Err(unmapped(field)),
                }
            }
            _ => return Err(unmapped(field)),
        })
    }

    /// The type in which a value waits in the staging table.
    #[must_use]
    pub fn staged(self) -> Self {
        match self {
            Self::NVarChar(Some(units)) if units > STAGE_UNITS => Self::NVarChar(None),
            Self::VarBinary(_) => Self::VarBinary(None),
            Self::DateTime2(_) => Self::DateTime2(7),
            Self::DateTimeOffset(_) => Self::DateTimeOffset(7),
            Self::Time(_) => Self::Time(7),
            same => same,
        }
    }

    /// Whether it is a text.
    #[must_use]
    pub fn is_text(self) -> bool {
        matches!(self, Self::NVarChar(_))
    }

    /// How many bytes a key column of it takes in an index; `None` if it cannot be a key.
    #[must_use]
    pub fn key_bytes(self) -> Option<u32> {
        Some(match self {
            Self::SmallInt => 2,
            Self::Int | Self::Real => 4,
            Self::BigInt | Self::Float => 8,
            Self::Decimal(precision, _) => match precision {
                0..=9 => 5,
                10..=19 => 9,
                20..=28 => 13,
                _ => 17,
            },
            Self::Bit => 1,
            Self::Date => 3,
            Self::Time(_) => 5,
            Self::DateTime2(_) => 8,
            Self::DateTimeOffset(_) => 10,
            Self::UniqueIdentifier => 16,
            Self::NVarChar(units) => u32::from(units?) * 2,
            Self::VarBinary(bytes) => u32::from(bytes?),
        })
    }

    /// Whether a column of this type takes every value that `wanted` is made for, or makes a value
    /// that it does not take an error rather than another value.
    #[must_use]
    pub fn takes(self, wanted: Self) -> bool {
        match (self, wanted) {
            (Self::Decimal(precision, scale), Self::Decimal(wanted, wanted_scale)) => {
                scale >= wanted_scale && precision - scale >= wanted - wanted_scale
            }
            (Self::DateTime2(f), Self::DateTime2(wanted))
            | (Self::DateTimeOffset(f), Self::DateTimeOffset(wanted))
            | (Self::Time(f), Self::Time(wanted)) => f >= wanted,
            (Self::BigInt, Self::Int | Self::SmallInt) | (Self::Int, Self::SmallInt) => true,
            (Self::Float, Self::Real) => true,
            // Lengths are checked value by value before a row leaves.
            (Self::NVarChar(_), Self::NVarChar(_)) | (Self::VarBinary(_), Self::VarBinary(_)) => {
                true
            }
            (same, wanted) => same == wanted,
        }
    }

    /// The type of a column that is there, from `sys.columns`.
    #[must_use]
    pub fn from_catalog(name: &str, max_length: i16, precision: u8, scale: u8) -> Option<Self> {
        let length = u16::try_from(max_length).ok();
        Some(match name.to_ascii_lowercase().as_str() {
            "smallint" => Self::SmallInt,
            "int" => Self::Int,
            "bigint" => Self::BigInt,
            "real" => Self::Real,
            "float" => Self::Float,
            "decimal" | "numeric" => Self::Decimal(precision, scale),
            "bit" => Self::Bit,
            "nvarchar" => Self::NVarChar(length.map(|bytes| bytes / 2)),
            "varbinary" => Self::VarBinary(length),
            "date" => Self::Date,
            "datetime2" => Self::DateTime2(scale),
            "datetimeoffset" => Self::DateTimeOffset(scale),
            "time" => Self::Time(scale),
            "uniqueidentifier" => Self::UniqueIdentifier,
            _ => return None,
        })
    }
}

impl std::fmt::Display for SqlType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::SmallInt => f.write_str("smallint"),
            Self::Int => f.write_str("int"),
            Self::BigInt => f.write_str("bigint"),
            Self::Real => f.write_str("real"),
            Self::Float => f.write_str("float(53)"),
            Self::Decimal(precision, scale) => write!(f, "decimal({precision},{scale})"),
            Self::Bit => f.write_str("bit"),
            Self::NVarChar(Some(units)) => write!(f, "nvarchar({units})"),
            Self::NVarChar(None) => f.write_str("nvarchar(max)"),
            Self::VarBinary(Some(bytes)) => write!(f, "varbinary({bytes})"),
            Self::VarBinary(None) => f.write_str("varbinary(max)"),
            Self::Date => f.write_str("date"),
            Self::DateTime2(digits) => write!(f, "datetime2({digits})"),
            Self::DateTimeOffset(digits) => write!(f, "datetimeoffset({digits})"),
            Self::Time(digits) => write!(f, "time({digits})"),
            Self::UniqueIdentifier => f.write_str("uniqueidentifier"),
        }
    }
}

/// A Postgres `varchar(n)` counts characters, `nvarchar(n)` UTF-16 units: a character outside the
/// basic plane takes two.
fn text_units(field: &Field) -> Option<u16> {
    let units = match meta_number(field, meta::MAX_UNITS) {
        Some(units) => units,
        None => meta_number(field, meta::MAX_CHARS)?.checked_mul(2)?,
    };
    u16::try_from(units).ok().filter(|_| units <= NVARCHAR_UNITS)
}

fn fraction(field: &Field) -> u8 {
    meta_number(field, meta::FRACTION)
        .and_then(|digits| u8::try_from(digits).ok())
        .unwrap_or(6)
        .min(7)
}

fn unmapped(field: &Field) -> Error {
    Error::schema(format!(
        "column {}: {} has no SQL Server type here; declare one under columns or leave it out of select",
        field.name(),
        field.data_type()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(key: &str, length: &str) -> Field {
        Field::new("a", DataType::Utf8, true)
            .with_metadata([(key.to_owned(), length.to_owned())].into())
    }

    #[test]
    fn a_text_gets_room_for_every_character() {
        let of = |key, length| SqlType::of(&text(key, length)).unwrap().to_string();
        assert_eq!(of(meta::MAX_CHARS, "10"), "nvarchar(20)");
        assert_eq!(of(meta::MAX_CHARS, "2000"), "nvarchar(4000)");
        assert_eq!(of(meta::MAX_CHARS, "2001"), "nvarchar(max)");
        assert_eq!(of(meta::MAX_UNITS, "4000"), "nvarchar(4000)");
        assert_eq!(of("other", "4000"), "nvarchar(max)");
    }

    #[test]
    fn a_narrower_target_is_told_from_a_wider_one() {
        assert!(SqlType::Decimal(19, 4).takes(SqlType::Decimal(17, 2)));
        assert!(!SqlType::Decimal(18, 4).takes(SqlType::Decimal(18, 2)));
        assert!(!SqlType::Decimal(18, 1).takes(SqlType::Decimal(10, 2)));
        assert!(!SqlType::DateTime2(3).takes(SqlType::DateTime2(6)));
        assert!(!SqlType::Int.takes(SqlType::BigInt));
        assert!(!SqlType::DateTime2(7).takes(SqlType::DateTimeOffset(6)));
    }
}
