//! Names, labels, namespaces, versions of APIs and images.

use serde_json::{Value, json};

use super::exceptions::PRIVILEGED_NAMESPACES;
use super::objects::{Objects, describe, is, is_of_cluster, text};
use super::{Findings, Rule};

pub(crate) const RULES: &[Rule] = &[
    Rule { name: "labels", check: labels },
    Rule { name: "selectors", check: selectors },
    Rule { name: "namespaces", check: namespaces },
    Rule { name: "pod-security", check: pod_security },
    Rule { name: "quotas", check: quotas },
    Rule { name: "api-versions", check: api_versions },
    Rule { name: "images", check: images },
    Rule { name: "sizes", check: sizes },
];

const RECOMMENDED: &[&str] = &["name", "component", "instance", "part-of", "version", "managed-by"];

/// What Kubernetes 1.33 to 1.36 serve, without anything deprecated.
const API_VERSIONS: &[(&str, &[&str])] = &[
    (
        "v1",
        &[
            "Namespace",
            "Service",
            "ServiceAccount",
            "ConfigMap",
            "LimitRange",
            "ResourceQuota",
            "PersistentVolumeClaim",
        ],
    ),
    ("apps/v1", &["Deployment", "StatefulSet", "DaemonSet"]),
    ("batch/v1", &["CronJob", "Job"]),
    ("discovery.k8s.io/v1", &["EndpointSlice"]),
    ("networking.k8s.io/v1", &["NetworkPolicy", "Ingress"]),
    ("rbac.authorization.k8s.io/v1", &["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"]),
    ("storage.k8s.io/v1", &["StorageClass"]),
    ("policy/v1", &["PodDisruptionBudget"]),
    ("autoscaling/v2", &["HorizontalPodAutoscaler"]),
];

fn labels(objects: &Objects, findings: &mut Findings) {
    let mut look = |labels: Option<&Value>, of: &str| {
        for label in RECOMMENDED {
            let label = format!("app.kubernetes.io/{label}");
            let there = labels.and_then(|labels| labels.get(&label)).is_some();
            findings.expect(there, of, format!("no label {label}"));
        }
    };
    for object in &objects.0 {
        look(object.pointer("/metadata/labels"), &describe(object));
    }
    for pod in objects.pods() {
        look(pod.template.pointer("/metadata/labels"), &format!("{}, its pods", pod.name()));
    }
}

/// Labels that change, such as the version, must not be in a selector: selectors are immutable.
fn selectors(objects: &Objects, findings: &mut Findings) {
    for object in &objects.0 {
        let selector = match text(object, "/kind") {
            "Deployment" | "StatefulSet" | "DaemonSet" | "PodDisruptionBudget" => {
                object.pointer("/spec/selector/matchLabels")
            }
            "Service" => object.pointer("/spec/selector"),
            _ => None,
        };
        let Some(selector) = selector.and_then(Value::as_object) else { continue };
        let mut keys: Vec<_> = selector.keys().map(String::as_str).collect();
        keys.sort_unstable();
        let good = keys == ["app.kubernetes.io/component", "app.kubernetes.io/name"];
        findings.expect(
            good,
            &describe(object),
            format!("selects by {keys:?}; only name and component belong into a selector"),
        );
    }
    for pod in objects.pods().filter(super::objects::Pod::runs_on) {
        let selector = &pod.owner["spec"]["selector"];
        findings.expect(
            pod.taken_by(selector),
            &pod.name(),
            "its selector does not take its own pods",
        );
    }
}

fn namespaces(objects: &Objects, findings: &mut Findings) {
    for object in objects.0.iter().filter(|object| !is_of_cluster(object)) {
        let namespace = text(object, "/metadata/namespace");
        let there = objects.find("Namespace", "", namespace).is_some();
        findings.expect(
            there && !matches!(namespace, "" | "default" | "kube-system"),
            &describe(object),
            format!("is in the namespace \"{namespace}\", which this render does not make"),
        );
    }
}

fn pod_security(objects: &Objects, findings: &mut Findings) {
    for namespace in objects.of("Namespace") {
        let privileged = PRIVILEGED_NAMESPACES.contains(&text(namespace, "/metadata/name"));
        let wanted = if privileged { "privileged" } else { "restricted" };
        for mode in ["enforce", "audit", "warn"] {
            let label = namespace["metadata"]["labels"]
                .get(format!("pod-security.kubernetes.io/{mode}"))
                .and_then(Value::as_str);
            findings.expect(
                label == Some(wanted),
                &describe(namespace),
                format!("pod-security {mode} is {label:?}, not {wanted}"),
            );
        }
    }
}

fn quotas(objects: &Objects, findings: &mut Findings) {
    for namespace in objects.of("Namespace") {
        for kind in ["LimitRange", "ResourceQuota"] {
            let name = text(namespace, "/metadata/name");
            let there = objects.of(kind).any(|object| text(object, "/metadata/namespace") == name);
            findings.expect(there, &describe(namespace), format!("has no {kind}"));
        }
    }
}

fn api_versions(objects: &Objects, findings: &mut Findings) {
    for object in &objects.0 {
        let (version, kind) = (text(object, "/apiVersion"), text(object, "/kind"));
        let known =
            API_VERSIONS.iter().any(|(one, kinds)| *one == version && kinds.contains(&kind));
        findings.expect(
            known,
            &describe(object),
            format!(
                "{version} {kind} is not among the reviewed kinds (deprecated, custom, or a Secret)"
            ),
        );
    }
}

fn images(objects: &Objects, findings: &mut Findings) {
    for pod in objects.pods() {
        for container in pod.containers() {
            let image = container.image();
            let last = image.rsplit('/').next().unwrap_or_default();
            let digest = last.contains("@sha256:");
            let tag = last.split('@').next().and_then(|name| name.split_once(':'));
            let pinned = digest
                || tag.is_some_and(|(_, tag)| {
                    tag != "latest" && tag.chars().any(|c| c.is_ascii_digit()) && tag.contains('.')
                        || tag.contains("-CU")
                });
            findings.expect(
                pinned,
                &pod.name(),
                format!(
                    "image {image} of {} is not pinned to an exact tag or digest",
                    container.name()
                ),
            );
            let pull = container.value.pointer("/imagePullPolicy");
            findings.expect(
                pull.is_none() || is(pull, &json!("IfNotPresent")),
                &pod.name(),
                format!(
                    "imagePullPolicy of {} is {pull:?}; a pinned image is pulled once",
                    container.name()
                ),
            );
        }
    }
}

/// An object of more than a MiB is refused by the API server; a ConfigMap is most likely to grow.
fn sizes(objects: &Objects, findings: &mut Findings) {
    for object in &objects.0 {
        let bytes = object.to_string().len();
        findings.expect(bytes < 900 * 1024, &describe(object), format!("has {bytes} bytes"));
    }
}
