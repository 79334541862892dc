//! What becomes of a row that no longer passes `where`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Mode, StreamConfig, TransformConfig};
use crate::error::{Error, Result};
use crate::schema::StreamSchema;

/// What becomes of a carried row that no longer passes `where`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FilterExit {
    /// It is deleted from the target.
    Delete,
    /// It stays in the target, which notes in a column of its own when it left.
    SoftDelete,
    /// It stays as it was last carried.
    Keep,
}

impl FilterExit {
    /// The word in a file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::SoftDelete => "soft_delete",
            Self::Keep => "keep",
        }
    }

    /// Whether the sink is told that a row left: by a delete in a batch.
    #[must_use]
    pub const fn is_told(self) -> bool {
        matches!(self, Self::Delete | Self::SoftDelete)
    }
}

/// How rows are marked with `on_filter_exit: soft_delete`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SoftDelete {
    /// The target's column for the time at which a row left; no column of the stream.
    #[serde(default = "default_mark")]
    pub column: String,
}

/// The column where the file names none.
const DEFAULT_MARK: &str = "_deleted_at";

fn default_mark() -> String {
    DEFAULT_MARK.to_owned()
}

impl StreamConfig {
    /// What becomes of a row that leaves the filter: what the file says, else `delete` for
    /// upserts. An append keeps it, and what replaces lacks it.
    #[must_use]
    pub fn filter_exit(&self) -> FilterExit {
        match (self.on_filter_exit, self.mode) {
            (Some(exit), Mode::Upsert) => exit,
            (None, Mode::Upsert) | (_, Mode::Replace) => FilterExit::Delete,
            (_, Mode::Append) => FilterExit::Keep,
        }
    }

    /// The target's column in which rows that left are marked; `None` if they are not.
    #[must_use]
    pub fn mark(&self) -> Option<&str> {
        let named = self.soft_delete.as_ref().map_or(DEFAULT_MARK, |soft| soft.column.as_str());
        (self.filter_exit() == FilterExit::SoftDelete).then_some(named)
    }

    /// The same for a sink, which fills the columns of `schema` beside it.
    ///
    /// # Errors
    /// `Config` if the stream has a column of that name.
    pub fn mark_beside(&self, schema: &StreamSchema) -> Result<Option<String>> {
        let columns = schema.schema.fields().iter().map(|field| field.name().as_str());
        self.check_mark(columns).map_err(|error| error.context(&schema.name))?;
        Ok(self.mark().map(str::to_owned))
    }

    /// The names of the stream's columns in the target: those of `select`, after the transforms.
    fn target_columns(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.select.iter().map(String::as_str).collect();
        for transform in &self.transforms {
            match transform {
                TransformConfig::Select(kept) => names = kept.iter().map(String::as_str).collect(),
                TransformConfig::Rename(new) => {
                    for name in &mut names {
                        *name = new.get(*name).map_or(*name, String::as_str);
                    }
                }
                TransformConfig::Cast(_) | TransformConfig::Filter(_) => {}
            }
        }
        names
    }

    /// Checks `on_filter_exit` and `soft_delete` as far as it goes without a database.
    pub(super) fn validate_exit(&self) -> Result<()> {
        if self.mode == Mode::Append
            && self.on_filter_exit.is_some_and(|exit| exit != FilterExit::Keep)
        {
            return Err(Error::config(
                "on_filter_exit: in append mode rows are never taken back; use keep",
            ));
        }
        if self.soft_delete.is_some() && self.mark().is_none() {
            return Err(Error::config(
                "soft_delete: it names the column in which rows that leave the filter are marked; \
                 set on_filter_exit: soft_delete as well, or take soft_delete out",
            ));
        }
        self.check_mark(self.target_columns().into_iter())
    }

    /// Databases differ in whether case tells names apart; one that only case tells apart is
    /// refused for all.
    fn check_mark<'a>(&self, mut columns: impl Iterator<Item = &'a str>) -> Result<()> {
        let Some(mark) = self.mark() else { return Ok(()) };
        let lower = mark.to_lowercase();
        match columns.find(|column| column.to_lowercase() == lower) {
            None => Ok(()),
            Some(column) => Err(Error::config(format!(
                "soft_delete.column: {mark} is where the target notes when a row left, but the \
                 stream fills a column {column}; choose another name, or rename that column"
            ))),
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
            "select": ["id", "at", "_Deleted_At"], "on_filter_exit": "soft_delete",
            "soft_delete": { "column": "gone" },
        });
        config.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        serde_json::from_value(config).unwrap()
    }

    #[test]
    fn the_mark_is_a_column_that_the_stream_does_not_fill() {
        let good = config(json!({}));
        good.validate().unwrap();
        assert_eq!(good.mark(), Some("gone"));
        let renamed = json!([{ "rename": { "_Deleted_At": "b" } }]);
        let default = config(json!({ "soft_delete": {}, "transforms": renamed }));
        default.validate().unwrap();
        assert_eq!(default.mark(), Some("_deleted_at"));
        assert_eq!(config(json!({ "on_filter_exit": "delete" })).mark(), None);
        for (wrong, told) in [
            (json!({ "soft_delete": null }), "the stream fills a column _Deleted_At"),
            (json!({ "soft_delete": { "column": "AT" } }), "the stream fills a column at"),
            (json!({ "transforms": [{ "rename": { "at": "Gone" } }] }), "a column Gone"),
            (json!({ "on_filter_exit": "keep" }), "set on_filter_exit: soft_delete"),
            (json!({ "mode": "append", "soft_delete": null }), "in append mode"),
        ] {
            let error = config(wrong.clone()).validate().unwrap_err().to_string();
            assert!(error.contains(told), "{wrong}: {error}");
        }
    }
}
