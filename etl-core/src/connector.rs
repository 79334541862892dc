//! What a registry entry is, and the part of a config that every connector understands.

mod filter_exit;
mod quarantine;
mod replace;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::catalog::{Catalog, ObjectName};
use crate::error::{Error, Result};
use crate::schema::Declared;
use crate::sink::{Sink, SinkAdmin};
use crate::source::Source;

pub use filter_exit::{FilterExit, SoftDelete};
pub use quarantine::Quarantine;

/// A kind of source: its name in a pipeline file and how to build it.
#[derive(Clone, Copy)]
pub struct SourceConnector {
    /// The word after `type:`.
    pub kind: &'static str,
    /// Builds it from its own section of the file; opens no connection.
    pub build: fn(&Value, &Stream) -> Result<Arc<dyn Source>>,
    /// Builds what lists its tables, for the pipeline of this name; opens no connection.
    pub catalog: fn(&Value, &str) -> Result<Box<dyn Catalog>>,
    /// Reads the name of a table.
    pub object: fn(&str) -> Result<ObjectName>,
    /// The JSON Schema of its section.
    pub schema: fn() -> schemars::Schema,
}

/// A kind of sink: its name in a pipeline file and how to build it.
#[derive(Clone, Copy)]
pub struct SinkConnector {
    /// The word after `type:`.
    pub kind: &'static str,
    /// Builds it from its own section of the file; opens no connection.
    pub build: fn(&Value, &Stream) -> Result<Box<dyn Sink>>,
    /// Builds what operators use; opens no connection.
    pub admin: fn(&Value, &Stream) -> Result<Box<dyn SinkAdmin>>,
    /// Reads the name of a target object.
    pub object: fn(&str) -> Result<ObjectName>,
    /// The JSON Schema of its section.
    pub schema: fn() -> schemars::Schema,
}

/// Reads a connector's own section. The `type` key is the registry's, the rest the connector's.
///
/// # Errors
/// `Config` with the path of the key that is wrong.
pub fn section<T: serde::de::DeserializeOwned>(side: &str, value: &Value) -> Result<T> {
    let mut value = value.clone();
    if let Some(map) = value.as_object_mut() {
        map.remove("type");
    }
    serde_json::from_value(value).map_err(|error| Error::config(format!("{side}: {error}")))
}

/// A stream of a pipeline, as connectors get it.
#[derive(Debug, Clone)]
pub struct Stream {
    /// The pipeline's name.
    pub pipeline: String,
    /// The stream's name: for a database source the table, unless the file says otherwise.
    pub name: String,
    /// What the file says about it.
    pub config: StreamConfig,
}

impl Stream {
    /// `pipeline/stream`: the checkpoint's name, and the start of every message.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.pipeline, self.name)
    }

    /// The table that it reads.
    #[must_use]
    pub fn table(&self) -> &str {
        self.config.table.as_deref().unwrap_or(&self.name)
    }
}

/// How one stream is read, changed and written.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamConfig {
    /// The source's table, letter by letter, where that is not the stream's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// The target object, such as `dbo.orders`; a part that holds a dot is quoted as in its SQL;
    /// `{schema}` and `{table}` stand for the source's.
    pub object: String,
    /// How rows are written.
    #[serde(default)]
    pub mode: Mode,
    /// The columns that identify a row at the source.
    pub primary_key: Vec<String>,
    /// The column that says what changed.
    pub cursor: CursorConfig,
    /// The columns to carry, in order; key and cursor among them.
    pub select: Vec<String>,
    /// A boolean expression over the stream's columns; rows for which it is true are carried.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// What happens to a row that was carried and no longer passes `where`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_filter_exit: Option<FilterExit>,
    /// Where `on_filter_exit: soft_delete` marks rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soft_delete: Option<SoftDelete>,
    /// Declared types of columns, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, String>,
    /// What happens to a value that the target has no form for, such as NaN.
    #[serde(default)]
    pub on_special: OnSpecial,
    /// The same for single columns, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub on_special_columns: BTreeMap<String, OnSpecial>,
    /// What may be put aside; unless told, what the file says for all streams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<Quarantine>,
    /// Others write to the target table too: take range locks when inserting.
    #[serde(default)]
    pub foreign_writers: bool,
    /// Mode `replace`: a target with rows may become empty. Else a load of no rows is refused: a
    /// source that is suddenly empty is mostly one that broke.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_empty: bool,
    /// Changes to the rows on their way, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transforms: Vec<TransformConfig>,
}

impl StreamConfig {
    /// The declared type of a column.
    ///
    /// # Errors
    /// `Config` if the text cannot be read.
    pub fn declared(&self, column: &str) -> Result<Option<Declared>> {
        self.columns
            .get(column)
            .map(|text| {
                Declared::parse(text).map_err(|error| error.context(format!("columns.{column}")))
            })
            .transpose()
    }

