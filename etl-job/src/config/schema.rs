//! The JSON Schema of a pipeline file, every connector's section included.

use schemars::Schema;
use serde_json::{Map, Value, json};

use crate::config::{FileForm, PatternForm};

/// The whole schema, as `etl-job schema` prints it and `docs/pipeline.schema.json` holds it.
#[must_use]
pub fn whole() -> Value {
    let mut schema = schemars::schema_for!(FileForm).to_value();
    let (streams, defaults) = (streams(&mut schema), defaults(&schema));
    let source = etl_sources::SOURCES.iter().map(|one| (one.kind, (one.schema)()));
    let sink = etl_sinks::SINKS.iter().map(|one| (one.kind, (one.schema)()));
    let sides = [
        ("source", one_of("source", source.collect(), &mut schema)),
        ("target", one_of("target", sink.collect(), &mut schema)),
        ("defaults", defaults),
        ("streams", streams),
    ];
    for (side, sections) in sides {
        let place = &mut schema["properties"][side];
        let description = place["description"].clone();
        *place = sections;
        place["description"] = description;
    }
    schema
}

/// The sections of one side, told apart by `type`. Their definitions move to the root.
fn one_of(side: &str, sections: Vec<(&str, Schema)>, root: &mut Value) -> Value {
    let sections: Vec<_> = sections
        .into_iter()
        .map(|(kind, schema)| {
            let mut section = schema.to_value();
            let prefix = format!("{side}_{kind}_");
            move_references(&mut section, &prefix);
            if let Some(Value::Object(definitions)) =
                section.as_object_mut().and_then(|map| map.remove("$defs"))
            {
                for (name, definition) in definitions {
                    root["$defs"][format!("{prefix}{name}")] = definition;
                }
            }
            with_type(section, kind)
        })
        .collect();
    json!({ "oneOf": sections })
}

fn with_type(mut section: Value, kind: &str) -> Value {
    if let Some(map) = section.as_object_mut() {
        map.remove("$schema");
        map.insert("type".to_owned(), "object".into());
    }
    section["properties"]["type"] = json!({ "const": kind, "description": "The connector." });
    let mut required = section["required"].as_array().cloned().unwrap_or_default();
    required.insert(0, "type".into());
    section["required"] = required.into();
    section
}

fn move_references(value: &mut Value, prefix: &str) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get_mut("$ref") {
                *reference = reference.replace("#/$defs/", &format!("#/$defs/{prefix}"));
            }
            map.values_mut().for_each(|value| move_references(value, prefix));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| move_references(value, prefix)),
        _ => {}
    }
}

/// Streams, and patterns, which may say more. What is required may stand in the defaults.
fn streams(schema: &mut Value) -> Value {
    let mut pattern = defaults(schema);
    let more = schemars::schema_for!(PatternForm).to_value()["properties"].clone();
    if let (Some(all), Value::Object(more)) = (pattern["properties"].as_object_mut(), more) {
        all.remove("table");
        all.extend(more);
    }
    pattern["description"] = "The streams of all tables that a pattern matches.".into();
    schema["$defs"]["Pattern"] = pattern;
    for name in ["StreamConfig", "CursorConfig"] {
        if let Some(definition) = schema["$defs"][name].as_object_mut() {
            definition.remove("required");
        }
    }
    let mut streams = schema["properties"]["streams"].clone();
    streams["patternProperties"] = json!({ "\\*": { "$ref": "#/$defs/Pattern" } });
    streams
}

/// What a stream may say, with nothing required.
fn defaults(schema: &Value) -> Value {
    let mut stream = schema["$defs"]["StreamConfig"].as_object().cloned().unwrap_or_else(Map::new);
    stream.remove("required");
    stream.remove("description");
    Value::Object(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_to_a_definition() {
        fn walk(value: &Value, root: &Value) {
            match value {
                Value::Object(map) => {
                    if let Some(Value::String(reference)) = map.get("$ref") {
                        let name = reference.strip_prefix("#/$defs/").unwrap();
                        assert!(root["$defs"].get(name).is_some(), "{reference}");
                    }
                    map.values().for_each(|value| walk(value, root));
                }
                Value::Array(items) => items.iter().for_each(|value| walk(value, root)),
                _ => {}
            }
        }
        let schema = whole();
        walk(&schema, &schema);
        assert_eq!(schema["additionalProperties"], false);
    }

    /// Run with `UPDATE_SCHEMA=1` to write it anew.
    #[test]
    fn the_published_schema_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/pipeline.schema.json");
        let now = serde_json::to_string_pretty(&whole()).unwrap() + "\n";
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(path, &now).unwrap();
        }
        let published = std::fs::read_to_string(path).unwrap();
        assert!(published == now, "docs/pipeline.schema.json is old: UPDATE_SCHEMA=1 cargo test");
    }
}
