//! Which declared types carry which Arrow types, both ways.
//!
//! A declared type of SQLite decides only the column's *affinity*, by the letters in its name
//! (<https://sqlite.org/datatype3.html#determination_of_column_affinity>). `DECIMAL(18,2)` would
//! have numeric affinity and turn `'1.10'` into the binary number 1.1; so names that must keep
//! their text end in `_TEXT`.
//!
//! | Arrow | declared in a target | kept as | loud about |
//! |---|---|---|---|
//! | Int16, Int32, Int64 | `INT2`, `INT4`, `INTEGER` | integer | |
//! | Float32, Float64 | `FLOAT4`, `REAL` | 8-byte float | NaN, −0.0 |
//! | Decimal128(p,s) | `DECIMAL_TEXT(p,s)` | text with all s digits | more digits |
//! | Boolean | `BOOLEAN` | 0 or 1 | |
//! | Utf8 | `TEXT`, `VARCHAR(n)` (characters), `NVARCHAR(n)` (UTF-16 units) | text | NUL, over-length |
//! | Utf8, json or array | `JSON_TEXT`, `ARRAY_TEXT` | text | NUL |
//! | Binary | `BLOB` | blob | |
//! | FixedSizeBinary(16) | `UUID_TEXT` | lower-case text | |
//! | Date32 | `DATE_TEXT` | `2026-01-02` | years outside 1 to 9999 |
//! | Timestamp(µs) | `TIMESTAMP_TEXT` | `2026-01-02T03:04:05.123456` | years outside 1 to 9999 |
//! | Timestamp(µs, UTC) | `TIMESTAMPTZ_TEXT` | `2026-01-02T03:04:05.123456Z` | years outside 1 to 9999 |
//! | Time64(µs) | `TIME_TEXT` | `03:04:05.123456` | 24:00 |
//!
//! Times with a declared number of fractional digits carry it: `TIMESTAMPTZ_TEXT(3)`.
//!
//! A source reads all of these back as what they were, and also what is common elsewhere:
//!
//! | declared | Arrow | loud about |
//! |---|---|---|
//! | `INT`, `BIGINT`, `INT8`, `SMALLINT`, `MEDIUMINT`, `TINYINT` | Int64 | other than integers |
//! | `DOUBLE`, `DOUBLE PRECISION`, `FLOAT` | Float64 | text, blobs |
//! | `NUMERIC(p,s)`, `DECIMAL(p,s)` | Decimal128(p,s) | binary floats of more than 15 digits: those are not exact |
//! | `CHAR(n)`, `VARCHAR(n)`, `CHARACTER(n)`, `NCHAR(n)`, `CLOB` | Utf8 | |
//! | `BOOL` | Boolean | other than 0 and 1 |
//! | `DATE`, `TIME`, `DATETIME`, `TIMESTAMP`, `TIMESTAMPTZ` | as above | other forms of text, numbers |
//! | `UUID`, `JSON` | as above | |
//! | others, or none | as declared under `columns` | |

use std::collections::HashMap;

use arrow::datatypes::{DataType, Field, TimeUnit};
use etl_core::error::{Error, Result};
use etl_core::schema::{Declared, meta, meta_number};

/// The declared type of a target column that keeps values of `field` unchanged.
///
/// # Errors
/// `Schema` if there is none.
pub fn declared_for(field: &Field) -> Result<String> {
    let fraction = |name: &str| match meta_number(field, meta::FRACTION) {
        Some(digits) if digits < 6 => format!("{name}({digits})"),
        _ => name.to_owned(),
    };
    Ok(match field.data_type() {
        DataType::Int16 => "INT2".to_owned(),
        DataType::Int32 => "INT4".to_owned(),
        DataType::Int64 => "INTEGER".to_owned(),
        DataType::Float32 => "FLOAT4".to_owned(),
        DataType::Float64 => "REAL".to_owned(),
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Decimal128(precision, scale) if *scale >= 0 => {
            format!("DECIMAL_TEXT({precision},{scale})")
        }
        DataType::Utf8 => text_for(field),
        DataType::Binary => "BLOB".to_owned(),
        DataType::FixedSizeBinary(16) => "UUID_TEXT".to_owned(),
        DataType::Date32 => "DATE_TEXT".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, None) => fraction("TIMESTAMP_TEXT"),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => fraction("TIMESTAMPTZ_TEXT"),
        DataType::Time64(TimeUnit::Microsecond) => fraction("TIME_TEXT"),
        other => {
            return Err(Error::schema(format!(
                "column {}: SQLite targets have no form for {other}; cast it, or leave it out of \
                 select",
                field.name()
            )));
        }
    })
}