    /// What happens to a value of a source's column that the target has no form for.
    #[must_use]
    pub fn special(&self, column: &str) -> OnSpecial {
        self.on_special_columns.get(column).copied().unwrap_or(self.on_special)
    }

    /// The same for a target's column, which a transform may have renamed.
    #[must_use]
    pub fn special_at_target(&self, column: &str) -> OnSpecial {
        let mut name = column;
        for transform in self.transforms.iter().rev() {
            if let TransformConfig::Rename(names) = transform {
                let old = names.iter().find(|(_, new)| *new == name);
                name = old.map_or(name, |(old, _)| old);
            }
        }
        self.special(name)
    }

    /// Checks what can be checked without a database.
    ///
    /// # Errors
    /// `Config` with what to change.
    pub fn validate(&self) -> Result<()> {
        let selected = |name: &str| self.select.iter().any(|column| column == name);
        if self.select.is_empty() {
            return Err(Error::config("select: name at least the key and the cursor column"));
        }
        for (index, column) in self.select.iter().enumerate() {
            if self.select.iter().skip(index + 1).any(|other| other == column) {
                return Err(Error::config(format!("select: column {column} is named twice")));
            }
        }
        if self.primary_key.is_empty() {
            return Err(Error::config(
                "primary_key: name the columns that identify a row; without a key a change cannot \
                 find its row",
            ));
        }
        for (what, column) in self
            .primary_key
            .iter()
            .map(|column| ("primary_key", column))
            .chain([("cursor.column", &self.cursor.column)])
            .chain(self.columns.keys().map(|column| ("columns", column)))
            .chain(self.on_special_columns.keys().map(|column| ("on_special_columns", column)))
        {
            if !selected(column) {
                return Err(Error::config(format!(
                    "{what}: column {column} is not in select; add it there"
                )));
            }
        }
        for column in self.columns.keys() {
            self.declared(column)?;
        }
        self.validate_exit()?;
        self.validate_quarantine()?;
        self.validate_replace()?;
        let cursor = &self.cursor;
        if cursor.set_by == SetBy::Application && !matches!(cursor.safety, Safety::Lookback(_)) {
            return Err(Error::config(format!(
                "cursor: safety {} needs a cursor that the database sets (set_by: database); for \
                 set_by: application use safety: {{ lookback: 10m }}",
                cursor.safety.as_str()
            )));
        }
        if cursor.safety == Safety::Xid8 && cursor.utc_offset.is_some() {
            return Err(Error::config(
                "cursor.utc_offset: with safety xid8 the cursor is a transaction's number and no \
                 time; take utc_offset out",
            ));
        }
        if self.cursor.guard < Duration::from_secs(1) {
            return Err(Error::config("cursor.guard: at least 1s"));
        }
        Ok(())
    }
}

/// How rows are written to the target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Insert what is new, update what differs, delete what left.
    #[default]
    Upsert,
    /// Insert every row version that is read, once.
    Append,
    /// Read everything with each run, and make the target that, in one transaction at its end.
    Replace,
}

impl Mode {
    /// The word in a file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Upsert => "upsert",
            Self::Append => "append",
            Self::Replace => "replace",
        }
    }

    /// Whether the target has one row per key.
    #[must_use]
    pub const fn is_keyed(self) -> bool {
        !matches!(self, Self::Append)
    }
}

/// What happens to a value that has no form in the target: NaN, infinities, dates out of range.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnSpecial {
    /// The run stops and says where.
    #[default]
    Fail,
    /// It becomes NULL, where the column allows it.
    Null,
    /// It becomes the nearest value that the column has: the last day for infinity, the last
    /// microsecond of the day for 24:00. NaN is near to nothing, and stops the run.
    Clamp,
    /// Its row is put aside, and the others go on.
    Quarantine,
}

impl OnSpecial {
    /// The word in a file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Null => "null",
            Self::Clamp => "clamp",
            Self::Quarantine => "quarantine",
        }
    }
}

impl<'de> Deserialize<'de> for OnSpecial {
    /// A bare `null` of YAML is no text, and means the same.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Option::<String>::deserialize(deserializer)?.as_deref() {
            None | Some("null") => Ok(Self::Null),
            Some("fail") => Ok(Self::Fail),
            Some("clamp") => Ok(Self::Clamp),
            Some("quarantine") => Ok(Self::Quarantine),
            Some(other) => Err(serde::de::Error::unknown_variant(
                other,
                &["fail", "null", "clamp", "quarantine"],
            )),
        }
    }
}

