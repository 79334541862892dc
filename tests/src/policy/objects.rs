//! Rendered objects, and short ways to look into them.

use anyhow::{Context, Result};
use serde_json::Value;

/// Kinds that belong to no namespace.
const CLUSTER_KINDS: &[&str] = &[
    "Namespace",
    "StorageClass",
    "ClusterRole",
    "ClusterRoleBinding",
    "PersistentVolume",
    "PriorityClass",
    "ClusterSecretStore",
];

/// All objects of one render.
#[derive(Debug, Clone)]
pub struct Objects(pub Vec<Value>);

/// A pod that some object makes.
pub(crate) struct Pod<'a> {
    /// The object that makes it.
    pub(crate) owner: &'a Value,
    /// The pod template: `metadata` and `spec`.
    pub(crate) template: &'a Value,
}

/// A container of a pod.
pub(crate) struct Container<'a> {
    pub(crate) value: &'a Value,
    /// Whether it ends before the others begin.
    pub(crate) init: bool,
}

impl Objects {
    /// Reads a stream of YAML documents.
    ///
    /// # Errors
    /// If it is not YAML.
    pub fn parse(text: &str) -> Result<Self> {
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(text).context("the render is not YAML")?;
        Ok(Self(documents.into_iter().filter(|document| !document.is_null()).collect()))
    }

    pub(crate) fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.0.iter().filter(move |object| text(object, "/kind") == kind)
    }

    pub(crate) fn find(&self, kind: &str, namespace: &str, name: &str) -> Option<&Value> {
        self.0.iter().find(|object| {
            text(object, "/kind") == kind
                && text(object, "/metadata/namespace") == namespace
                && text(object, "/metadata/name") == name
        })
    }

    /// Every pod template with its owner.
    pub(crate) fn pods(&self) -> impl Iterator<Item = Pod<'_>> {
        self.0.iter().filter_map(|owner| {
            let template = match text(owner, "/kind") {
                "Deployment" | "StatefulSet" | "DaemonSet" | "Job" => {
                    owner.pointer("/spec/template")
                }
                "CronJob" => owner.pointer("/spec/jobTemplate/spec/template"),
                "Pod" => Some(owner),
                _ => None,
            };
            template.map(|template| Pod { owner, template })
        })
    }
}

impl<'a> Pod<'a> {
    pub(crate) fn name(&self) -> String {
        describe(self.owner)
    }

    pub(crate) fn namespace(&self) -> &'a str {
        text(self.owner, "/metadata/namespace")
    }

    pub(crate) fn kind(&self) -> &'a str {
        text(self.owner, "/kind")
    }

    pub(crate) fn workload(&self) -> &'a str {
        text(self.owner, "/metadata/name")
    }

    pub(crate) fn at(&self, pointer: &str) -> Option<&'a Value> {
        self.template.pointer(&format!("/spec{pointer}"))
    }

    pub(crate) fn runs_on(&self) -> bool {
        matches!(self.kind(), "Deployment" | "StatefulSet" | "DaemonSet")
    }

    pub(crate) fn containers(&self) -> Vec<Container<'a>> {
        let of = |pointer: &str, init: bool| {
            list(self.at(pointer)).iter().map(move |value| Container { value, init })
        };
        of("/containers", false).chain(of("/initContainers", true)).collect()
    }

    /// Whether a label selector takes this pod.
    pub(crate) fn taken_by(&self, selector: &Value) -> bool {
        let labels = self.template.pointer("/metadata/labels");
        let wanted = selector.pointer("/matchLabels").and_then(Value::as_object);
        let equal = wanted.into_iter().flatten().all(|(key, value)| {
            labels.and_then(|labels| labels.get(key)).is_some_and(|label| label == value)
        });
        equal
            && list(selector.pointer("/matchExpressions")).iter().all(|one| {
                let label = labels.and_then(|labels| labels.get(text(one, "/key")));
                let among = label.is_some_and(|label| list(one.pointer("/values")).contains(label));
                match text(one, "/operator") {
                    "In" => among,
                    "NotIn" => !among,
                    "Exists" => label.is_some(),
                    _ => label.is_none(),
                }
            })
    }
}

impl<'a> Container<'a> {
    pub(crate) fn name(&self) -> &'a str {
        text(self.value, "/name")
    }

    pub(crate) fn image(&self) -> &'a str {
        text(self.value, "/image")
    }

    /// Whether it is one of this project's own programs.
    pub(crate) fn is_ours(&self) -> bool {
        let name = self.image().rsplit('/').next().unwrap_or_default();
        let name = name.split([':', '@']).next().unwrap_or_default();
        matches!(name, "etl-job" | "mssql-init")
    }
}

/// `Kind namespace/name`.
pub(crate) fn describe(object: &Value) -> String {
    let name = text(object, "/metadata/name");
    match text(object, "/metadata/namespace") {
        "" => format!("{} {name}", text(object, "/kind")),
        namespace => format!("{} {namespace}/{name}", text(object, "/kind")),
    }
}

pub(crate) fn is_of_cluster(object: &Value) -> bool {
    CLUSTER_KINDS.contains(&text(object, "/kind"))
}

/// The text at a JSON pointer, or nothing.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The list, or an empty one.
pub(crate) fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub(crate) fn whole(value: &Value, pointer: &str) -> Option<i64> {
    value.pointer(pointer).and_then(Value::as_i64)
}

pub(crate) fn is(value: Option<&Value>, expected: &Value) -> bool {
    value == Some(expected)
}
