//! Who may talk to whom.

use serde_json::{Value, json};

use super::objects::{Objects, Pod, describe, list, text};
use super::{Findings, Rule};

pub(crate) const RULES: &[Rule] = &[
    Rule { name: "default-deny", check: default_deny },
    Rule { name: "policy-covers-pod", check: covers },
    Rule { name: "policy-dns", check: dns },
    Rule { name: "policy-peers", check: peers },
    Rule { name: "policy-ports", check: ports },
    Rule { name: "external-addresses", check: external },
];

fn policies<'a>(objects: &'a Objects, namespace: &'a str) -> impl Iterator<Item = &'a Value> {
    objects.of("NetworkPolicy").filter(move |one| text(one, "/metadata/namespace") == namespace)
}

fn has_type(policy: &Value, wanted: &str) -> bool {
    list(policy.pointer("/spec/policyTypes")).iter().any(|one| one == wanted)
}

fn default_deny(objects: &Objects, findings: &mut Findings) {
    for namespace in objects.of("Namespace") {
        let denied = policies(objects, text(namespace, "/metadata/name")).any(|policy| {
            let everything = policy.pointer("/spec/podSelector") == Some(&json!({}));
            let nothing = list(policy.pointer("/spec/ingress")).is_empty()
                && list(policy.pointer("/spec/egress")).is_empty();
            everything && nothing && has_type(policy, "Ingress") && has_type(policy, "Egress")
        });
        let problem = "has no policy that denies all traffic, both ways, to all its pods";
        findings.expect(denied, &describe(namespace), problem);
    }
}

/// The policies that name this very pod, not all pods of the namespace.
fn naming<'a>(objects: &'a Objects, pod: &'a Pod<'a>) -> impl Iterator<Item = &'a Value> {
    policies(objects, pod.namespace()).filter(|policy| {
        let selector = &policy["spec"]["podSelector"];
        *selector != json!({}) && pod.taken_by(selector)
    })
}

/// A pod that no policy names is either cut off or was forgotten.
fn covers(objects: &Objects, findings: &mut Findings) {
    let pods: Vec<_> = objects.pods().collect();
    for pod in &pods {
        let named = naming(objects, pod).next().is_some();
        findings.expect(named, &pod.name(), "no NetworkPolicy names its pods");
    }
    for policy in objects.of("NetworkPolicy") {
        let selector = &policy["spec"]["podSelector"];
        let namespace = text(policy, "/metadata/namespace");
        let used = *selector == json!({})
            || pods.iter().any(|pod| pod.namespace() == namespace && pod.taken_by(selector));
        findings.expect(used, &describe(policy), "selects no pod");
    }
}

/// DNS falls back to TCP for long answers.
fn dns(objects: &Objects, findings: &mut Findings) {
    for policy in objects.of("NetworkPolicy") {
        for rule in list(policy.pointer("/spec/egress")) {
            let of = |protocol: &str| {
                list(rule.get("ports"))
                    .iter()
                    .any(|port| port["port"] == 53 && port["protocol"] == protocol)
            };
            let (udp, tcp) = (of("UDP"), of("TCP"));
            findings.expect(udp == tcp, &describe(policy), "allows DNS by only one of UDP and TCP");
        }
    }
    for namespace in objects.of("Namespace") {
        let allowed = policies(objects, text(namespace, "/metadata/name")).any(|policy| {
            list(policy.pointer("/spec/egress"))
                .iter()
                .any(|rule| list(rule.get("ports")).iter().any(|port| port["port"] == 53))
        });
        findings.expect(allowed, &describe(namespace), "its pods may not ask the DNS");
    }
}

fn peers(objects: &Objects, findings: &mut Findings) {
    for policy in objects.of("NetworkPolicy") {
        let name = describe(policy);
        for (rules, field) in [("/spec/ingress", "from"), ("/spec/egress", "to")] {
            for rule in list(policy.pointer(rules)) {
                let peers = list(rule.get(field));
                findings.expect(
                    !peers.is_empty(),
                    &name,
                    format!("a rule without `{field}` allows everyone"),
                );
                let ports = list(rule.get("ports"));
                findings.expect(!ports.is_empty(), &name, "a rule without ports allows every port");
                for peer in peers {
                    peer_is_narrow(peer, &name, findings);
                }
            }
        }
    }
}

fn peer_is_narrow(peer: &Value, name: &str, findings: &mut Findings) {
    let alone = peer.get("namespaceSelector").is_some() && peer.get("podSelector").is_none();
    let problem = "a peer is a whole namespace; two list items are an OR: put namespaceSelector \
                   and podSelector into one";
    findings.expect(!alone, name, problem);
    for selector in ["namespaceSelector", "podSelector"] {
        let empty = peer.get(selector) == Some(&json!({}));
        findings.expect(!empty, name, format!("an empty {selector} in a peer takes all of them"));
    }
    let block = text(peer, "/ipBlock/cidr");
    let wide = block.split_once('/').is_some_and(|(_, bits)| bits == "0");
    findings.expect(!wide, name, format!("{block} is the whole world"));
}

/// A policy sees the pod's port, not the Service's.
fn ports(objects: &Objects, findings: &mut Findings) {
    for policy in objects.of("NetworkPolicy") {
        let selector = &policy["spec"]["podSelector"];
        let namespace = text(policy, "/metadata/namespace");
        let pods: Vec<_> = objects
            .pods()
            .filter(|pod| pod.namespace() == namespace && pod.taken_by(selector))
            .collect();
        for rule in
            ["/spec/ingress", "/spec/egress"].iter().flat_map(|way| list(policy.pointer(way)))
        {
            let ports = list(rule.get("ports"));
            let twice = ports.iter().enumerate().find(|(at, port)| ports[..*at].contains(port));
            if let Some((_, port)) = twice {
                findings.add(describe(policy), format!("names port {} twice", port["port"]));
            }
        }
        for rule in list(policy.pointer("/spec/ingress")) {
            for port in list(rule.get("ports")) {
                let open = pods.iter().any(|pod| {
                    pod.containers().iter().any(|container| {
                        list(container.value.pointer("/ports")).iter().any(|one| {
                            one["containerPort"] == port["port"] || one["name"] == port["port"]
                        })
                    })
                });
                let problem = format!("lets port {} in, which its pods do not have", port["port"]);
                findings.expect(open, &describe(policy), problem);
            }
        }
    }
}

/// The API server refuses loopback addresses; a slice without its label belongs to no Service.
fn external(objects: &Objects, findings: &mut Findings) {
    for slice in objects.of("EndpointSlice") {
        let name = describe(slice);
        let service =
            slice["metadata"]["labels"]["kubernetes.io/service-name"].as_str().unwrap_or_default();
        let known = objects.find("Service", text(slice, "/metadata/namespace"), service).is_some();
        findings.expect(
            known,
            &name,
            format!("belongs to the Service \"{service}\", which is not there"),
        );
        findings.expect(
            text(slice, "/addressType") != "FQDN",
            &name,
            "FQDN slices are deprecated; use ExternalName",
        );
        for endpoint in list(slice.get("endpoints")) {
            for address in list(endpoint.get("addresses")).iter().filter_map(Value::as_str) {
                let local = address.starts_with("127.")
                    || address == "::1"
                    || address.starts_with("169.254.");
                findings.expect(
                    !local,
                    &name,
                    format!("{address} is not an address that another machine can reach"),
                );
            }
        }
    }
}
