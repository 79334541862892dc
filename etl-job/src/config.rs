//! The pipeline file: read, checked, and turned into sources, sinks and options.

mod explain;
mod form;
mod load;
mod merge;
mod names;
mod pattern;
mod resolve;
pub mod schema;
pub(crate) mod tree;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use etl_core::connector::Stream;
use etl_core::{BatchLimits, Result};
use serde_json::Value;

use crate::config::pattern::Pattern;
use crate::config::tree::{Node, Step};

pub(crate) use explain::reworded;
pub use form::{Batch, FileForm, Lease, Limits, Telemetry};
pub use pattern::PatternForm;
pub use resolve::{Refused, Resolved};

/// The version of the file's format that this program reads.
pub const VERSION: u64 = 1;

/// Whether secrets must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// Every reference must lead somewhere.
    Required,
    /// Those of the target must be there; the source is not asked, and nothing is pushed.
    OfTarget,
    /// References that lead nowhere are left out: the file is being looked at away from where it
    /// runs.
    Optional,
}

/// A pipeline file, complete and checked.
///
/// Its `Debug` shows no setting of the two sides, since a password may be among them.
pub struct PipelineFile {
    path: PathBuf,
    name: String,
    source: Section,
    target: Section,
    streams: Vec<Stream>,
    patterns: Vec<Pattern>,
    limits: Limits,
    /// How many streams share the memory.
    at_once: usize,
    lease: Lease,
    telemetry: Telemetry,
    /// As it was written, for the lines in messages.
    tree: Node,
}

/// One side's settings: the kind, and what only its connector reads.
pub struct Section {
    /// `source` or `target`.
    pub side: &'static str,
    /// The word after `type:`.
    pub kind: String,
    value: Value,
}

impl Section {
    /// The settings, secrets among them.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Whether the settings say that the server's certificate is not verified.
    #[must_use]
    pub fn tls_unverified(&self) -> bool {
        let tls = self.value.get("tls").and_then(Value::as_str).unwrap_or_default();
        matches!(tls, "trust-server-certificate" | "disable")
    }
}

impl fmt::Debug for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.value.as_object().map(|map| map.keys().cloned().collect::<Vec<_>>());
        f.debug_struct("Section")
            .field("side", &self.side)
            .field("kind", &self.kind)
            .field("keys", &keys.unwrap_or_default())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PipelineFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipelineFile")
            .field("path", &self.path)
            .field("name", &self.name)
            .field("source", &self.source)
            .field("target", &self.target)
            .field("streams", &self.streams)
            .field("limits", &self.limits)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}

impl PipelineFile {
    /// Reads and checks a file; follows its references. Opens no connection.
    ///
    /// # Errors
    /// `Config`, with the file, the line, the key, what was found and what to change.
    pub fn load(path: &Path, secrets: Secrets) -> Result<Self> {
        load::load(path, secrets, &|name| std::env::var(name).ok())
    }

    /// The file's place.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The pipeline's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where rows come from.
    #[must_use]
    pub fn source(&self) -> &Section {
        &self.source
    }

    /// Where rows go to.
    #[must_use]
    pub fn target(&self) -> &Section {
        &self.target
    }

    /// The streams that the file names, in its order; with those that its patterns find:
    /// [`PipelineFile::resolve`].
    #[must_use]
    pub fn streams(&self) -> &[Stream] {
        &self.streams
    }

    /// The patterns as the file has them.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(|pattern| pattern.text.as_str())
    }

    /// A stream that stands for each of the file's: those that it names, and one for each pattern.
    ///
    /// # Errors
    /// `Config` with what is wrong with the settings.
    pub fn samples(&self) -> Result<Vec<Stream>> {
        let sample = |pattern: &Pattern| {
            let name = pattern.text.replace('*', "x").to_lowercase();
            pattern.stream_unseen(&self.name, &name, pattern.sample())
        };
        let patterns = self.patterns.iter().map(sample);
        self.streams.iter().cloned().map(Ok).chain(patterns).collect()
    }

    /// The stream called `name`, good for what does not ask the source: one that the file names, or
    /// that a pattern may have made.
    ///
    /// # Errors
    /// `Config` if there is none of that name.
    pub fn unseen(&self, name: &str) -> Result<Stream> {
        if let Some(stream) = self.streams.iter().find(|stream| stream.name == name) {
            return Ok(stream.clone());
        }
        if let Some(pattern) = self.pattern_of(name) {
            let table = (self.source_connector()?.object)(name)?;
            return pattern.stream_unseen(&self.name, name, table);
        }
        let names = self.streams.iter().map(|stream| stream.name.clone());
        let names: Vec<_> = names.chain(self.patterns().map(str::to_owned)).collect();
        Err(resolve::no_stream(name, &names).context(self.path.display()))
    }

    /// The pattern that may have made the stream called `name`.
    fn pattern_of(&self, name: &str) -> Option<&Pattern> {
        let named = (self.source_connector().ok()?.object)(name).ok()?;
        self.patterns.iter().find(|pattern| pattern.covers(&named))
    }

    /// The bounds of a batch.
    #[must_use]
    pub fn batch_limits(&self) -> BatchLimits {
        self.limits.batch_limits(self.at_once)
    }

    /// The most bytes that one value may take.
    #[must_use]
    pub fn max_cell(&self) -> usize {
        self.limits.cell
    }

    /// How many streams may run at a time.
    #[must_use]
    pub fn parallel(&self) -> usize {
        self.limits.parallel
    }

    /// How long a run may take.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.limits.deadline
    }

    /// How runs keep out of each other's way.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Where metrics go at the end of a run.
    #[must_use]
    pub fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// `file:line: path: `, for a message about a part of the file.
    pub(crate) fn place(&self, path: &[Step]) -> String {
        explain::place(&self.path, &self.tree, path)
    }
}

#[cfg(test)]
mod tests;
