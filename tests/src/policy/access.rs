//! Accounts, tokens, roles and secrets.

use serde_json::{Value, json};

use super::exceptions::{NEEDS_API, SECRET_IN_ENVIRONMENT};
use super::objects::{Objects, describe, is, list, text};
use super::{Findings, Rule};

pub(crate) const RULES: &[Rule] = &[
    Rule { name: "accounts", check: accounts },
    Rule { name: "tokens", check: tokens },
    Rule { name: "roles", check: roles },
    Rule { name: "no-secrets-in-git", check: no_secrets },
    Rule { name: "secrets-as-files", check: secrets_as_files },
];

fn accounts(objects: &Objects, findings: &mut Findings) {
    let mut taken = Vec::new();
    for pod in objects.pods() {
        let account = pod.at("/serviceAccountName").and_then(Value::as_str).unwrap_or_default();
        let known = objects.find("ServiceAccount", pod.namespace(), account).is_some();
        findings.expect(
            known,
            &pod.name(),
            format!("its ServiceAccount \"{account}\" is not there"),
        );
        let shared = taken.contains(&(pod.namespace(), account));
        findings.expect(!shared, &pod.name(), format!("shares the ServiceAccount {account}"));
        taken.push((pod.namespace(), account));
    }
}

fn tokens(objects: &Objects, findings: &mut Findings) {
    for account in objects.of("ServiceAccount") {
        let off = is(account.pointer("/automountServiceAccountToken"), &json!(false));
        let needed = NEEDS_API.contains(&text(account, "/metadata/name"));
        findings.expect(
            off || needed,
            &describe(account),
            "automountServiceAccountToken is not false",
        );
    }
    for pod in objects.pods() {
        let off = is(pod.at("/automountServiceAccountToken"), &json!(false));
        let needed = NEEDS_API.contains(&pod.workload());
        findings.expect(off || needed, &pod.name(), "its pods get a token of the Kubernetes API");
    }
}

fn roles(objects: &Objects, findings: &mut Findings) {
    for kind in ["Role", "ClusterRole"] {
        for role in objects.of(kind) {
            let name = describe(role);
            for rule in list(role.pointer("/rules")) {
                let has =
                    |field: &str, word: &str| list(rule.get(field)).iter().any(|one| one == word);
                let wild = ["verbs", "resources", "apiGroups"].iter().any(|field| has(field, "*"));
                findings.expect(!wild, &name, "a rule with *");
                let secrets = has("resources", "secrets");
                let named = !list(rule.get("resourceNames")).is_empty();
                findings.expect(!secrets || named, &name, "may read every secret");
                for verb in list(rule.get("verbs")).iter().filter_map(Value::as_str) {
                    let reads = matches!(verb, "get" | "list" | "watch");
                    findings.expect(
                        reads,
                        &name,
                        format!("may {verb}: nothing here writes to the API"),
                    );
                }
            }
        }
    }
    for kind in ["RoleBinding", "ClusterRoleBinding"] {
        for binding in objects.of(kind) {
            for subject in list(binding.pointer("/subjects")) {
                let account = text(subject, "/name");
                let good =
                    text(subject, "/kind") == "ServiceAccount" && NEEDS_API.contains(&account);
                findings.expect(
                    good,
                    &describe(binding),
                    format!("gives rights to {account}, which needs none"),
                );
            }
        }
    }
}

/// Words in the name of a setting that make its value a secret.
const SECRET_WORDS: &[&str] = &["PASSWORD", "PASSWD", "SECRET", "TOKEN", "_PW"];

/// `scheme://user:password@…` with a password in clear.
fn url_with_password(value: &str) -> bool {
    value.match_indices("://").any(|(at, _)| {
        let authority: String = value
            .chars()
            .skip(value.char_indices().take_while(|(i, _)| *i < at + 3).count())
            .take_while(|c| !c.is_whitespace() && *c != '/')
            .collect();
        authority.split_once('@').is_some_and(|(login, _)| {
            login
                .split_once(':')
                .is_some_and(|(_, password)| !password.is_empty() && !password.starts_with("${"))
        })
    })
}

fn texts(value: &Value, look: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => look(text),
        Value::Array(values) => values.iter().for_each(|value| texts(value, look)),
        Value::Object(fields) => fields.values().for_each(|value| texts(value, look)),
        _ => {}
    }
}

fn no_secrets(objects: &Objects, findings: &mut Findings) {
    for object in &objects.0 {
        let name = describe(object);
        findings.expect(text(object, "/kind") != "Secret", &name, "a Secret in a rendered overlay");
        texts(object, &mut |text| {
            findings.expect(!url_with_password(text), &name, "a URL with a password in clear");
            let key = text.contains("-----BEGIN") && text.contains("PRIVATE KEY");
            findings.expect(!key, &name, "a private key");
        });
    }
    for pod in objects.pods() {
        for container in pod.containers() {
            for variable in list(container.value.pointer("/env")) {
                let name = text(variable, "/name");
                // …_FILE and …__FILE name a file that holds the secret.
                let secret =
                    SECRET_WORDS.iter().any(|word| name.contains(word)) && !name.ends_with("_FILE");
                let clear = secret && variable.get("value").is_some();
                findings.expect(!clear, &pod.name(), format!("{name} has its value in clear"));
            }
        }
    }
}

/// Environment variables end in crash dumps, `kubectl describe` and child processes.
fn secrets_as_files(objects: &Objects, findings: &mut Findings) {
    for pod in objects.pods() {
        for container in pod.containers() {
            for variable in list(container.value.pointer("/env")) {
                let name = text(variable, "/name");
                let refers = variable.pointer("/valueFrom/secretKeyRef").is_some();
                let excused = SECRET_IN_ENVIRONMENT.contains(&(pod.workload(), name));
                findings.expect(
                    !refers || excused,
                    &pod.name(),
                    format!("{name} takes a secret into the environment; mount it as a file"),
                );
            }
            for source in list(container.value.pointer("/envFrom")) {
                let refers = source.get("secretRef").is_some();
                findings.expect(!refers, &pod.name(), "takes a whole secret into the environment");
            }
            for part in ["command", "args"] {
                for word in list(container.value.get(part)).iter().filter_map(Value::as_str) {
                    let expands = SECRET_WORDS.iter().any(|secret| {
                        word.contains(&format!("{secret})"))
                            || word.contains(&format!("-P ${secret}"))
                    });
                    findings.expect(
                        !expands,
                        &pod.name(),
                        format!("a secret on the command line of {}", container.name()),
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::url_with_password;

    #[test]
    fn a_password_in_a_url_is_seen() {
        for clear in ["mssql://sa:x1@h/db", "see postgres://u:p%40@h:1/db now"] {
            assert!(url_with_password(clear), "{clear}");
        }
        for good in [
            "http://loki:3100/x@y",
            "postgres://reader@h/db",
            "postgres://u:${file:/x}@h",
            "https://a/b",
        ] {
            assert!(!url_with_password(good), "{good}");
        }
    }
}
