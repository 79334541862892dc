//! How many rows may be put aside.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// How many rows may be put aside before a run fails.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MaxRejected {
    /// So many rows of a stream may lie in the quarantine at a time, whichever run put them there.
    /// With 0, the default, the first row that cannot be stored stops the run.
    Rows(u64),
    /// The share, 0 to 1, of the rows that a run has read so far which it may put aside, rounded up
    /// to whole rows.
    Share(f64),
}

impl MaxRejected {
    /// Whether any row may be put aside at all.
    #[must_use]
    pub fn any(self) -> bool {
        match self {
            Self::Rows(rows) => rows > 0,
            Self::Share(share) => share > 0.0,
        }
    }

    /// Reads `0.5%`.
    fn percent(text: &str) -> Option<Self> {
        let number = text.strip_suffix('%')?.trim_end();
        let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        // Divided by a hundred it would be another binary fraction than the one that is meant.
        let share = format!("{number}e-2").parse::<f64>().ok().filter(|_| plain)?;
        (share > 0.0 && share <= 1.0).then_some(Self::Share(share))
    }
}

impl Default for MaxRejected {
    fn default() -> Self {
        Self::Rows(0)
    }
}

impl fmt::Display for MaxRejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows(rows) => write!(f, "{rows}"),
            // What was written, without the digits that only a binary fraction has.
            Self::Share(share) => write!(f, "{}%", (share * 1e11).round() / 1e9),
        }
    }
}

impl Serialize for MaxRejected {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Rows(rows) => serializer.serialize_u64(*rows),
            Self::Share(_) => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for MaxRejected {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let read = match &value {
            Value::Number(rows) => rows.as_u64().map(Self::Rows),
            Value::String(text) => Self::percent(text),
            _ => None,
        };
        read.ok_or_else(|| {
            serde::de::Error::custom(format!(
                "{value} is neither a number of rows, such as 10, nor a share of those read, such as \
                 0.5% (more than 0%, at most 100%)"
            ))
        })
    }
}

impl JsonSchema for MaxRejected {
    fn schema_name() -> Cow<'static, str> {
        "MaxRejected".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Rows of a stream that may lie in the quarantine, such as 10, or the share \
                of the rows that a run reads which it may put aside, such as 0.5%; 0: none.",
            "anyOf": [
                { "type": "integer", "minimum": 0 },
                { "type": "string", "pattern": "^[0-9.]+ *%$" }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_limit_is_a_number_or_a_share_and_is_written_as_it_was_read() {
        for (written, read) in [
            (json!(0), MaxRejected::Rows(0)),
            (json!(10), MaxRejected::Rows(10)),
            (json!("0.5%"), MaxRejected::Share(0.005)),
            (json!("0.7%"), MaxRejected::Share(0.007)),
            (json!("100%"), MaxRejected::Share(1.0)),
        ] {
            assert_eq!(serde_json::from_value::<MaxRejected>(written.clone()).unwrap(), read);
            assert_eq!(serde_json::to_value(read).unwrap(), written);
        }
        for wrong in [
            json!(-1),
            json!(0.5),
            json!("10"),
            json!("0%"),
            json!("101%"),
            json!("-1%"),
            json!("inf%"),
            json!("1e1%"),
            json!("%"),
            json!(true),
            json!(null),
        ] {
            let error = serde_json::from_value::<MaxRejected>(wrong.clone()).unwrap_err();
            assert!(error.to_string().contains("such as 0.5%"), "{wrong}: {error}");
        }
    }
}
