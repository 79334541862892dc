//! What every pod and container needs.

use serde_json::{Value, json};

use super::exceptions::{
    ADDED_CAPABILITIES, CPU_LIMIT, PRIVILEGED_NAMESPACES, ROOT_AND_HOST_PATHS, WRITABLE_ROOT,
};
use super::objects::{Container, Objects, Pod, is, list, text, whole};
use super::{Findings, Rule};

pub(crate) const RULES: &[Rule] = &[
    Rule { name: "host", check: host },
    Rule { name: "user", check: user },
    Rule { name: "privileges", check: privileges },
    Rule { name: "read-only-root", check: read_only_root },
    Rule { name: "resources", check: resources },
    Rule { name: "volumes", check: volumes },
    Rule { name: "probes", check: probes },
    Rule { name: "ports", check: ports },
    Rule { name: "service-links", check: service_links },
    Rule { name: "grace", check: grace },
];

/// The volume types that `restricted` admits.
const VOLUMES: &[&str] = &[
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

fn each<'a>(objects: &'a Objects, mut look: impl FnMut(&Pod<'a>, &Container<'a>, &str)) {
    for pod in objects.pods() {
        for container in pod.containers() {
            look(&pod, &container, &format!("{}, container {}", pod.name(), container.name()));
        }
    }
}

fn host(objects: &Objects, findings: &mut Findings) {
    for pod in objects.pods() {
        for field in ["hostNetwork", "hostPID", "hostIPC", "hostUsers"] {
            let value = pod.at(&format!("/{field}"));
            findings.expect(!is(value, &json!(true)), &pod.name(), format!("{field} is set"));
        }
        let excused = ROOT_AND_HOST_PATHS.contains(&pod.workload())
            && PRIVILEGED_NAMESPACES.contains(&pod.namespace());
        for volume in list(pod.at("/volumes")) {
            let host_path = volume.get("hostPath").is_some();
            let problem = format!("volume {} is a path of the node", text(volume, "/name"));
            findings.expect(!host_path || excused, &pod.name(), problem);
        }
    }
    each(objects, |_, container, name| {
        for port in list(container.value.pointer("/ports")) {
            findings.expect(port.get("hostPort").is_none(), name, "takes a port of the node");
        }
        for mount in list(container.value.pointer("/volumeMounts")) {
            let path = text(mount, "/mountPath");
            let logs = path.starts_with("/var/log");
            let good = !logs || is(mount.get("readOnly"), &json!(true));
            findings.expect(good, name, format!("{path} is not mounted read-only"));
        }
    });
}

fn user(objects: &Objects, findings: &mut Findings) {
    each(objects, |pod, container, name| {
        let value = |field: &str| {
            container
                .value
                .pointer(&format!("/securityContext/{field}"))
                .or_else(|| pod.at(&format!("/securityContext/{field}")))
        };
        let seccomp = is(value("seccompProfile/type"), &json!("RuntimeDefault"));
        findings.expect(seccomp, name, "seccompProfile is not RuntimeDefault");
        if ROOT_AND_HOST_PATHS.contains(&pod.workload()) {
            return;
        }
        findings.expect(is(value("runAsNonRoot"), &json!(true)), name, "runAsNonRoot is not true");
        let uid = value("runAsUser").and_then(Value::as_i64);
        findings.expect(uid.is_some_and(|uid| uid > 0), name, "runAsUser is not a number above 0");
        if container.is_ours() {
            findings.expect(uid == Some(65532), name, "our images run as 65532");
        }
    });
}

fn privileges(objects: &Objects, findings: &mut Findings) {
    each(objects, |pod, container, name| {
        let context = container.value.pointer("/securityContext");
        let value = |field: &str| context.and_then(|context| context.pointer(field));
        let escalates = !is(value("/allowPrivilegeEscalation"), &json!(false));
        findings.expect(!escalates, name, "allowPrivilegeEscalation is not false");
        findings.expect(!is(value("/privileged"), &json!(true)), name, "is privileged");
        let drops = is(value("/capabilities/drop"), &json!(["ALL"]));
        findings.expect(drops, name, "does not drop ALL capabilities");
        for added in list(value("/capabilities/add")).iter().filter_map(Value::as_str) {
            let excused = ADDED_CAPABILITIES.contains(&(pod.workload(), added));
            findings.expect(excused, name, format!("adds the capability {added}"));
        }
    });
}

fn read_only_root(objects: &Objects, findings: &mut Findings) {
    each(objects, |pod, container, name| {
        let read_only =
            is(container.value.pointer("/securityContext/readOnlyRootFilesystem"), &json!(true));
        let excused = WRITABLE_ROOT.contains(&pod.workload()) && !container.is_ours();
        findings.expect(read_only || excused, name, "readOnlyRootFilesystem is not true");
    });
}

