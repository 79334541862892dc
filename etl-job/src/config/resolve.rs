//! A file's streams once its patterns were looked up in the source's catalog.

use std::collections::{BTreeMap, BTreeSet};

use etl_core::catalog::{ObjectName, TableInfo};
use etl_core::connector::Stream;
use etl_core::{Error, Result};

use super::names::stream_name;
use super::pattern::Pattern;
use super::{PipelineFile, explain};

/// The streams of a file.
pub struct Resolved {
    /// Those that may run: the file's own first, then each pattern's, by name.
    pub streams: Vec<Stream>,
    /// Those that may not, each with the reason. The others do not depend on them.
    pub refused: Vec<Refused>,
}

/// A table that no stream could be made of, or a pattern that led to none.
pub struct Refused {
    /// The stream's name; of a table that no stream can be named after, the table's.
    pub stream: String,
    /// What is wrong and what to change.
    pub error: Error,
}

impl Resolved {
    /// The stream called `name`, or all of them.
    ///
    /// # Errors
    /// `Config` if there is none of that name.
    pub fn select(mut self, name: Option<&str>) -> Result<Self> {
        let Some(name) = name else { return Ok(self) };
        let names = self.streams.iter().map(|stream| &stream.name);
        let names: Vec<_> =
            names.chain(self.refused.iter().map(|refused| &refused.stream)).cloned().collect();
        self.streams.retain(|stream| stream.name == name);
        self.refused.retain(|refused| refused.stream == name);
        if self.streams.is_empty() && self.refused.is_empty() {
            return Err(no_stream(name, &names));
        }
        Ok(self)
    }
}

pub(super) fn no_stream(name: &str, names: &[String]) -> Error {
    let known: Vec<_> = names.iter().map(String::as_str).collect();
    Error::config(format!(
        "there is no stream \"{name}\"{}; there is: {}",
        explain::did_you_mean(name, &known),
        known.join(", ")
    ))
}

impl PipelineFile {
    /// The tables that patterns choose from; asks the source only if there is a pattern.
    ///
    /// # Errors
    /// What the source says.
    pub async fn tables(&self) -> Result<Vec<TableInfo>> {
        if self.patterns.is_empty() {
            return Ok(Vec::new());
        }
        self.build_catalog()?.tables().await
    }

    /// The file's streams, with those that its patterns make of `tables`. Of the streams that were
    /// `prepared` before, by name, those are missed whose tables are gone.
    #[must_use]
    pub fn resolve(&self, tables: Result<Vec<TableInfo>>, prepared: &[String]) -> Resolved {
        let mut finding = Finding { file: self, found: Vec::new(), refused: Vec::new() };
        if !self.patterns.is_empty() {
            match tables {
                Ok(tables) => finding.look(tables, prepared),
                Err(error) => finding.refuse_all(&error),
            }
        }
        let mut streams = self.streams.clone();
        streams.extend(finding.found);
        Resolved { streams, refused: finding.refused }
    }
}

/// The work of finding streams.
struct Finding<'a> {
    file: &'a PipelineFile,
    found: Vec<Stream>,
    refused: Vec<Refused>,
}

