//! The file's shape, as serde reads it and as its JSON Schema tells it.

use std::collections::BTreeMap;
use std::time::Duration;

use etl_core::connector::{Quarantine, StreamConfig, duration, size};
use etl_core::pipeline::MAX_CELL;
use etl_core::{BatchLimits, Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// How many batches' worth of bytes may live at once: one being read, one waiting, one being
/// committed, and that one's form on the wire.
const COPIES: usize = 4;

/// More streams at a time than that only wait for each other.
const MOST_AT_ONCE: usize = 64;
/// SQL Server takes 2 GiB, and two bytes for each character of a text; Postgres takes 1 GiB.
const MOST_CELL: usize = 512 << 20;
/// With the largest value behind it, a batch's column stays below the 2 GiB that Arrow counts.
const MOST_BATCH: usize = 1 << 30;

/// A pipeline file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Pipeline file")]
pub struct FileForm {
    /// The version of this format: 1.
    pub version: u64,
    /// The pipeline's name: `[a-z0-9_.-]{1,120}`; with the stream's name it is the checkpoint's.
    pub pipeline: String,
    /// Where rows come from: `type` says which connector, the rest is that connector's.
    pub source: Value,
    /// Where rows go to: `type` says which connector, the rest is that connector's.
    pub target: Value,
    /// What to carry, by the stream's name: for a database source, the table, or a pattern of
    /// tables such as `public.*`.
    pub streams: BTreeMap<String, StreamConfig>,
    /// What streams say unless they say otherwise.
    #[serde(default)]
    pub defaults: Option<Value>,
    /// How much at a time, and for how long.
    #[serde(default)]
    pub limits: Limits,
    /// How runs keep out of each other's way.
    #[serde(default)]
    pub lease: Lease,
    /// What of each stream may be put aside, unless `defaults` or the stream say otherwise.
    #[serde(default)]
    pub quarantine: Quarantine,
    /// Where metrics go at the end of a run.
    #[serde(default)]
    pub telemetry: Telemetry,
    /// Accept passwords that stand in this file in clear.
    #[serde(default)]
    pub allow_inline_secrets: bool,
}

/// How much at a time, and for how long.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// About how much memory the rows on their way may take, of all streams together.
    #[serde(with = "size")]
    #[schemars(with = "String")]
    pub memory: usize,
    /// The most bytes that one value may take, a text's in UTF-8; 64MiB unless told, at most 512MiB.
    /// A larger one stops the run by name. Whatever `memory` says, a run needs several times the
    /// largest value that there is.
    #[serde(with = "size")]
    #[schemars(with = "String")]
    pub cell: usize,
    /// How many streams run at a time, each with connections of its own; they share `memory`.
    #[schemars(range(min = 1, max = 64))]
    pub parallel: usize,
    /// The bounds of a batch.
    pub batch: Batch,
    /// After this long no further batch and no further stream is begun; the next run goes on.
    #[serde(with = "optional_duration", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub deadline: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        let (cell, batch) = (MAX_CELL, Batch::default());
        Self { memory: 32 << 20, cell, parallel: 4, batch, deadline: None }
    }
}

/// The bounds of a batch: it ends at whichever is reached first.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Batch {
    /// The greatest number of rows; 4000 unless told.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub rows: Option<usize>,
    /// About how many bytes; at most a quarter of a stream's share of `memory`; 4MiB, or that
    /// quarter if it is less, unless told.
    #[serde(with = "optional_size", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub bytes: Option<usize>,
}

impl Limits {
    /// How many of `streams` run at a time.
    #[must_use]
    pub fn at_once(&self, streams: usize) -> usize {
        self.parallel.min(streams).max(1)
    }

    /// The bounds of a batch when so many streams run at a time, with what the file leaves open.
    #[must_use]
    pub fn batch_limits(&self, at_once: usize) -> BatchLimits {
        let default = BatchLimits::default();
        let share = self.memory / at_once / COPIES;
        BatchLimits {
            rows: self.batch.rows.unwrap_or(default.rows),
            bytes: self.batch.bytes.unwrap_or_else(|| default.bytes.min(share)),
        }
    }

