//! SQL Server types and the Arrow types that carry them.
//!
//! | SQL Server | Arrow | read as | loud about |
//! |---|---|---|---|
//! | bit | Boolean | | |
//! | tinyint, smallint | Int16 | | |
//! | int, bigint | Int32, Int64 | | |
//! | real, float | Float32, Float64 | | NaN, ±Infinity |
//! | decimal(p,s), numeric(p,s) | Decimal128(p,s), or as declared | | digits that the declared one lacks |
//! | money, smallmoney | Decimal128(19,4), Decimal128(10,4) | decimal | |
//! | nvarchar(n) | Utf8, at most n units | | half of a surrogate pair |
//! | varchar(n) | Utf8, at most n units | nvarchar, by the server | |
//! | nchar(n), char(n) | Utf8, at most n units, without the blanks at the end | nvarchar | half of a surrogate pair |
//! | nvarchar(max), varchar(max), ntext, text | Utf8 | nvarchar(max) | half of a surrogate pair |
//! | binary(n), varbinary(n), varbinary(max), image | Binary | | |
//! | rowversion | Binary, eight bytes | | |
//! | uniqueidentifier | FixedSizeBinary(16), in the order in which it is written | | |
//! | date | Date32 | | |
//! | time(f), f ≤ 6 | Time64(µs), f digits | | |
//! | datetime2(f), f ≤ 6 | Timestamp(µs), f digits | | |
//! | datetime | Timestamp(µs), 3 digits | the milliseconds that the server shows | |
//! | smalldatetime | Timestamp(µs), 0 digits | | |
//! | time(7), datetime2(7) | as declared: `datetime2(6)` cuts the seventh digit off, `text` keeps it | text by style 121 | undeclared |
//! | datetimeoffset(f) | as declared: `datetimeoffset(6)` is the instant without its offset and seventh digit, `text` keeps both | text by style 121 | undeclared |
//! | xml, hierarchyid, json | Utf8 if declared as text | nvarchar(max) | undeclared |
//! | sql_variant, geography, geometry, vector, CLR types | none | | always |
//!
//! An alias type is the type behind it. What loses something has to be declared under `columns`.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Field, TimeUnit};
use etl_core::error::{Error, Result};
use etl_core::schema::{Declared, meta};

use super::catalog::Column;
use crate::mssql::quote;
use crate::mssql::types::BINARY_COLLATION;

/// How a column's values arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// `bit`
    Bit,
    /// `tinyint`
    TinyInt,
    /// `smallint`
    SmallInt,
    /// `int`
    Int,
    /// `bigint`
    BigInt,
    /// `real`
    Real,
    /// `float`
    Float,
    /// A decimal with the second scale, to become one of this precision and the first scale.
    Decimal(u8, u8, u8),
    /// UTF-16, decoded by the driver.
    Text,
    /// As they are.
    Bytes,
    /// `uniqueidentifier`
    Guid,
    /// `date`
    Date,
    /// `time(f)`
    Time(u8),
    /// `datetime`
    DateTime,
    /// `smalldatetime`
    SmallDateTime,
    /// `datetime2(f)`
    DateTime2(u8),
    /// `datetimeoffset(f)`
    DateTimeOffset(u8),
}

/// A column as it is read.
#[derive(Debug, Clone)]
pub struct Mapped {
    /// Name, Arrow type, nullability, meaning.
    pub field: Field,
    /// How it arrives.
    pub wire: Wire,
    /// The SQL expression that yields it.
    pub expression: String,
    /// Whether its own order is by code unit, as that of [`BINARY_COLLATION`].
    binary: bool,
}

impl Mapped {
    /// The SQL expression by which it orders: total, and the same on every server.
    #[must_use]
    pub fn order(&self) -> String {
        if self.wire == Wire::Text && !self.binary {
            format!("{} COLLATE {BINARY_COLLATION}", self.expression)
        } else {
            self.expression.clone()
        }
    }

