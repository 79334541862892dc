//! From text to a checked pipeline file.

mod streams;

use std::path::{Path, PathBuf};

use etl_core::error::ResultExt;
use etl_core::{Error, Result};
use serde_json::Value;
use serde_path_to_error::Segment;

pub(super) use streams::check;
use streams::{Said, at_once, take_patterns};

use crate::config::merge::with_defaults;
use crate::config::tree::{Kind, Node, Step, parse};
use crate::config::{FileForm, PipelineFile, Secrets, Section, VERSION, explain};
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
        Ok((form, patterns))
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
