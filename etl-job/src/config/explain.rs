//! Turns what serde says into what a person needs: the line, the key, and the likely intention.

use std::path::Path;

use etl_core::Error;

use crate::config::tree::{Node, Step, show};
use crate::secrets;

/// `orders.yaml:12: streams.orders.cursor: `.
pub(crate) fn place(file: &Path, tree: &Node, path: &[Step]) -> String {
    let line = tree.line_of(path);
    let shown = show(path);
    let colon = if shown.is_empty() { "" } else { ": " };
    format!("{}:{line}: {shown}{colon}", file.display())
}

/// An error of serde's at `path`, in our words.
pub(crate) fn error(file: &Path, tree: &Node, path: &[Step], text: &str) -> Error {
    let place = place(file, tree, path);
    Error::config(format!("{place}{}", secrets::redact(&reworded(text))))
}

/// ``unknown field `objct`, expected one of …`` → `unknown key "objct"; did you mean "object"? …`.
pub(crate) fn reworded(text: &str) -> String {
    for (serde, ours) in [("unknown field `", "key"), ("unknown variant `", "value")] {
        let Some((before, rest)) = text.split_once(serde) else { continue };
        let Some((word, rest)) = rest.split_once('`') else { continue };
        let known: Vec<_> = rest.split('`').skip(1).step_by(2).collect();
        let known_text = if known.is_empty() {
            String::from("; nothing may stand here")
        } else {
            format!("{}; known: {}", did_you_mean(word, &known), known.join(", "))
        };
        return format!("{before}unknown {ours} \"{word}\"{known_text}");
    }
    text.replace("missing field `", "missing key `").replace('`', "\"")
}

/// `; did you mean "object"?`, or nothing if nothing is near.
pub(super) fn did_you_mean(word: &str, known: &[&str]) -> String {
    let distance =
        |other: &str| strsim::damerau_levenshtein(&word.to_lowercase(), &other.to_lowercase());
    let near = (word.chars().count() / 3).max(2);
    known
        .iter()
        .map(|other| (distance(other), other))
        .filter(|(distance, _)| *distance <= near)
        .min()
        .map_or_else(String::new, |(_, other)| format!("; did you mean \"{other}\"?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_word_gets_its_likely_meaning() {
        let text = "target: unknown field `urll`, expected `url` or `tls`";
        assert_eq!(
            reworded(text),
            "target: unknown key \"urll\"; did you mean \"url\"?; known: url, tls"
        );
        let text = "unknown variant `upsrt`, expected `upsert` or `append`";
        assert!(reworded(text).contains("did you mean \"upsert\"?"));
        assert_eq!(did_you_mean("zzzzzz", &["url"]), "");
        assert_eq!(reworded("missing field `url`"), "missing key \"url\"");
    }
}