    /// A literal of its type, from the text that [`super::Record::text`] gives.
    #[must_use]
    pub fn literal(&self, text: &str) -> String {
        if self.wire == Wire::Bytes && is_hex(text) {
            return text.to_owned();
        }
        self.value(&quote::text(text))
    }

    /// A value of its type, from an SQL expression that yields such a text.
    #[must_use]
    pub fn value(&self, text: &str) -> String {
        let as_type = |name: &str| format!("CONVERT({name}, {text})");
        match self.wire {
            Wire::Bit => as_type("bit"),
            Wire::TinyInt | Wire::SmallInt => as_type("smallint"),
            Wire::Int => as_type("int"),
            Wire::BigInt => as_type("bigint"),
            Wire::Real => as_type("real"),
            Wire::Float => as_type("float(53)"),
            Wire::Decimal(_, _, scale) => as_type(&format!("decimal(38,{scale})")),
            Wire::Text => text.to_owned(),
            Wire::Bytes => format!("CONVERT(varbinary(max), {text}, 1)"),
            Wire::Guid => as_type("uniqueidentifier"),
            Wire::Date => as_type("date"),
            Wire::Time(digits) => as_type(&format!("time({digits})")),
            Wire::DateTime => format!("CONVERT(datetime, CONVERT(datetime2(3), {text}, 126))"),
            Wire::SmallDateTime => format!("CONVERT(smalldatetime, {text}, 126)"),
            Wire::DateTime2(digits) => format!("CONVERT(datetime2({digits}), {text}, 126)"),
            Wire::DateTimeOffset(digits) => {
                format!("CONVERT(datetimeoffset({digits}), {text}, 126)")
            }
        }
    }

    /// Such a text, from that of a [`RowKey`](etl_core::RowKey); `None` if a value is not what its
    /// key says, because a seventh digit was cut off.
    #[must_use]
    pub fn key_text(&self, text: &str) -> Option<String> {
        Some(match self.wire {
            Wire::Time(7) | Wire::DateTime2(7) | Wire::DateTimeOffset(7) => return None,
            Wire::Bit => u8::from(text == "true").to_string(),
            Wire::Bytes => format!("0x{text}"),
            Wire::Guid => uuid::Uuid::try_parse(text).ok()?.to_string(),
            Wire::SmallDateTime => text.split('.').next().unwrap_or_default().to_owned(),
            Wire::DateTimeOffset(_) => format!("{}+00:00", text.trim_end_matches('Z')),
            _ => text.to_owned(),
        })
    }
}

