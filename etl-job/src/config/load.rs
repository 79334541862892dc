//! From text to a checked pipeline file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use etl_core::connector::{Stream, StreamConfig};
use etl_core::error::ResultExt;
use etl_core::predicate::Predicate;
use etl_core::{Error, Result};
use serde_json::Value;
use serde_path_to_error::Segment;

use crate::config::merge::with_defaults;
use crate::config::pattern::{self, NameOf, Pattern};
use crate::config::tree::{Entry, Kind, Node, Step, parse};
use crate::config::{FileForm, Limits, PipelineFile, Secrets, Section, VERSION, explain};
use crate::interpolate::{Resolved, Resolver};
use crate::secrets;

/// The longest name of a pipeline or a stream.
pub(super) const LONGEST_NAME: usize = 120;

pub(super) fn load(
    path: &Path,
    wanted: Secrets,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<PipelineFile> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Error::config(format!("pipeline file {}: cannot be read", path.display()))
            .with_source(error)
    })?;
    let tree = parse(&text).context(|| path.display())?;
    let loader = Loader { path, tree: &tree };
    loader.check_version()?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let required = Resolver { env, folder, offline: false };
    let optional = Resolver { env, folder, offline: true };
    let resolved = loader.resolve(|top| match wanted {
        Secrets::Optional => &optional,
        Secrets::OfTarget if ["source", "telemetry"].contains(&top) => &optional,
        Secrets::OfTarget | Secrets::Required => &required,
    })?;
    let (form, patterns) = loader.read(&resolved)?;
    let (name, source, target) = (form.pipeline.clone(), form.source.clone(), form.target.clone());
    let (streams, patterns) = loader.streams(&form, patterns)?;
    Ok(PipelineFile {
        name,
        source: loader.section("source", source)?,
        target: loader.section("target", target)?,
        at_once: at_once(&form.limits, streams.len(), patterns.len()),
        streams,
        patterns,
        limits: form.limits,
        lease: form.lease,
        telemetry: form.telemetry,
        path: PathBuf::from(path),
        tree,
    })
}

struct Loader<'a> {
    path: &'a Path,
    /// As it was written.
    tree: &'a Node,
}

