//! What of a stream may be put aside.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{OnSpecial, StreamConfig};
use crate::error::{Error, Result};
use crate::quarantine::MaxRejected;

/// What of a stream may be put aside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Quarantine {
    /// How many rows may be put aside before a run fails: rows of a stream that lie in the
    /// quarantine, such as 10, or a share of the rows that a run reads, such as 0.5%. With 0 the
    /// first row that cannot be stored stops the run.
    pub max_rows: MaxRejected,
}

impl StreamConfig {
    /// How many rows may be put aside before a run fails.
    #[must_use]
    pub fn max_rejected(&self) -> MaxRejected {
        self.quarantine.unwrap_or_default().max_rows
    }

    /// Checks `quarantine` as far as it goes without a database.
    pub(super) fn validate_quarantine(&self) -> Result<()> {
        let columns = self.on_special_columns.iter();
        let mut words = columns
            .map(|(column, special)| (format!("on_special_columns.{column}"), *special))
            .chain([("on_special".to_owned(), self.on_special)]);
        match words.find(|(_, special)| *special == OnSpecial::Quarantine) {
            Some((place, _)) if !self.max_rejected().any() => Err(Error::config(format!(
                "{place}: quarantine puts rows aside, and none may be: set quarantine: {{ max_rows: \
                 10 }} as well, or another number"
            ))),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn config(extra: Value) -> StreamConfig {
        let mut config = json!({
            "object": "o", "primary_key": ["id"], "cursor": { "column": "at" },
            "select": ["id", "at"],
        });
        config.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        serde_json::from_value(config).unwrap()
    }

    #[test]
    fn rows_are_put_aside_at_the_source_only_where_some_may_be() {
        let ten = json!({ "max_rows": 10 });
        for word in [
            json!({ "on_special": "quarantine" }),
            json!({ "on_special_columns": { "at": "quarantine" } }),
        ] {
            let error = config(word.clone()).validate().unwrap_err().to_string();
            assert!(error.contains("on_special") && error.contains("max_rows: 10"), "{error}");
            let mut with = word;
            with["quarantine"] = ten.clone();
            config(with).validate().unwrap();
        }
        assert_eq!(config(json!({ "quarantine": ten })).max_rejected(), MaxRejected::Rows(10));
        assert!(!config(json!({ "quarantine": null })).max_rejected().any());
    }
}