/// Whether a text is a binary literal; a position may have been typed by a person.
fn is_hex(text: &str) -> bool {
    text.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

impl Wire {
    /// The Arrow type that carries it.
    #[must_use]
    pub fn arrow(self) -> DataType {
        match self {
            Self::Bit => DataType::Boolean,
            Self::TinyInt | Self::SmallInt => DataType::Int16,
            Self::Int => DataType::Int32,
            Self::BigInt => DataType::Int64,
            Self::Real => DataType::Float32,
            Self::Float => DataType::Float64,
            Self::Decimal(precision, scale, _) => {
                DataType::Decimal128(precision, i8::try_from(scale).unwrap_or(38))
            }
            Self::Text => DataType::Utf8,
            Self::Bytes => DataType::Binary,
            Self::Guid => DataType::FixedSizeBinary(16),
            Self::Date => DataType::Date32,
            Self::Time(_) => DataType::Time64(TimeUnit::Microsecond),
            Self::DateTime | Self::SmallDateTime | Self::DateTime2(_) => {
                DataType::Timestamp(TimeUnit::Microsecond, None)
            }
            Self::DateTimeOffset(_) => {
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
            }
        }
    }
}

/// Maps a column, as declared in the config if it is.
///
/// # Errors
/// `Config` if the declaration does not fit the type; `Schema` if the type needs one or cannot be
/// carried.
pub fn map(column: &Column, declared: Option<Declared>) -> Result<Mapped> {
    let Native { wire, mut expression, bound } = native(column)?;
    let instead = declare(column, wire, declared)?;
    let own: HashMap<String, String> =
        bound.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    if let Some(declared) = declared {
        declared.holds(&column.name, &column.declared(), &wire.arrow(), &own)?;
    }
    let as_text = instead == Wire::Text && wire != Wire::Text;
    if as_text {
        // Every digit, and the offset.
        expression = format!("CONVERT(nvarchar(40), {expression}, 121)");
    }
    let wire = instead;
    let mut metadata = own;
    if let Some(metadata_of) = declared.map(Declared::metadata).filter(|of| as_text || of.is_some())
    {
        // What is declared takes the place of what the type says.
        metadata = metadata_of.map(|(key, value)| (key.to_owned(), value)).into_iter().collect();
    }
    match wire {
        Wire::Guid => drop(metadata.insert(meta::MEANING.to_owned(), "uuid".to_owned())),
        Wire::Text if as_text || converted_text(column) => {
            let meaning = if column.type_name == "json" { "json" } else { "text" };
            metadata.insert(meta::MEANING.to_owned(), meaning.to_owned());
        }
        _ => {}
    }
    metadata.insert(meta::SOURCE_TYPE.to_owned(), column.declared());
    let field = Field::new(&column.name, wire.arrow(), column.nullable).with_metadata(metadata);
    let binary = matches!(column.type_name.as_str(), "nvarchar")
        && column.collation.as_deref() == Some(BINARY_COLLATION);
    Ok(Mapped { field, wire, expression, binary })
}

struct Native {
    wire: Wire,
    expression: String,
    bound: Option<(&'static str, String)>,
}

fn native(column: &Column) -> Result<Native> {
    let name = quote::name(&column.name)?;
    let plain = |wire| Native { wire, expression: name.clone(), bound: None };
    let fraction = |wire, digits: u8| Native {
        bound: Some((meta::FRACTION, digits.to_string())),
        ..plain(wire)
    };
    let converted =
        |wire, kind: &str| Native { expression: format!("CONVERT({kind}, {name})"), ..plain(wire) };
    let scale = column.scale;
    Ok(match column.type_name.as_str() {
        "bit" => plain(Wire::Bit),
        "tinyint" => plain(Wire::TinyInt),
        "smallint" => plain(Wire::SmallInt),
        "int" => plain(Wire::Int),
        "bigint" => plain(Wire::BigInt),
        "real" => plain(Wire::Real),
        "float" => plain(if column.precision <= 24 { Wire::Real } else { Wire::Float }),
        "decimal" | "numeric" => plain(Wire::Decimal(column.precision, scale, scale)),
        // The driver would make them binary fractions.
        "money" => converted(Wire::Decimal(19, 4, 4), "decimal(19,4)"),
        "smallmoney" => converted(Wire::Decimal(10, 4, 4), "decimal(10,4)"),
        "nvarchar" | "varchar" | "nchar" | "char" | "ntext" | "text" | "xml" | "hierarchyid"
        | "json" => text(column, &name),
        "binary" | "varbinary" | "timestamp" | "rowversion" => plain(Wire::Bytes),
        "image" => converted(Wire::Bytes, "varbinary(max)"),
        "uniqueidentifier" => plain(Wire::Guid),
        "date" => plain(Wire::Date),
        "time" => fraction(Wire::Time(scale), scale),
        "datetime" => fraction(Wire::DateTime, 3),
        "smalldatetime" => fraction(Wire::SmallDateTime, 0),
        "datetime2" => fraction(Wire::DateTime2(scale), scale),
        "datetimeoffset" => fraction(Wire::DateTimeOffset(scale), scale),
        other => {
            return Err(Error::schema(format!(
                "column {}: {other} has no exact form outside of SQL Server; take it out of \
                 select, or add a computed column that says what is meant",
                column.name
            )));
        }
    })
}

/// Texts come as UTF-16: the server knows every code page better than any driver does.
fn text(column: &Column, name: &str) -> Native {
    let unit = if column.type_name.starts_with('n') { 2 } else { 1 };
    let bounded = matches!(column.type_name.as_str(), "nvarchar" | "varchar" | "nchar" | "char");
    let units = u32::try_from(column.max_length).ok().map(|bytes| bytes / unit);
    let units = units.filter(|_| bounded);
    let kind = match units {
        Some(units) if units <= 4000 => format!("nvarchar({units})"),
        _ => "nvarchar(max)".to_owned(),
    };
    let expression = match column.type_name.as_str() {
        "nvarchar" => name.to_owned(),
        // The blanks fill the column up and mean nothing.
        "nchar" | "char" => format!("RTRIM(CONVERT({kind}, {name}))"),
        _ => format!("CONVERT({kind}, {name})"),
    };
    let bound = units.map(|units| (meta::MAX_UNITS, units.to_string()));
    Native { wire: Wire::Text, expression, bound }
}

/// Types that are texts only once somebody says so.
fn converted_text(column: &Column) -> bool {
    matches!(column.type_name.as_str(), "xml" | "hierarchyid" | "json")
}

fn declare(column: &Column, wire: Wire, declared: Option<Declared>) -> Result<Wire> {
    let (name, kind) = (&column.name, column.declared());
    let unfit = |allowed: &str| {
        Error::config(format!("columns.{name}: {kind} can be declared as {allowed} only"))
    };
    let otherwise = if wire == Wire::Text { "" } else { "; to carry all of it, declare text" };
    let wants = |why: &str, declaration: &str| {
        Error::schema(format!(
            "column {name}: {kind} {why}. To accept that, write columns: {{ {name}: \
             \"{declaration}\" }}{otherwise}"
        ))
    };
    match (wire, declared) {
        (Wire::Text, None) if converted_text(column) => Err(wants("is no text", "text")),
        (Wire::Time(7), None) => {
            Err(wants("has a seventh digit, which would be cut off", "time(6)"))
        }
        (Wire::DateTime2(7), None) => {
            Err(wants("has a seventh digit, which would be cut off", "datetime2(6)"))
        }
        (Wire::DateTimeOffset(digits), None) => Err(wants(
            "has an offset; only the instant is carried, in UTC",
            &format!("datetimeoffset({})", digits.min(6)),
        )),
        (wire, None) => Ok(wire),
        (Wire::Text, Some(Declared::Text | Declared::Chars(_) | Declared::Units(_))) => Ok(wire),
        (Wire::Text, Some(_)) => Err(unfit("text, varchar(n) or nvarchar(n)")),
        (Wire::Decimal(_, _, from), Some(Declared::Decimal(precision, scale))) => {
            Ok(Wire::Decimal(precision, u8::try_from(scale).unwrap_or(0), from))
        }
        (Wire::Decimal(..), Some(_)) => Err(unfit("decimal(p,s)")),
        (
            Wire::Time(_) | Wire::DateTime2(_) | Wire::DateTimeOffset(_),
            Some(Declared::Text | Declared::Chars(_) | Declared::Units(_)),
        ) => Ok(Wire::Text),
        (Wire::Time(_), Some(Declared::Time(_))) => Ok(wire),
        (Wire::Time(_), Some(_)) => Err(unfit("time(f) or text")),
        (
            Wire::DateTime2(_) | Wire::DateTime | Wire::SmallDateTime,
            Some(Declared::Timestamp(_)),
        ) => Ok(wire),
        (Wire::DateTime2(_) | Wire::DateTime | Wire::SmallDateTime, Some(_)) => {
            Err(unfit("datetime2(f), or datetime2 as text"))
        }
        (Wire::DateTimeOffset(_), Some(Declared::TimestampTz(_))) => Ok(wire),
        (Wire::DateTimeOffset(_), Some(_)) => Err(unfit("datetimeoffset(f) or text")),
        (_, Some(_)) => Err(Error::config(format!(
            "columns.{name}: {kind} has one exact form only; take the declaration out"
        ))),
    }
}
