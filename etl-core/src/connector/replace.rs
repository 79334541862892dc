//! What mode `replace` asks of a stream.

use super::{FilterExit, Mode, StreamConfig};
use crate::error::{Error, Result};

impl StreamConfig {
    /// How many rows above the horizon a sweep may deliver. A target that is replaced would lose
    /// those that had to wait.
    #[must_use]
    pub fn max_reread(&self) -> u64 {
        if self.mode == Mode::Replace { u64::MAX } else { self.cursor.max_reread }
    }

    /// Checks what can be checked without a database.
    pub(super) fn validate_replace(&self) -> Result<()> {
        if self.mode != Mode::Replace {
            return if self.allow_empty {
                Err(Error::config("allow_empty: only mode replace empties a target; take it out"))
            } else {
                Ok(())
            };
        }
        if self.on_filter_exit.is_some_and(|exit| exit != FilterExit::Delete) {
            return Err(Error::config(
                "on_filter_exit: in mode replace the target has just the rows that pass where; \
                 take it out, or write delete",
            ));
        }
        if self.cursor.nullable {
            return Err(Error::config(
                "cursor.nullable: rows with NULL there are never read, and mode replace would \
                 delete them; use a cursor that is NOT NULL",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn config(extra: Value) -> StreamConfig {
        let mut config = json!({
            "object": "o", "mode": "replace", "primary_key": ["id"], "select": ["id", "at"],
            "cursor": { "column": "at" },
        });
        config.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        serde_json::from_value(config).unwrap()
    }

    #[test]
    fn what_would_delete_rows_that_are_there_is_refused() {
        for right in [json!({}), json!({ "on_filter_exit": "delete", "allow_empty": true })] {
            config(right).validate().unwrap();
        }
        let nullable = json!({ "cursor": { "column": "at", "nullable": true } });
        for (wrong, told) in [
            (json!({ "on_filter_exit": "keep" }), "on_filter_exit: in mode replace"),
            (json!({ "on_filter_exit": "soft_delete" }), "on_filter_exit: in mode replace"),
            (nullable, "cursor.nullable"),
            (json!({ "mode": "upsert", "allow_empty": true }), "allow_empty: only mode replace"),
        ] {
            let error = config(wrong.clone()).validate().unwrap_err().to_string();
            assert!(error.contains(told), "{wrong}: {error}");
        }
    }

    #[test]
    fn no_row_waits_for_the_next_sweep() {
        assert_eq!(config(json!({})).max_reread(), u64::MAX);
        assert_eq!(config(json!({ "mode": "upsert" })).max_reread(), 1_000_000);
    }
}