fn text_for(field: &Field) -> String {
    match field.metadata().get(meta::MEANING).map(String::as_str) {
        Some("json") => return "JSON_TEXT".to_owned(),
        Some("array") => return "ARRAY_TEXT".to_owned(),
        _ => {}
    }
    if let Some(length) = meta_number(field, meta::MAX_CHARS) {
        return format!("VARCHAR({length})");
    }
    match meta_number(field, meta::MAX_UNITS) {
        Some(length) => format!("NVARCHAR({length})"),
        None => "TEXT".to_owned(),
    }
}

/// How SQLite treats what is written to a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Affinity {
    /// Numbers become text.
    Text,
    /// Text that looks like a number becomes one; floats without fraction become integers.
    Numeric,
    /// As numeric.
    Integer,
    /// Integers become floats.
    Real,
    /// Everything stays as it is.
    Blob,
}

/// The affinity of a declared type, by SQLite's rules.
#[must_use]
pub fn affinity(declared: &str) -> Affinity {
    let upper = declared.to_ascii_uppercase();
    let has = |part: &str| upper.contains(part);
    if has("INT") {
        Affinity::Integer
    } else if has("CHAR") || has("CLOB") || has("TEXT") {
        Affinity::Text
    } else if has("BLOB") || upper.is_empty() || upper == "ANY" {
        Affinity::Blob
    } else if has("REAL") || has("FLOA") || has("DOUB") {
        Affinity::Real
    } else {
        Affinity::Numeric
    }
}

/// Whether a column declared as `found` keeps what one declared as `planned` would: the same
/// declared type, or the plain storage class that it stands for (as STRICT tables have it).
#[must_use]
pub fn keeps(found: &str, planned: &str) -> bool {
    let plain = |text: &str| text.replace(' ', "").to_ascii_uppercase();
    let (found, planned) = (plain(found), plain(planned));
    if found == planned {
        return true;
    }
    match affinity(&planned) {
        Affinity::Text => found == "TEXT",
        Affinity::Integer => matches!(found.as_str(), "INTEGER" | "INT" | "BIGINT"),
        Affinity::Numeric => matches!(found.as_str(), "INTEGER" | "INT"),
        Affinity::Real => found == "REAL" || found == "DOUBLE",
        Affinity::Blob => found == "BLOB",
    }
}

/// The Arrow field of a source's column: what the config declares, else what its declared type
/// says.
///
/// # Errors
/// `Schema` if neither says what it is; `Config` if the config's type holds less than its own.
pub fn field_for(
    name: &str,
    declared: &str,
    nullable: bool,
    over: Option<Declared>,
) -> Result<Field> {
    if let (Some(over), Some((own, bound))) = (over, known(declared)) {
        let bounds = bound.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        over.holds(name, declared, &own, &bounds)?;
    }
    let (data_type, metadata) = match over {
        Some(over) => (over.arrow(), over.metadata().map(|(key, value)| (key, value.clone()))),
        None => known(declared).ok_or_else(|| undeclared(name, declared))?,
    };
    let mut all = HashMap::from([(meta::SOURCE_TYPE.to_owned(), declared.to_owned())]);
    all.extend(metadata.map(|(key, value)| (key.to_owned(), value)));
    Ok(Field::new(name, data_type, nullable).with_metadata(all))
}

fn undeclared(name: &str, declared: &str) -> Error {
    let what = if declared.is_empty() {
        "has no declared type".to_owned()
    } else {
        format!("is declared {declared}, which does not say enough")
    };
    Error::schema(format!(
        "column {name} {what}: say under columns what it holds, such as {name}: decimal(18,2) or \
         {name}: text"
    ))
}

