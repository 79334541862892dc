//! The shape of a stream, and the fingerprint of how it was defined.

mod narrow;

use std::collections::BTreeMap;
use std::fmt;

use arrow::datatypes::{DataType, Field, SchemaRef};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Field metadata: what a column means beyond its Arrow type.
pub mod meta {
    /// `uuid`, `json`, `array` or `text`: the meaning of a binary or text column.
    pub const MEANING: &str = "etl.meaning";
    /// The greatest length of a text in characters (Unicode scalar values).
    pub const MAX_CHARS: &str = "etl.max_chars";
    /// The greatest length of a text in UTF-16 code units, if the config said so.
    pub const MAX_UNITS: &str = "etl.max_units";
    /// Fractional digits of a time or timestamp, 0 to 7, if the config or the source declared it.
    pub const FRACTION: &str = "etl.fraction";
    /// The type as its database spells it, for messages.
    pub const SOURCE_TYPE: &str = "etl.source_type";
}

/// The shape of a stream: columns, key and definition.
#[derive(Debug, Clone)]
pub struct StreamSchema {
    /// `pipeline/stream`, for messages and as the checkpoint's name.
    pub name: String,
    /// The columns, with [`meta`] on their fields.
    pub schema: SchemaRef,
    /// The key's columns, in order; each is in `schema` and not nullable.
    pub key: Vec<String>,
    /// How the stream was defined.
    pub definition: Definition,
}

impl StreamSchema {
    /// The positions of the key columns.
    ///
    /// # Errors
    /// `Schema` if a key column is missing.
    pub fn key_indices(&self) -> Result<Vec<usize>> {
        self.key
            .iter()
            .map(|name| {
                self.schema.index_of(name).map_err(|_| {
                    Error::schema(format!("{}: key column {name} is not selected", self.name))
                })
            })
            .collect()
    }

    /// Whether a column is part of the key.
    #[must_use]
    pub fn is_key(&self, column: &str) -> bool {
        self.key.iter().any(|name| name == column)
    }
}

/// A whole number in a field's metadata.
#[must_use]
pub fn meta_number(field: &Field, key: &str) -> Option<u32> {
    field.metadata().get(key).and_then(|text| text.parse().ok())
}

/// Named parts of a stream's definition, so that a change can be told by name.
///
/// Stored with the checkpoint as JSON. Two runs whose definitions differ do not continue each
/// other: the later one stops and says what changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Definition(BTreeMap<String, String>);

impl Definition {
    /// The same definition with one more part.
    #[must_use]
    pub fn with(mut self, part: impl Into<String>, value: impl fmt::Display) -> Self {
        self.0.insert(part.into(), value.to_string());
        self
    }

    /// The parts of both; `other` wins.
    #[must_use]
    pub fn merged(mut self, other: &Self) -> Self {
        self.0.extend(other.0.clone());
        self
    }

    /// Canonical JSON text.
    ///
    /// # Errors
    /// `Internal` if it cannot be written, which a map of texts can.
    pub fn to_text(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|error| Error::internal("writing a definition").with_source(error))
    }

    /// A definition from a sink's text.
    ///
    /// # Errors
    /// `Schema` if the text is not a definition.
    pub fn from_text(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|error| {
            Error::schema("the stored definition cannot be read").with_source(error)
        })
    }

    /// What differs from `stored`: `where: "a" -> "b"`, one text per part.
    #[must_use]
    pub fn changes_since(&self, stored: &Self) -> Vec<String> {
        let names: std::collections::BTreeSet<_> = self.0.keys().chain(stored.0.keys()).collect();
        names
            .into_iter()
            .filter(|name| self.0.get(*name) != stored.0.get(*name))
            .map(|name| {
                let show = |value: Option<&String>| {
                    value.map_or_else(|| "nothing".to_owned(), |text| format!("\"{text}\""))
                };
                format!("{name}: {} -> {}", show(stored.0.get(name)), show(self.0.get(name)))
            })
            .collect()
    }
}

/// A column type as a config declares it under `columns:`.
///
/// | text | Arrow | bound |
/// |---|---|---|
/// | `decimal(p,s)` or `numeric(p,s)` | Decimal128(p,s) | 1 ≤ p ≤ 38, 0 ≤ s ≤ p |
/// | `varchar(n)` | Utf8 | n characters |
/// | `nvarchar(n)` | Utf8 | n UTF-16 code units |
/// | `text`, `nvarchar(max)` | Utf8 | none |
/// | `datetime2(f)`, `timestamp(f)` | Timestamp(µs) | f fractional digits, 0 to 6 |
/// | `datetimeoffset(f)`, `timestamptz(f)` | Timestamp(µs, UTC) | f fractional digits, 0 to 6 |
/// | `time(f)` | Time64(µs) | f fractional digits, 0 to 6 |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declared {
    /// An exact number.
    Decimal(u8, i8),
    /// A text of at most so many characters.
    Chars(u32),
    /// A text of at most so many UTF-16 code units.
    Units(u32),
    /// A text without a bound.
    Text,
    /// A timestamp without zone with so many fractional digits.
    Timestamp(u32),
    /// A timestamp with zone with so many fractional digits.
    TimestampTz(u32),
    /// A time of day with so many fractional digits.
    Time(u32),
}