    /// Checks that the parts fit each other and so many streams at a time.
    ///
    /// # Errors
    /// `Config` with what to change.
    pub fn validate(&self, at_once: usize) -> Result<()> {
        if self.batch.rows == Some(0) {
            return Err(Error::config("limits.batch.rows: at least 1"));
        }
        if !(1..=MOST_AT_ONCE).contains(&self.parallel) {
            return Err(Error::config(format!("limits.parallel: 1 to {MOST_AT_ONCE}")));
        }
        let shared = match at_once {
            1 => String::new(),
            _ => format!(", which {at_once} streams at a time share (limits.parallel)"),
        };
        if self.memory / at_once < 1 << 20 {
            return Err(Error::config(format!("limits.memory: at least 1MiB a stream{shared}")));
        }
        if !(1 << 10..=MOST_CELL).contains(&self.cell) {
            return Err(Error::config("limits.cell: 1KiB to 512MiB"));
        }
        let bytes = self.batch_limits(at_once).bytes;
        if bytes > MOST_BATCH {
            return Err(Error::config("limits.batch.bytes: at most 1GiB"));
        }
        if bytes > self.memory / at_once / COPIES {
            let show = |bytes: usize| {
                bytesize::ByteSize(u64::try_from(bytes).unwrap_or(u64::MAX))
                    .display()
                    .iec()
                    .to_string()
            };
            return Err(Error::config(format!(
                "limits.batch.bytes: {} is more than a quarter of limits.memory ({}){shared}; up to \
                 four copies live at once: one batch being read, one waiting, one being committed \
                 and its form on the wire. Lower the one or raise the other",
                show(bytes),
                show(self.memory)
            )));
        }
        if self.deadline.is_some_and(|deadline| deadline.is_zero()) {
            return Err(Error::config("limits.deadline: longer than nothing"));
        }
        Ok(())
    }
}

/// How runs keep out of each other's way.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Lease {
    /// How long a claim lasts without renewal; as long as a run waits after another was killed.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub ttl: Duration,
    /// Skipping because another run is busy is an error once it has lasted this long.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub max_skip: Duration,
}

impl Default for Lease {
    fn default() -> Self {
        Self { ttl: Duration::from_secs(30), max_skip: Duration::from_mins(30) }
    }
}

impl Lease {
    /// Checks that the claim lasts long enough to be renewed.
    ///
    /// # Errors
    /// `Config` with what to change.
    pub fn validate(&self) -> Result<()> {
        if self.ttl < Duration::from_secs(3) || self.ttl > Duration::from_hours(1) {
            return Err(Error::config(
                "lease.ttl: between 3s and 1h; it is renewed three times while it lasts",
            ));
        }
        Ok(())
    }
}

/// Where metrics go at the end of a run, besides OTLP (`OTEL_EXPORTER_OTLP_ENDPOINT`).
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// A Pushgateway, such as `http://pushgateway:9091`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pushgateway: Option<String>,
}

/// A duration that may be missing.
mod optional_duration {
    use super::{Deserialize, Deserializer, Duration, Serializer, duration};

    #[derive(Deserialize)]
    struct Text(#[serde(with = "duration")] Duration);

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<Text>::deserialize(deserializer)?.map(|text| text.0))
    }

    pub(super) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => duration::serialize(value, serializer),
            None => serializer.serialize_none(),
        }
    }
}

/// A size that may be missing.
mod optional_size {
    use super::{Deserialize, Deserializer, Serializer, size};

    #[derive(Deserialize)]
    struct Text(#[serde(with = "size")] usize);

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<usize>, D::Error> {
        Ok(Option::<Text>::deserialize(deserializer)?.map(|text| text.0))
    }

    pub(super) fn serialize<S: Serializer>(
        value: &Option<usize>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => size::serialize(value, serializer),
            None => serializer.serialize_none(),
        }
    }
}