impl Finding<'_> {
    fn refuse(&mut self, stream: impl Into<String>, error: Error) {
        self.refused.push(Refused { stream: stream.into(), error });
    }

    /// Without a catalog nothing is known of any pattern.
    fn refuse_all(&mut self, error: &Error) {
        for pattern in &self.file.patterns {
            let same = Error::new(error.class(), error.to_string());
            let same = match error.code() {
                Some(code) => same.with_code(code),
                None => same,
            };
            self.refuse(&pattern.text, same.context("looking the pattern up at the source"));
        }
    }

    fn look(&mut self, mut tables: Vec<TableInfo>, prepared: &[String]) {
        tables.sort_by_key(|table| table.name.to_string());
        self.look_at_patterns(&tables);
        let own: BTreeSet<_> =
            self.file.streams.iter().filter_map(|one| self.file.table_of(one)).collect();
        for table in tables.iter().filter(|table| !own.contains(&table.name.identity())) {
            let patterns = self.file.patterns.iter().filter(|one| one.takes(&table.name));
            match patterns.collect::<Vec<_>>().as_slice() {
                [] => {}
                [pattern] => self.find(pattern, table),
                [one, other, ..] => {
                    let text = format!(
                        "the patterns {} and {} both match it; {}",
                        one.text,
                        other.text,
                        other.way_out(&table.name)
                    );
                    self.refuse(shown(&table.name), Error::config(text));
                }
            }
        }
        self.refuse_doubles();
        self.miss(prepared, &tables);
    }

    fn look_at_patterns(&mut self, tables: &[TableInfo]) {
        for pattern in &self.file.patterns {
            for idle in pattern.idle_exclusions(tables) {
                tracing::warn!(pattern = pattern.text, exclude = idle, "it excludes no table");
            }
            if !tables.iter().any(|table| pattern.fits(&table.name)) {
                let text =
                    format!("the pattern matches no table of the source{}", pattern.near(tables));
                self.refuse(&pattern.text, Error::config(text));
            }
        }
    }

    fn find(&mut self, pattern: &Pattern, table: &TableInfo) {
        let Some(name) = stream_name(&table.name) else {
            let text = format!(
                "no checkpoint can be named after table \"{}\": its parts need 1 to 120 of the \
                 characters a-z A-Z 0-9 _ -. Write it out as a stream with a name of its own and \
                 table: \"{}\", or exclude it in the pattern {}",
                table.name, table.name, pattern.text
            );
            return self.refuse(shown(&table.name), Error::config(text));
        };
        match pattern.stream(&self.file.name, &name, table) {
            Ok(stream) => self.found.push(stream),
            Err(error) => {
                self.refuse(name, error.context(format!("pattern {}", pattern.text)));
            }
        }
    }

    /// Two that are one: by the checkpoint's name, or by the table that they write. A stream that
    /// the file names keeps what it has.
    fn refuse_doubles(&mut self) {
        let mut owners: BTreeMap<(Option<String>, String), Vec<String>> = BTreeMap::new();
        let mut names: BTreeMap<String, usize> = BTreeMap::new();
        for stream in self.file.streams.iter().chain(&self.found) {
            *names.entry(stream.name.clone()).or_default() += 1;
            if let Ok(object) = self.file.object_of(stream) {
                owners.entry(object).or_default().push(stream.name.clone());
            }
        }
        for stream in std::mem::take(&mut self.found) {
            let object = self.file.object_of(&stream);
            let owners = match object.as_ref().map(|object| owners.get(object)) {
                Ok(owners) => owners.map_or(&[][..], Vec::as_slice),
                Err(error) => {
                    let error = Error::config(format!("object: {error}"));
                    self.refuse(stream.name, error);
                    continue;
                }
            };
            if names.get(&stream.name).is_some_and(|count| *count > 1) {
                let text = format!(
                    "several tables give a stream of this name, {} among them; write all but one \
                     out as streams with names of their own and table: …",
                    stream.table()
                );
                self.refuse(stream.name, Error::config(text));
            } else if let Some(other) = owners.iter().find(|other| **other != stream.name) {
                let text = format!(
                    "it would write to {}, and so does stream {other}; two streams cannot own one \
                     table: give object: another form, or write one of them out",
                    stream.config.object
                );
                self.refuse(stream.name, Error::config(text));
            } else {
                self.found.push(stream);
            }
        }
    }

    /// Streams that were carried once and have no table any more.
    fn miss(&mut self, prepared: &[String], tables: &[TableInfo]) {
        let named = self.file.streams.iter().map(|stream| stream.name.clone());
        let there = tables.iter().filter_map(|table| stream_name(&table.name));
        let known: BTreeSet<_> = named.chain(there).collect();
        for name in prepared.iter().filter(|name| !known.contains(*name)) {
            let Some(pattern) = self.file.pattern_of(name) else { continue };
            let text = format!(
                "the pattern {} has carried it, and the source has no such table any more, or none \
                 that this login may see. Nothing was read; its rows and its checkpoint stay in the \
                 target. If that is meant, add exclude: [\"{name}\"] to the pattern",
                pattern.text
            );
            self.refuse(name, Error::schema(text));
        }
    }
}

/// What to call a table that has no stream.
fn shown(table: &ObjectName) -> String {
    stream_name(table).unwrap_or_else(|| table.to_string())
}

#[cfg(test)]
mod tests;
