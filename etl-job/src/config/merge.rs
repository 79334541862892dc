//! `defaults`: what streams say unless they say otherwise.

use crate::config::tree::{Entry, Kind, Node};

/// The keys whose maps are merged key by key. All else is replaced whole: a list has no keys to
/// merge by, and of `safety: { lookback: 10m }` or of a list of transforms half is nonsense.
const MERGED: [&str; 2] = ["cursor", "columns"];

/// What a file may say for all its streams beside the defaults.
const QUARANTINE: &str = "quarantine";

/// Gives every stream the keys of `defaults` that it does not have itself, and then the file's
/// `quarantine`.
///
/// A `null` takes a default away. Of `defaults.columns` a stream gets those that it selects: other
/// streams have other columns.
pub(super) fn with_defaults(tree: &Node) -> Node {
    let mut defaults = tree.get("defaults").map_or(&[][..], Node::entries).to_vec();
    let mut tree = tree.clone();
    let Kind::Map(entries) = &mut tree.kind else { return tree };
    if defaults.iter().all(|entry| entry.key != QUARANTINE) {
        defaults.extend(entries.iter().find(|entry| entry.key == QUARANTINE).cloned());
    }
    let streams = entries.iter_mut().find(|entry| entry.key == "streams");
    let Some(Kind::Map(streams)) = streams.map(|entry| &mut entry.node.kind) else { return tree };
    for stream in streams {
        if let Kind::Map(own) = &mut stream.node.kind {
            merge(own, &defaults);
        }
    }
    tree
}

fn merge(own: &mut Vec<Entry>, defaults: &[Entry]) {
    for default in defaults {
        let selected = selected(own, defaults);
        let default = match default.key.as_str() {
            "columns" => of_selected(default, selected.as_deref()),
            _ => default.clone(),
        };
        match own.iter_mut().find(|entry| entry.key == default.key) {
            None => own.push(default),
            Some(entry) => {
                let (Kind::Map(own), Kind::Map(more)) = (&mut entry.node.kind, default.node.kind)
                else {
                    continue;
                };
                if MERGED.contains(&entry.key.as_str()) {
                    let missing = |one: &Entry| own.iter().all(|entry| entry.key != one.key);
                    let more: Vec<_> = more.into_iter().filter(missing).collect();
                    own.extend(more);
                }
            }
        }
    }
}

/// The columns that a stream says it selects.
fn selected(own: &[Entry], defaults: &[Entry]) -> Option<Vec<String>> {
    let select = own.iter().chain(defaults).find(|entry| entry.key == "select")?;
    let Kind::List(columns) = &select.node.kind else { return None };
    Some(columns.iter().filter_map(Node::text).map(str::to_owned).collect())
}

fn of_selected(columns: &Entry, selected: Option<&[String]>) -> Entry {
    let mut columns = columns.clone();
    if let (Kind::Map(entries), Some(selected)) = (&mut columns.node.kind, selected) {
        entries.retain(|entry| selected.contains(&entry.key));
    }
    columns
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::tree::parse;

    fn merged(defaults: &str, stream: &str) -> serde_json::Value {
        let text = format!("defaults: {defaults}\nstreams: {{ s: {stream} }}\n");
        with_defaults(&parse(&text).unwrap()).to_value()["streams"]["s"].clone()
    }

    #[test]
    fn a_stream_overrides_its_defaults() {
        assert_eq!(
            merged("{ mode: append, where: a, select: [a, b] }", "{ mode: upsert, select: [c] }"),
            json!({ "mode": "upsert", "select": ["c"], "where": "a" })
        );
    }

    #[test]
    fn cursor_and_columns_are_merged_key_by_key() {
        assert_eq!(
            merged(
                "{ cursor: { column: t, guard: 5s }, columns: { a: int32, b: int32, c: int32 } }",
                "{ select: [a, b], cursor: { guard: 9s }, columns: { a: int64 } }"
            ),
            json!({
                "select": ["a", "b"],
                "cursor": { "column": "t", "guard": "9s" },
                "columns": { "a": "int64", "b": "int32" },
            })
        );
    }

    #[test]
    fn what_is_no_map_of_names_is_replaced_whole() {
        assert_eq!(
            merged("{ cursor: { safety: { lookback: 1h } } }", "{ cursor: { safety: horizon } }"),
            json!({ "cursor": { "safety": "horizon" } })
        );
        assert_eq!(
            merged("{ on_filter_exit: { a: 1 } }", "{ on_filter_exit: { b: 2 } }"),
            json!({ "on_filter_exit": { "b": 2 } })
        );
    }

    #[test]
    fn the_files_quarantine_is_the_last_to_be_asked() {
        let said = |defaults: &str, stream: &str| {
            let text = format!(
                "quarantine: {{ max_rows: 1 }}\ndefaults: {defaults}\nstreams: {{ s: {stream} }}\n"
            );
            let merged = with_defaults(&parse(&text).unwrap()).to_value();
            merged["streams"]["s"]["quarantine"].clone()
        };
        let (two, three) = ("{ quarantine: { max_rows: 2 } }", "{ quarantine: { max_rows: 3 } }");
        assert_eq!(said("{}", "{}"), json!({ "max_rows": 1 }));
        assert_eq!(said(two, "{}"), json!({ "max_rows": 2 }));
        assert_eq!(said(two, three), json!({ "max_rows": 3 }));
        assert_eq!(said("{}", "{ quarantine: null }"), json!(null));
    }

    #[test]
    fn null_takes_a_default_away() {
        assert_eq!(merged("{ where: a }", "{ where: null }"), json!({ "where": null }));
    }
}