/// The column by which a source finds what changed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CursorConfig {
    /// Its name.
    pub column: String,
    /// Who sets it.
    #[serde(default)]
    pub set_by: SetBy,
    /// How late commits are kept from being missed.
    #[serde(default)]
    pub safety: Safety,
    /// How far the horizon stays behind the oldest transaction, at least 1s.
    #[serde(default = "default_guard", with = "duration")]
    #[schemars(with = "String")]
    pub guard: Duration,
    /// How many rows above the horizon a sweep delivers early, and reads again next time.
    #[serde(default = "default_max_reread")]
    pub max_reread: u64,
    /// The offset of a `timestamp` without time zone, such as `+02:00`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utc_offset: Option<String>,
    /// Accept a nullable column; rows with NULL are never read.
    #[serde(default)]
    pub nullable: bool,
    /// Accept a column without an index: every run then reads the whole table.
    #[serde(default)]
    pub unindexed: bool,
}

fn default_guard() -> Duration {
    Duration::from_secs(2)
}

fn default_max_reread() -> u64 {
    1_000_000
}

/// Who sets the cursor column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SetBy {
    /// The source's own server, on every insert and update, at or after the transaction's start.
    #[default]
    Database,
    /// Anybody else.
    Application,
}

/// How a cursor is kept from missing rows that commit late.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Safety {
    /// Nothing newer than the oldest open transaction counts as settled.
    #[default]
    Horizon,
    /// Everything within this time is read again by each sweep.
    Lookback(
        #[serde(with = "duration")]
        #[schemars(with = "String")]
        Duration,
    ),
    /// Postgres only: the column is an `xid8` that a trigger sets to the writing transaction's
    /// number, and nothing from the oldest open transaction on counts as settled.
    Xid8,
}

impl Safety {
    /// The word in a file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Horizon => "horizon",
            Self::Lookback(_) => "lookback",
            Self::Xid8 => "xid8",
        }
    }
}

impl CursorConfig {
    /// For sources whose transactions have no numbers that a row could hold.
    ///
    /// # Errors
    /// `Config` if the file asks for them.
    pub fn no_transaction_numbers(&self, database: &str) -> Result<()> {
        if self.safety != Safety::Xid8 {
            return Ok(());
        }
        Err(Error::config(format!(
            "cursor.safety: xid8 is a number of transactions in Postgres; {database} has none. Use \
             safety: horizon, or {{ lookback: 10m }}"
        )))
    }
}

/// One change to the rows on their way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TransformConfig {
    /// Keep these columns, in this order.
    Select(Vec<String>),
    /// New names, by old name.
    Rename(BTreeMap<String, String>),
    /// Other types, by column.
    Cast(BTreeMap<String, String>),
    /// Keep rows for which this is true.
    Filter(String),
}

/// Something that `check` looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Whether it is as it must be.
    pub ok: bool,
    /// What was looked at.
    pub what: String,
    /// What was found, and if it is wrong what to change.
    pub detail: String,
    /// Whether it is about rights, for the exit code.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub permission: bool,
}

impl Finding {
    /// It is as it must be.
    pub fn good(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { ok: true, what: what.into(), detail: detail.into(), permission: false }
    }

    /// It is not.
    pub fn bad(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { ok: false, what: what.into(), detail: detail.into(), permission: false }
    }

    /// It is a right, and it is missing.
    pub fn denied(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { ok: false, what: what.into(), detail: detail.into(), permission: true }
    }

    /// A finding from an attempt.
    pub fn from_error(what: impl Into<String>, error: &Error) -> Self {
        let permission = error.class() == crate::error::Class::Permission;
        Self { ok: false, what: what.into(), detail: error.to_string(), permission }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.ok { "ok     " } else { "MISSING" };
        write!(f, "{mark}  {}: {}", self.what, self.detail)
    }
}

/// Durations as people write them: `30s`, `4m30s`.
pub mod duration {
    use super::{Deserialize, Deserializer, Duration};

    /// Reads `30s`, `4m30s`, `1h`.
    ///
    /// # Errors
    /// If the text is not a duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text).map_err(|_| {
            serde::de::Error::custom(format!("\"{text}\" is not a duration such as 30s or 4m30s"))
        })
    }

    /// Writes it the same way.
    ///
    /// # Errors
    /// As the serializer's.
    pub fn serialize<S: serde::Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(*duration))
    }
}

/// Sizes in bytes as people write them: `64MiB`, `4MB`.
pub mod size {
    use super::{Deserialize, Deserializer};

    /// Reads `4MiB`, `500kB` or a bare number of bytes.
    ///
    /// # Errors
    /// If the text is not a size.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
        let text = serde_json::Value::deserialize(deserializer)?;
        let text = text.as_str().map_or_else(|| text.to_string(), str::to_owned);
        text.parse::<bytesize::ByteSize>()
            .ok()
            .and_then(|size| usize::try_from(size.as_u64()).ok())
            .filter(|size| *size > 0)
            .ok_or_else(|| {
                serde::de::Error::custom(format!("\"{text}\" is not a size such as 64MiB"))
            })
    }

    /// Writes it the same way.
    ///
    /// # Errors
    /// As the serializer's.
    pub fn serialize<S: serde::Serializer>(size: &usize, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&bytesize::ByteSize(u64::try_from(*size).unwrap_or(u64::MAX)))
    }
}