impl Loader<'_> {
    fn error(&self, path: &[Step], text: impl std::fmt::Display) -> Error {
        Error::config(format!("{}{text}", explain::place(self.path, self.tree, path)))
    }

    /// The version comes first: what a newer file says must not be read as an older one's error.
    fn check_version(&self) -> Result<()> {
        if !matches!(self.tree.kind, Kind::Map(_)) {
            return Err(self.error(&[], "a pipeline file is a map: version, pipeline, source, …"));
        }
        let at = [key("version")];
        let Some(version) = self.tree.get("version") else {
            return Err(self.error(&[], "version is missing; write version: 1"));
        };
        match &version.kind {
            Kind::Plain(value) if value.as_u64() == Some(VERSION) => Ok(()),
            Kind::Plain(value) if value.as_u64().is_some_and(|found| found > VERSION) => Err(self
                .error(
                    &at,
                    format!(
                        "the file is of version {value}, this program ({}) reads up to version \
                         {VERSION}; use a newer program",
                        env!("CARGO_PKG_VERSION")
                    ),
                )),
            _ => Err(self.error(&at, "the version must be the number 1")),
        }
    }

    /// Follows all references, and refuses passwords that everybody can read or guess.
    fn resolve<'r>(&self, resolver: impl Fn(&str) -> &'r Resolver<'r>) -> Result<Node> {
        let inline = self.tree.get("allow_inline_secrets").map(Node::to_value);
        let inline_allowed = inline == Some(Value::Bool(true));
        self.tree.clone().map_texts(&mut Vec::new(), &mut |path, _, text| {
            let top = match path.first() {
                Some(Step::Key(top)) => top.as_str(),
                _ => "",
            };
            let resolved = resolver(top)
                .resolve(&text)
                .map_err(|error| self.error(path, error.to_string()))?;
            if ["source", "target", "telemetry"].contains(&top) {
                self.check_passwords(path, &resolved, inline_allowed)?;
            }
            Ok(self.stand_in(path, &resolved).unwrap_or(resolved.text))
        })
    }

    fn check_passwords(
        &self,
        path: &[Step],
        resolved: &Resolved,
        inline_allowed: bool,
    ) -> Result<()> {
        let name = match path.last() {
            Some(Step::Key(name)) => name.as_str(),
            _ => "",
        };
        let passwords = secrets::passwords(name, &resolved.text);
        for password in &passwords {
            secrets::remember(password);
        }
        if !inline_allowed && !secrets::passwords(name, &resolved.literal).is_empty() {
            return Err(self.error(
                path,
                "a password stands in this file in clear; put it into a file or a variable and \
                 write ${file:/path} or ${env:NAME}, or accept it with allow_inline_secrets: true",
            ));
        }
        if !resolved.unresolved && passwords.iter().any(|one| secrets::is_placeholder(one)) {
            return Err(self.error(
                path,
                "the password is one of those that stand in examples; set one of your own",
            ));
        }
        Ok(())
    }

    /// A URL that is all secret and not at hand becomes one that a connector can read.
    fn stand_in(&self, path: &[Step], resolved: &Resolved) -> Option<String> {
        let (Step::Key(side), Step::Key(name)) = (path.first()?, path.last()?) else {
            return None;
        };
        if !resolved.unresolved || !resolved.literal.is_empty() || name != "url" {
            return None;
        }
        let kind = self.tree.get(side)?.get("type")?.text()?;
        Some(format!("{kind}://stand_in:1@stand-in.invalid/stand_in"))
    }

    /// The file's form, and apart from it what its patterns say.
    fn read(&self, resolved: &Node) -> Result<(FileForm, Said)> {
        let merged = with_defaults(resolved);
        let mut value = merged.to_value();
        let patterns = take_patterns(&mut value);
        let form: FileForm = serde_path_to_error::deserialize(value).map_err(|error| {
            let path: Vec<_> = error.path().iter().filter_map(step).collect();
            let text = error.into_inner().to_string();
            // What a stream has from the defaults stands there.
            explain::error(self.path, &merged, &path, &text)
        })?;
        self.check_name("pipeline", &[key("pipeline")], &form.pipeline)?;
        let about = |top: &str| {
            let path = [key(top)];
            move |error: Error| {
                error.context(format!("{}:{}", self.path.display(), self.tree.line_of(&path)))
            }
        };
        let at_once = at_once(&form.limits, form.streams.len(), patterns.len());
        form.limits.validate(at_once).map_err(about("limits"))?;
        form.lease.validate().map_err(about("lease"))?;
        if form.quarantine.max_rows != 0 {
            return Err(self.error(
                &[key("quarantine"), key("max_rows")],
                "rows cannot be put aside in this version; write 0: the first row that cannot be \
                 stored then stops the run",
            ));
        }
        Ok((form, patterns))
    }

    /// Every stream and pattern; what is wrong with any of them is told together.
    fn streams(&self, form: &FileForm, mut said: Said) -> Result<(Vec<Stream>, Vec<Pattern>)> {
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
            let filled = filled.and_then(|table| pattern::fill(&config.object, &table));
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

    fn check_name(&self, what: &str, path: &[Step], name: &str) -> Result<()> {
        let plain =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.' | '-');
        if (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(plain) {
            return Ok(());
        }
        let text = format!(
            "the {what}'s name must be 1 to {LONGEST_NAME} of the characters a-z 0-9 _ . -; it \
             has {} and is the checkpoint's name",
            name.chars().count()
        );
        Err(self.error(path, text))
    }

    fn section(&self, side: &'static str, value: Value) -> Result<Section> {
        let kind = value.get("type").and_then(Value::as_str).map(str::to_owned);
        let kind = kind.ok_or_else(|| {
            self.error(&[key(side)], "type is missing; it names the connector, as in type: sqlite")
        })?;
        Ok(Section { side, kind, value })
    }
}

/// What each pattern says, defaults included.
type Said = BTreeMap<String, Value>;

/// Takes the patterns out of a file, since they are no streams yet.
fn take_patterns(file: &mut Value) -> Said {
    let Some(Value::Object(streams)) = file.get_mut("streams") else { return Said::new() };
    let names: Vec<_> = streams.keys().filter(|name| pattern::is_pattern(name)).cloned().collect();
    names.into_iter().filter_map(|name| streams.remove_entry(&name)).collect()
}

/// How many streams run at a time; how many a pattern makes nobody knows yet.
fn at_once(limits: &Limits, streams: usize, patterns: usize) -> usize {
    limits.at_once(if patterns == 0 { streams } else { usize::MAX })
}

/// How the file's source reads names.
fn source_names(form: &FileForm) -> Result<NameOf> {
    let kind = form.source.get("type").and_then(Value::as_str).unwrap_or_default();
    etl_sources::find(kind).map(|source| source.object)
}

/// Checks what can be checked of a stream without a database; an error comes with the key that it
/// is about, if that is known.
pub(super) fn check(config: &StreamConfig) -> Result<(), (Option<&'static str>, Error)> {
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

fn key(name: &str) -> Step {
    Step::Key(name.to_owned())
}

fn step(segment: &Segment) -> Option<Step> {
    match segment {
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Map { key } | Segment::Enum { variant: key } => Some(Step::Key(key.clone())),
        Segment::Unknown => None,
    }
}