type Known = (DataType, Option<(&'static str, String)>);

fn known(declared: &str) -> Option<Known> {
    let upper = declared.trim().to_ascii_uppercase();
    let (name, arguments) = match upper.split_once('(') {
        Some((name, rest)) => (name.trim(), rest.trim().strip_suffix(')')?.trim()),
        None => (upper.as_str(), ""),
    };
    let plain = |data_type| Some((data_type, None));
    let meaning =
        |data_type, meaning: &str| Some((data_type, Some((meta::MEANING, meaning.to_owned()))));
    match name {
        "INT2" => plain(DataType::Int16),
        "INT4" => plain(DataType::Int32),
        "INTEGER" | "INT" | "BIGINT" | "INT8" | "SMALLINT" | "MEDIUMINT" | "TINYINT" => {
            plain(DataType::Int64)
        }
        "FLOAT4" => plain(DataType::Float32),
        "REAL" | "DOUBLE" | "DOUBLE PRECISION" | "FLOAT" => plain(DataType::Float64),
        "BOOLEAN" | "BOOL" => plain(DataType::Boolean),
        "TEXT" | "CLOB" => plain(DataType::Utf8),
        "VARCHAR" | "CHAR" | "CHARACTER" | "VARYING CHARACTER" => {
            Some((DataType::Utf8, length(meta::MAX_CHARS, arguments)))
        }
        "NVARCHAR" | "NCHAR" => Some((DataType::Utf8, length(meta::MAX_UNITS, arguments))),
        "JSON_TEXT" | "JSON" => meaning(DataType::Utf8, "json"),
        "ARRAY_TEXT" => meaning(DataType::Utf8, "array"),
        "UUID_TEXT" | "UUID" => meaning(DataType::FixedSizeBinary(16), "uuid"),
        "BLOB" => plain(DataType::Binary),
        "DATE_TEXT" | "DATE" => plain(DataType::Date32),
        "NUMERIC" | "DECIMAL" | "DECIMAL_TEXT" => {
            match Declared::parse(&format!("decimal({arguments})")).ok()? {
                Declared::Decimal(precision, scale) => {
                    plain(DataType::Decimal128(precision, scale))
                }
                _ => None,
            }
        }
        "TIMESTAMP_TEXT" | "TIMESTAMP" | "DATETIME" => times("timestamp", arguments),
        "TIMESTAMPTZ_TEXT" | "TIMESTAMPTZ" => times("timestamptz", arguments),
        "TIME_TEXT" | "TIME" => times("time", arguments),
        _ => None,
    }
}

fn length(key: &'static str, arguments: &str) -> Option<(&'static str, String)> {
    arguments.parse::<u32>().ok().filter(|length| *length > 0).map(|n| (key, n.to_string()))
}

fn times(name: &str, arguments: &str) -> Option<Known> {
    if arguments.is_empty() {
        let declared = Declared::parse(name).ok()?;
        return Some((declared.arrow(), None));
    }
    let declared = Declared::parse(&format!("{name}({arguments})")).ok()?;
    Some((declared.arrow(), declared.metadata()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc() -> DataType {
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
    }

    #[test]
    fn every_target_type_is_read_back_as_what_it_was() {
        let with = |field: Field, key: &str, value: &str| {
            field.with_metadata([(key.to_owned(), value.to_owned())].into())
        };
        let plain = |data_type| Field::new("c", data_type, true);
        for field in [
            plain(DataType::Int16),
            plain(DataType::Int32),
            plain(DataType::Int64),
            plain(DataType::Float32),
            plain(DataType::Float64),
            plain(DataType::Boolean),
            plain(DataType::Decimal128(18, 2)),
            plain(DataType::Decimal128(38, 0)),
            plain(DataType::Utf8),
            with(plain(DataType::Utf8), meta::MAX_CHARS, "40"),
            with(plain(DataType::Utf8), meta::MAX_UNITS, "80"),
            with(plain(DataType::Utf8), meta::MEANING, "json"),
            with(plain(DataType::Utf8), meta::MEANING, "array"),
            with(plain(DataType::FixedSizeBinary(16)), meta::MEANING, "uuid"),
            plain(DataType::Binary),
            plain(DataType::Date32),
            plain(DataType::Timestamp(TimeUnit::Microsecond, None)),
            plain(utc()),
            with(plain(utc()), meta::FRACTION, "3"),
            plain(DataType::Time64(TimeUnit::Microsecond)),
        ] {
            let declared = declared_for(&field).unwrap();
            let mut back = field_for("c", &declared, true, None).unwrap();
            back.metadata_mut().remove(meta::SOURCE_TYPE);
            assert_eq!(back, field, "{declared}");
        }
    }

    #[test]
    fn declared_types_have_an_affinity_that_keeps_their_values() {
        for text in ["DECIMAL_TEXT(18,2)", "UUID_TEXT", "TIMESTAMPTZ_TEXT", "VARCHAR(3)", "TEXT"] {
            assert_eq!(affinity(text), Affinity::Text, "{text}");
        }
        assert_eq!(affinity("DECIMAL(18,2)"), Affinity::Numeric);
        assert_eq!(affinity("FLOAT4"), Affinity::Real);
        assert_eq!(affinity("INT2"), Affinity::Integer);
        assert_eq!(affinity("POINT_TEXT"), Affinity::Integer);
    }

    #[test]
    fn a_plain_column_keeps_what_a_named_one_would() {
        assert!(keeps("text", "DECIMAL_TEXT(18,2)"));
        assert!(keeps("decimal_text(18, 2)", "DECIMAL_TEXT(18,2)"));
        assert!(!keeps("DECIMAL(18,2)", "DECIMAL_TEXT(18,2)"));
        assert!(!keeps("DATE_TEXT", "BOOLEAN"));
        assert!(!keeps("REAL", "INTEGER"));
    }

    #[test]
    fn a_bare_numeric_must_be_declared() {
        let error = field_for("amount", "NUMERIC", true, None).unwrap_err();
        assert!(error.to_string().contains("amount: decimal(18,2)"), "{error}");
        let over = Some(Declared::parse("decimal(9,2)").unwrap());
        let field = field_for("amount", "NUMERIC", true, over).unwrap();
        assert_eq!(field.data_type(), &DataType::Decimal128(9, 2));
    }
}