impl Declared {
    /// Reads the text of a config.
    ///
    /// # Errors
    /// `Config` if the text is none of the table above.
    pub fn parse(text: &str) -> Result<Self> {
        Self::parse_known(text).ok_or_else(|| {
            Error::config(format!(
                "column type \"{text}\" is not known: use decimal(p,s), varchar(n), nvarchar(n), \
                 text, datetime2(f), datetimeoffset(f) or time(f)"
            ))
        })
    }

    fn parse_known(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        let (name, arguments) = match text.split_once('(') {
            Some((name, rest)) => (name.trim(), rest.strip_suffix(')')?.trim()),
            None => (text.as_str(), ""),
        };
        let fraction = || {
            if arguments.is_empty() { Some(6) } else { arguments.parse().ok() }
                .filter(|digits| *digits <= 6)
        };
        let length = || arguments.parse().ok().filter(|length| *length > 0);
        match name {
            "decimal" | "numeric" => {
                let (precision, scale) = match arguments.split_once(',') {
                    Some((p, s)) => (p.trim().parse().ok()?, s.trim().parse().ok()?),
                    None => (arguments.parse().ok()?, 0),
                };
                let fits = (1..=38).contains(&precision)
                    && scale >= 0
                    && u8::try_from(scale).is_ok_and(|scale| scale <= precision);
                fits.then_some(Self::Decimal(precision, scale))
            }
            "text" if arguments.is_empty() => Some(Self::Text),
            "varchar" | "nvarchar" if arguments == "max" => Some(Self::Text),
            "varchar" | "text" => length().map(Self::Chars),
            "nvarchar" => length().map(Self::Units),
            "datetime2" | "timestamp" => fraction().map(Self::Timestamp),
            "datetimeoffset" | "timestamptz" => fraction().map(Self::TimestampTz),
            "time" => fraction().map(Self::Time),
            _ => None,
        }
    }

    /// The Arrow type that carries it.
    #[must_use]
    pub fn arrow(self) -> DataType {
        use arrow::datatypes::TimeUnit::Microsecond;
        match self {
            Self::Decimal(precision, scale) => DataType::Decimal128(precision, scale),
            Self::Chars(_) | Self::Units(_) | Self::Text => DataType::Utf8,
            Self::Timestamp(_) => DataType::Timestamp(Microsecond, None),
            Self::TimestampTz(_) => DataType::Timestamp(Microsecond, Some("UTC".into())),
            Self::Time(_) => DataType::Time64(Microsecond),
        }
    }

    /// The [`meta`] entry that goes with it.
    #[must_use]
    pub fn metadata(self) -> Option<(&'static str, String)> {
        match self {
            Self::Chars(length) => Some((meta::MAX_CHARS, length.to_string())),
            Self::Units(length) => Some((meta::MAX_UNITS, length.to_string())),
            Self::Timestamp(digits) | Self::TimestampTz(digits) | Self::Time(digits) => {
                Some((meta::FRACTION, digits.to_string()))
            }
            Self::Decimal(..) | Self::Text => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_type_is_read_or_refused() {
        assert_eq!(Declared::parse("decimal(18, 2)").unwrap(), Declared::Decimal(18, 2));
        assert_eq!(Declared::parse("NVARCHAR(40)").unwrap(), Declared::Units(40));
        assert_eq!(Declared::parse("nvarchar(max)").unwrap(), Declared::Text);
        assert_eq!(Declared::parse("datetimeoffset").unwrap(), Declared::TimestampTz(6));
        for wrong in ["decimal(39,2)", "decimal(4,5)", "varchar(0)", "time(7)", "money", "int("] {
            assert!(Declared::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_changed_definition_is_told_by_name() {
        let stored = Definition::default().with("where", "a").with("mode", "upsert");
        let now = Definition::default().with("where", "b").with("mode", "upsert");
        assert_eq!(now.changes_since(&stored), ["where: \"a\" -> \"b\""]);
        assert_eq!(Definition::from_text(&now.to_text().unwrap()).unwrap(), now);
    }
}
