//! YAML as a tree that remembers where everything stood.

use std::fmt;

use etl_core::{Error, Result};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use serde_saphyr::Spanned;

/// One value of a file and the line that it stood on, counted from 1.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) line: u64,
    pub(crate) kind: Kind,
}

/// What a value is.
#[derive(Clone)]
pub(crate) enum Kind {
    /// Null, a boolean or a number.
    Plain(Value),
    /// A text, the one thing that may hold references.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the file's order.
    Map(Vec<Entry>),
}

/// One key of a map.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) line: u64,
    pub(crate) node: Node,
}

/// One step from a value to one inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

/// Reads YAML text.
///
/// # Errors
/// `Config` with the line, and without the file's text, which may hold a secret.
pub(crate) fn parse(text: &str) -> Result<Node> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error.location().map_or_else(String::new, |at| format!("line {}: ", at.line()));
        Error::config(format!("{place}this is not YAML as expected: {}", first_line(&error)))
    })
}

/// The error's own words; serde-saphyr adds the place, which we have said already.
fn first_line(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let line = text.lines().next().unwrap_or_default();
    line.split(" at line ").next().unwrap_or_default().to_owned()
}

impl Node {
    /// The entries, if it is a map.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The value under `key`, if it is a map that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// The text, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The line of what `path` leads to; of the last thing on the way that exists.
    pub(crate) fn line_of(&self, path: &[Step]) -> u64 {
        let Some((step, rest)) = path.split_first() else { return self.line };
        match (step, &self.kind) {
            (Step::Key(key), Kind::Map(entries)) => {
                match entries.iter().find(|entry| &entry.key == key) {
                    Some(entry) if rest.is_empty() => entry.line,
                    Some(entry) => entry.node.line_of(rest),
                    None => self.line,
                }
            }
            (Step::Index(index), Kind::List(items)) => {
                items.get(*index).map_or(self.line, |item| item.line_of(rest))
            }
            _ => self.line,
        }
    }

    /// The same tree as JSON, without the lines.
    pub(crate) fn to_value(&self) -> Value {
        match &self.kind {
            Kind::Plain(value) => value.clone(),
            Kind::Text(text) => Value::String(text.clone()),
            Kind::List(items) => items.iter().map(Self::to_value).collect(),
            Kind::Map(entries) => {
                entries.iter().map(|entry| (entry.key.clone(), entry.node.to_value())).collect()
            }
        }
    }

    /// The same tree with every text changed by `change`, which gets the text's path.
    pub(crate) fn map_texts<F>(self, path: &mut Vec<Step>, change: &mut F) -> Result<Self>
    where
        F: FnMut(&[Step], u64, String) -> Result<String>,
    {
        let line = self.line;
        let kind = match self.kind {
            Kind::Plain(value) => Kind::Plain(value),
            Kind::Text(text) => Kind::Text(change(path, line, text)?),
            Kind::List(items) => {
                let mut changed = Vec::with_capacity(items.len());
                for (index, item) in items.into_iter().enumerate() {
                    path.push(Step::Index(index));
                    changed.push(item.map_texts(path, change)?);
                    path.pop();
                }
                Kind::List(changed)
            }
            Kind::Map(entries) => {
                let mut changed = Vec::with_capacity(entries.len());
                for entry in entries {
                    path.push(Step::Key(entry.key.clone()));
                    let node = entry.node.map_texts(path, change)?;
                    changed.push(Entry { node, ..entry });
                    path.pop();
                }
                Kind::Map(changed)
            }
        };
        Ok(Self { line, kind })
    }
}

/// A path as a person writes it: `streams."public.orders".select[2]`.
pub(crate) fn show(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Index(index) => text.push_str(&format!("[{index}]")),
            Step::Key(key) => {
                if !text.is_empty() {
                    text.push('.');
                }
                let plain = key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
                text.push_str(&if plain { key.clone() } else { format!("{key:?}") });
            }
        }
    }
    text
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let spanned = Spanned::<Kind>::deserialize(deserializer)?;
        Ok(Self { line: spanned.referenced.line(), kind: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> std::result::Result<Kind, E> {
        Ok(Kind::Plain(Value::Null))
    }

    fn visit_none<E>(self) -> std::result::Result<Kind, E> {
        Ok(Kind::Plain(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> std::result::Result<Kind, E> {
        Ok(Kind::Plain(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<Kind, E> {
        Ok(Kind::Plain(Value::Number(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<Kind, E> {
        Ok(Kind::Plain(Value::Number(value.into())))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> std::result::Result<Kind, E> {
        Number::from_f64(value)
            .map(|number| Kind::Plain(Value::Number(number)))
            .ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_str<E>(self, value: &str) -> std::result::Result<Kind, E> {
        Ok(Kind::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Kind, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Kind::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Kind, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let node = map.next_value()?;
            entries.push(Entry { line: key.referenced.line(), key: key.value, node });
        }
        Ok(Kind::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_paths_are_kept() {
        let tree = parse("a: 1\nb:\n  - x\n  - c.d: true\n").unwrap();
        let path = [Step::Key("b".into()), Step::Index(1), Step::Key("c.d".into())];
        assert_eq!(tree.line_of(&path), 4);
        assert_eq!(show(&path), "b[1].\"c.d\"");
        assert_eq!(tree.to_value(), serde_json::json!({"a": 1, "b": ["x", {"c.d": true}]}));
    }

    #[test]
    fn a_key_that_stands_twice_is_refused_with_its_line() {
        let error = parse("a: 1\na: 2\n").err().unwrap().to_string();
        assert!(error.contains("line 2"), "{error}");
    }

    #[test]
    fn broken_yaml_is_told_with_its_line_and_without_the_text() {
        let error = parse("a: 1\nb: [1, 2\nc: hunter2xyz\n").err().unwrap().to_string();
        assert!(error.contains("line "), "{error}");
        assert!(!error.contains("hunter2xyz"), "{error}");
    }
}
