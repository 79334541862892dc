//! Everything that a pod refers to is there.

use serde_json::{Value, json};

use super::exceptions::{CONFIG_MAPS, SECRETS};
use super::objects::{Objects, Pod, list, text};
use super::{Findings, Rule};

pub(crate) const RULES: &[Rule] = &[
    Rule { name: "references", check: references },
    Rule { name: "mounts", check: mounts },
    Rule { name: "config-hashes", check: hashes },
    Rule { name: "our-settings", check: ours },
];

type Known = &'static [(&'static str, &'static str, &'static [&'static str])];

/// Whether the object is there, and each key that is asked for.
fn missing(
    objects: &Objects,
    kind: &str,
    apart: Known,
    namespace: &str,
    name: &str,
    keys: &[&str],
) -> Option<String> {
    if let Some(map) = objects.find(kind, namespace, name) {
        let has = |key: &&&str| {
            ["data", "binaryData"]
                .iter()
                .any(|part| map.get(part).and_then(|part| part.get(**key)).is_some())
        };
        let absent = keys.iter().find(|key| !has(key))?;
        return Some(format!("{kind} {name} has no key {absent}"));
    }
    let Some((_, _, known)) =
        apart.iter().find(|(one, other, _)| *one == namespace && *other == name)
    else {
        return Some(format!("{kind} {name} is not there"));
    };
    let absent = keys.iter().find(|key| !known.contains(key))?;
    Some(format!("{kind} {name} has no key {absent}"))
}

fn references(objects: &Objects, findings: &mut Findings) {
    for pod in objects.pods() {
        let mut look = |reference: &Value, kind: &str, apart: Known, field: &str, keys: &[&str]| {
            if reference["optional"] == true {
                return;
            }
            if let Some(problem) =
                missing(objects, kind, apart, pod.namespace(), text(reference, field), keys)
            {
                findings.add(pod.name(), problem);
            }
        };
        let volumes = list(pod.at("/volumes"));
        let projected =
            volumes.iter().flat_map(|volume| list(volume.pointer("/projected/sources")));
        for volume in volumes.iter().chain(projected) {
            let keys = |source: &Value| -> Vec<String> {
                list(source.get("items")).iter().map(|item| text(item, "/key").to_owned()).collect()
            };
            if let Some(source) = volume.get("secret") {
                let keys = keys(source);
                let field =
                    if source.get("secretName").is_some() { "/secretName" } else { "/name" };
                look(
                    source,
                    "Secret",
                    SECRETS,
                    field,
                    &keys.iter().map(String::as_str).collect::<Vec<_>>(),
                );
            }
            if let Some(source) = volume.get("configMap") {
                let keys = keys(source);
                look(
                    source,
                    "ConfigMap",
                    CONFIG_MAPS,
                    "/name",
                    &keys.iter().map(String::as_str).collect::<Vec<_>>(),
                );
            }
        }
        for container in pod.containers() {
            for variable in list(container.value.pointer("/env")) {
                if let Some(reference) = variable.pointer("/valueFrom/secretKeyRef") {
                    look(reference, "Secret", SECRETS, "/name", &[text(reference, "/key")]);
                }
                if let Some(reference) = variable.pointer("/valueFrom/configMapKeyRef") {
                    look(reference, "ConfigMap", CONFIG_MAPS, "/name", &[text(reference, "/key")]);
                }
            }
        }
    }
}

fn mounts(objects: &Objects, findings: &mut Findings) {
    for pod in objects.pods() {
        let claims = list(pod.owner.pointer("/spec/volumeClaimTemplates"))
            .iter()
            .map(|claim| text(claim, "/metadata/name"));
        let named: Vec<_> = list(pod.at("/volumes"))
            .iter()
            .map(|volume| text(volume, "/name"))
            .chain(claims)
            .collect();
        let mut used = Vec::new();
        for container in pod.containers() {
            for mount in list(container.value.pointer("/volumeMounts")) {
                let volume = text(mount, "/name");
                used.push(volume);
                findings.expect(
                    named.contains(&volume),
                    &pod.name(),
                    format!("mounts {volume}, which is no volume of it"),
                );
            }
        }
        for volume in named {
            findings.expect(
                used.contains(&volume),
                &pod.name(),
                format!("volume {volume} is mounted nowhere"),
            );
        }
    }
}

/// A changed ConfigMap restarts a Deployment only if its name changes with it.
fn hashes(objects: &Objects, findings: &mut Findings) {
    for pod in objects.pods().filter(Pod::runs_on) {
        for volume in list(pod.at("/volumes")) {
            let name = text(volume, "/configMap/name");
            let apart = CONFIG_MAPS.iter().any(|(_, one, _)| *one == name);
            if name.is_empty() || apart {
                continue;
            }
            let hash = name.rsplit('-').next().unwrap_or_default();
            let hashed = hash.len() == 10 && hash.chars().all(|c| c.is_ascii_alphanumeric());
            findings.expect(
                hashed,
                &pod.name(),
                format!("ConfigMap {name} has no hash in its name"),
            );
        }
    }
}

/// Our programs read the one pipeline file, and what it names is mounted where it says.
fn ours(objects: &Objects, findings: &mut Findings) {
    for pod in objects.pods() {
        for container in pod.containers().iter().filter(|container| container.is_ours()) {
            let file = "/etc/etl/pipeline/orders.yaml";
            let reads = list(container.value.get("args")).contains(&json!(file));
            findings.expect(reads, &pod.name(), format!("does not read {file}"));
            let mounted = |path: &str| {
                list(container.value.pointer("/volumeMounts")).iter().any(|mount| {
                    let at = text(mount, "/mountPath").trim_end_matches('/');
                    path == at || path.strip_prefix(at).is_some_and(|rest| rest.starts_with('/'))
                })
            };
            let serves = list(container.value.get("args")).contains(&json!("serve"));
            let mut needed = vec![file, "/etc/etl/trust/ca.crt", "/run/secrets/etl/target/url"];
            if !serves {
                needed.push("/run/secrets/etl/source/url");
            }
            for path in needed {
                findings.expect(
                    mounted(path),
                    &pod.name(),
                    format!("nothing is mounted for {path}"),
                );
            }
        }
    }
}