fn resources(objects: &Objects, findings: &mut Findings) {
    each(objects, |pod, container, name| {
        let given = |what: &str| container.value.pointer(&format!("/resources/{what}"));
        for needed in ["requests/cpu", "requests/memory", "limits/memory"] {
            findings.expect(given(needed).is_some(), name, format!("no resources {needed}"));
        }
        let limited = given("limits/cpu").is_some() && !CPU_LIMIT.contains(&pod.workload());
        findings.expect(!limited, name, "a CPU limit only slows it down; leave it out");
    });
}

fn volumes(objects: &Objects, findings: &mut Findings) {
    for pod in objects.pods() {
        for volume in list(pod.at("/volumes")) {
            let name = text(volume, "/name");
            if let Some(scratch) = volume.get("emptyDir") {
                let bounded = scratch.get("sizeLimit").is_some();
                findings.expect(bounded, &pod.name(), format!("emptyDir {name} has no sizeLimit"));
            }
            let mode = volume.pointer("/secret/defaultMode").and_then(Value::as_i64);
            let tight =
                volume.get("secret").is_none() || mode.is_some_and(|mode| mode & 0o007 == 0);
            let problem =
                format!("secret volume {name} can be read by everyone; set defaultMode 0440");
            findings.expect(tight, &pod.name(), problem);
            let excused = ROOT_AND_HOST_PATHS.contains(&pod.workload());
            let known = VOLUMES.iter().any(|kind| volume.get(kind).is_some());
            findings.expect(
                known || excused,
                &pod.name(),
                format!("volume {name} is of a type that restricted refuses"),
            );
        }
    }
}

fn probes(objects: &Objects, findings: &mut Findings) {
    for pod in objects.pods().filter(Pod::runs_on) {
        for container in pod.containers().iter().filter(|container| !container.init) {
            let name = format!("{}, container {}", pod.name(), container.name());
            for probe in ["readinessProbe", "livenessProbe"] {
                let there = container.value.get(probe).is_some();
                findings.expect(there, &name, format!("no {probe}"));
            }
            // A database that is busy must not be killed for it.
            let runs = container.value.pointer("/livenessProbe/exec").is_some();
            findings.expect(
                !runs,
                &name,
                "livenessProbe runs a program; a busy server would be killed",
            );
            for probe in ["readinessProbe", "livenessProbe", "startupProbe"] {
                let Some(probe) = container.value.get(probe) else { continue };
                let port =
                    probe.pointer("/httpGet/port").or_else(|| probe.pointer("/tcpSocket/port"));
                let Some(port) = port else { continue };
                let named =
                    list(container.value.pointer("/ports")).iter().any(|one| one["name"] == *port);
                findings.expect(
                    named,
                    &name,
                    format!("a probe asks port {port}, which is not a named port of it"),
                );
            }
        }
    }
}

fn ports(objects: &Objects, findings: &mut Findings) {
    each(objects, |_, container, name| {
        for port in list(container.value.pointer("/ports")) {
            let named = !text(port, "/name").is_empty();
            findings.expect(named, name, format!("port {} has no name", port["containerPort"]));
        }
    });
    for service in objects.of("Service") {
        let name = super::objects::describe(service);
        let kind = text(service, "/spec/type");
        let inside = matches!(kind, "" | "ClusterIP" | "ExternalName");
        findings.expect(inside, &name, format!("is of type {kind}: reachable from outside"));
        let Some(selector) = service.pointer("/spec/selector") else { continue };
        let selector = json!({ "matchLabels": selector });
        let namespace = text(service, "/metadata/namespace");
        let pod =
            objects.pods().find(|pod| pod.namespace() == namespace && pod.taken_by(&selector));
        let Some(pod) = pod else {
            findings.add(name, "selects no pod");
            continue;
        };
        for port in list(service.pointer("/spec/ports")) {
            let target = port.get("targetPort").unwrap_or(&port["port"]);
            let found = pod.containers().iter().any(|container| {
                list(container.value.pointer("/ports")).iter().any(|one| one["name"] == *target)
            });
            findings.expect(
                found,
                &name,
                format!("targetPort {target} is no named port of its pods"),
            );
        }
    }
}

/// A Service named `postgres` would put POSTGRES_PORT=tcp://… into every pod's environment.
fn service_links(objects: &Objects, findings: &mut Findings) {
    for pod in objects.pods() {
        let off = is(pod.at("/enableServiceLinks"), &json!(false));
        findings.expect(off, &pod.name(), "enableServiceLinks is not false");
    }
}

fn grace(objects: &Objects, findings: &mut Findings) {
    for pod in objects.pods() {
        let seconds = whole(pod.template, "/spec/terminationGracePeriodSeconds");
        let name = pod.name();
        findings.expect(
            seconds.is_some(),
            &name,
            "terminationGracePeriodSeconds is left to chance",
        );
        if pod.workload() == "mssql" {
            let enough = seconds.is_some_and(|seconds| seconds >= 60);
            findings.expect(enough, &name, "SQL Server gets at least 60 s to end");
        }
    }
}
