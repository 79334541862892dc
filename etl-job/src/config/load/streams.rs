//! The streams and patterns of a file.

use std::collections::BTreeMap;

use etl_core::connector::{Stream, StreamConfig};
use etl_core::predicate::Predicate;
use etl_core::{Error, Result};
use serde_json::Value;

use super::{Loader, key};
use crate::config::pattern::{self, NameOf, Pattern};
use crate::config::tree::{Entry, Node, Step};
use crate::config::{FileForm, Limits, names};

impl Loader<'_> {
    /// Every stream and pattern; what is wrong with any of them is told together.
    pub(super) fn streams(
        &self,
        form: &FileForm,
        mut said: Said,
    ) -> Result<(Vec<Stream>, Vec<Pattern>)> {
        let at = [key("streams")];
        let order = self.tree.get("streams").map_or(&[][..], Node::entries);
        if order.is_empty() {
            return Err(self.error(&at, "name at least one stream"));
        }
        let (mut streams, mut patterns) = (Vec::with_capacity(order.len()), Vec::new());
        let mut wrong = Vec::new();
        for Entry { key: name, .. } in order {
            let path = [key("streams"), key(name)];
            let done = match (form.streams.get(name), said.remove(name)) {
                (Some(config), _) => {
                    self.stream(form, &path, name, config).map(|stream| streams.push(stream))
                }
                (None, Some(said)) => self
                    .pattern(form, name, said)
                    .map(|pattern| patterns.push(pattern))
                    .map_err(|error| self.error(&path, error)),
                (None, None) => Ok(()),
            };
            wrong.extend(done.err().map(|error| error.to_string()));
        }
        wrong.extend(self.shared_targets(form, &streams));
        if wrong.is_empty() {
            Ok((streams, patterns))
        } else {
            Err(Error::config(wrong.join("\n")))
        }
    }

    fn stream(
        &self,
        form: &FileForm,
        path: &[Step],
        name: &str,
        config: &StreamConfig,
    ) -> Result<Stream> {
        self.check_name("stream", path, name)?;
        check(config).map_err(|(part, error)| {
            let at: Vec<_> = path.iter().cloned().chain(part.map(key)).collect();
            self.error(&at, error)
        })?;
        let mut config = config.clone();
        if config.object.contains(['{', '}']) {
            let at: Vec<_> = path.iter().cloned().chain([key("object")]).collect();
            let table = config.table.as_deref().unwrap_or(name);
            let filled = source_names(form).and_then(|name_of| name_of(table));
            let filled = filled.and_then(|table| names::fill(&config.object, &table));
            config.object = filled.map_err(|error| self.error(&at, error))?;
        }
        Ok(Stream { pipeline: form.pipeline.clone(), name: name.to_owned(), config })
    }

    fn pattern(&self, form: &FileForm, text: &str, said: Value) -> Result<Pattern> {
        let Value::Object(said) = said else {
            return Err(Error::config("a pattern's settings are a map, as a stream's are"));
        };
        let pattern = Pattern::read(text, said, source_names(form)?)?;
        // Whatever does not depend on the tables is looked at now.
        pattern.stream_unseen(&form.pipeline, "sample", pattern.sample())?;
        Ok(pattern)
    }

    /// Streams that would write to another's table.
    fn shared_targets(&self, form: &FileForm, streams: &[Stream]) -> Vec<String> {
        // Which kinds there are is told by whoever builds the sink.
        let kind = form.target.get("type").and_then(Value::as_str).unwrap_or_default();
        let Ok(sink) = etl_sinks::find(kind) else { return Vec::new() };
        let mut owners = BTreeMap::new();
        let mut wrong = Vec::new();
        for stream in streams {
            let (name, object) = (&stream.name, &stream.config.object);
            let path = [key("streams"), key(name), key("object")];
            match (sink.object)(object) {
                Err(error) => wrong.push(self.error(&path, error).to_string()),
                Ok(table) => {
                    if let Some((other, same)) = owners.insert(table.identity(), (name, object)) {
                        let same = shared(object, same);
                        let text = format!(
                            "stream {name} writes to {object}, and so does stream {other}{same}; \
                             two streams cannot own one table: give one of them another object"
                        );
                        wrong.push(self.error(&path, text).to_string());
                    }
                }
            }
        }
        wrong
    }
}

/// What each pattern says, defaults included.
pub(super) type Said = BTreeMap<String, Value>;

/// Takes the patterns out of a file, since they are no streams yet.
pub(super) fn take_patterns(file: &mut Value) -> Said {
    let Some(Value::Object(streams)) = file.get_mut("streams") else { return Said::new() };
    let names: Vec<_> = streams.keys().filter(|name| pattern::is_pattern(name)).cloned().collect();
    names.into_iter().filter_map(|name| streams.remove_entry(&name)).collect()
}

/// How many streams run at a time; how many a pattern makes nobody knows yet.
pub(super) fn at_once(limits: &Limits, streams: usize, patterns: usize) -> usize {
    limits.at_once(if patterns == 0 { streams } else { usize::MAX })
}

/// How the file's source reads names.
fn source_names(form: &FileForm) -> Result<NameOf> {
    let kind = form.source.get("type").and_then(Value::as_str).unwrap_or_default();
    etl_sources::find(kind).map(|source| source.object)
}

/// Checks what can be checked of a stream without a database; an error comes with the key that it
/// is about, if that is known.
pub(in crate::config) fn check(config: &StreamConfig) -> Result<(), (Option<&'static str>, Error)> {
    config.validate().map_err(|error| (None, error))?;
    if let Some(filter) = &config.filter {
        Predicate::parse(filter).map_err(|error| (Some("where"), error))?;
    }
    let transforms = etl_core::transform::build(&config.transforms, config.filter_exit());
    transforms.map(drop).map_err(|error| (Some("transforms"), error))
}

/// How another stream spells the same table, if otherwise.
fn shared(object: &str, same: &str) -> String {
    if object == same { String::new() } else { format!(", as {same}") }
}
