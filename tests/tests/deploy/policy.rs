//! The review of rendered objects, and the faults that it must find.

use std::collections::BTreeSet;

use etl_tests::policy::{Objects, review, rules};
use serde::Deserialize;
use serde_json::Value;

use super::{files, read};

const PLANTED: &str = "tests/planted-faults.yaml";

/// One change that makes a good render bad.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fault {
    /// What somebody might do.
    fault: String,
    /// The rule that must find it.
    rule: String,
    /// `Kind namespace/name`, or `Kind name`; nothing for `object`.
    at: Option<String>,
    /// A JSON pointer into that object.
    path: Option<String>,
    /// The new value there; without it the field is removed.
    set: Option<Value>,
    /// A whole object that is added.
    object: Option<Value>,
}

fn render(overlay: &str) -> Objects {
    Objects::parse(&read(&format!("tests/golden/{overlay}.yaml"))).unwrap()
}

fn plant(fault: &Fault, objects: &mut Objects) {
    if let Some(object) = &fault.object {
        let mut object = object.clone();
        // Larger than anybody would write into the list of faults.
        if fault.rule == "sizes" {
            object["data"]["text"] = "x".repeat(1 << 20).into();
        }
        objects.0.push(object);
        return;
    }
    let at = fault.at.as_deref().unwrap_or_else(|| panic!("{}: `at` or `object`", fault.fault));
    let object = objects
        .0
        .iter_mut()
        .find(|object| {
            let part =
                |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or("");
            let (kind, name) = (part("/kind"), part("/metadata/name"));
            let namespace = part("/metadata/namespace");
            // Generated names carry a hash.
            let matches = |wanted: &str| {
                wanted == name
                    || wanted.strip_suffix('*').is_some_and(|start| name.starts_with(start))
            };
            match at
                .split_once(' ')
                .map(|(k, rest)| (k, rest.split_once('/').unwrap_or(("", rest))))
            {
                Some((k, (n, wanted))) => k == kind && n == namespace && matches(wanted),
                None => false,
            }
        })
        .unwrap_or_else(|| panic!("{}: there is no {at}", fault.fault));
    let Some(path) = &fault.path else {
        *object = Value::Null;
        objects.0.retain(|object| !object.is_null());
        return;
    };
    let (parent, field) = path.rsplit_once('/').unwrap();
    let field = field.replace("~1", "/");
    let parent = object
        .pointer_mut(parent)
        .unwrap_or_else(|| panic!("{}: {at} has no {parent}", fault.fault));
    match (parent, &fault.set) {
        (Value::Object(fields), Some(value)) => drop(fields.insert(field, value.clone())),
        (Value::Object(fields), None) => {
            assert!(fields.remove(&field).is_some(), "{}: {at} has no {path}", fault.fault);
        }
        (Value::Array(values), Some(value)) if field == "-" => values.push(value.clone()),
        (Value::Array(values), Some(value)) => {
            values[field.parse::<usize>().unwrap()] = value.clone();
        }
        (Value::Array(values), None) => drop(values.remove(field.parse().unwrap())),
        (other, _) => panic!("{}: {path} leads into {other}", fault.fault),
    }
}

#[test]
fn every_overlay_passes_the_review() {
    let mut problems = Vec::new();
    for path in files("tests/golden", ".yaml") {
        // A component alone, whose kinds are another project's.
        if path.ends_with("external-secrets.yaml") {
            continue;
        }
        let objects = Objects::parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert!(objects.0.len() > 50, "{}: only {} objects", path.display(), objects.0.len());
        let overlay = path.file_name().unwrap().to_string_lossy().into_owned();
        problems.extend(review(&objects).iter().map(|finding| format!("{overlay}: {finding}")));
    }
    assert!(problems.is_empty(), "{} findings:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn the_review_finds_every_planted_fault() {
    let faults: Vec<Fault> = serde_saphyr::from_str(&read(PLANTED)).unwrap();
    let good = render("k3s");
    assert_eq!(review(&good), [], "the faults are planted into a render without any");
    let mut missed = Vec::new();
    for fault in &faults {
        let mut objects = good.clone();
        plant(fault, &mut objects);
        let found = review(&objects).into_iter().find(|finding| finding.rule == fault.rule);
        match found {
            Some(finding) => println!("{}\n    {finding}", fault.fault),
            None => missed.push(format!("{} (rule {})", fault.fault, fault.rule)),
        }
    }
    assert!(
        missed.is_empty(),
        "{} of {} were not found:\n{}",
        missed.len(),
        faults.len(),
        missed.join("\n")
    );
    let tried: BTreeSet<_> = faults.iter().map(|fault| fault.rule.as_str()).collect();
    let untried: Vec<_> =
        rules().into_iter().map(|rule| rule.name).filter(|name| !tried.contains(name)).collect();
    assert!(untried.is_empty(), "rules that no planted fault tries: {untried:?}");
}
