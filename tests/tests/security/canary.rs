//! Passwords that a person would recognise, in everything that can be wrong with a pipeline file
//! and a server; none is in any output, in any spelling.

use std::path::Path;

use etl_tests::postgres::Database;
use etl_tests::tds;
use futures::StreamExt;
use tempfile::TempDir;

use super::found;
use crate::support::binary::{Listener, Running, Said, command, get};

/// Letters that URLs, JSON, YAML and T-SQL write in other ways.
const CANARY: &str = "Kn4rie\"in\\ß&/'%1";
/// One that may stand anywhere as it is.
const PLAIN: &str = "Kn4rieVogel77";

fn encoded(secret: &str) -> String {
    let one = |byte: u8| match byte {
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    secret.bytes().map(one).collect()
}

/// A pipeline file with these sections.
fn file(source: &str, target: &str, more: &str) -> String {
    format!(
        "version: 1\npipeline: p\nsource: {source}\ntarget: {target}\n{more}streams:\n  dbo.s:\n    \
         object: t\n    primary_key: [id]\n    cursor: {{ column: at, set_by: application, safety: \
         {{ lookback: 10m }} }}\n    select: [id, at]\n"
    )
}

const SQLITE: &str = "{ type: sqlite, path: t.db }";

/// A file and what its `${file:url}` and `${env:CANARY_URL}` are.
struct Case {
    name: String,
    text: String,
    url: String,
}

/// Sections whose URL comes from outside.
fn outside(name: &str, kind: &str, url: &str, more: &str) -> Vec<Case> {
    ["${file:url}", "${env:CANARY_URL}"]
        .map(|reference| Case {
            name: format!("{name}, {reference}"),
            text: file(&format!("{{ type: {kind}, url: \"{reference}\"{more} }}"), SQLITE, ""),
            url: url.to_owned(),
        })
        .into()
}

/// Files in which the secret itself stands.
fn inside() -> Vec<Case> {
    let section = |text: &str| file(text, SQLITE, "");
    let url = format!("postgres://u:{PLAIN}@h/db");
    let sqlite = |more: &str| file(SQLITE, "{ type: sqlite, path: u.db }", more);
    [
        ("in clear", section(&format!("{{ type: postgres, url: \"{url}\" }}"))),
        ("a quote that does not end", section(&format!("{{ type: postgres, url: \"{url} }}"))),
        ("a map in a text", section(&format!("\n  type: postgres\n  url: {url}: x: y"))),
        ("a tab", section(&format!("\n\ttype: postgres\n\turl: {url}"))),
        ("a list", section(&format!("{{ type: postgres, url: [\"{url}\"] }}"))),
        ("an unknown key", section(&format!("{{ type: postgres, password: {PLAIN}, url: x }}"))),
        ("twice", section(&format!("{{ type: postgres, url: '{url}', url: '{url}' }}"))),
        ("an anchor", section(&format!("{{ type: postgres, url: *{PLAIN} }}"))),
        ("a default", section(&format!("{{ type: postgres, url: \"${{env:NO:{url}}}\" }}"))),
        ("not closed", section(&format!("{{ type: postgres, url: \"{url}${{env:NO\" }}"))),
        ("a gateway", sqlite(&format!("telemetry: {{ pushgateway: 'http://u:{PLAIN}@h' }}\n"))),
        ("a bad gateway", sqlite(&format!("telemetry: {{ pushgateway: 'u:{PLAIN}@h:x' }}\n"))),
        (
            "allowed in clear",
            section(&format!(
                "{{ type: postgres, url: '{url}:x', tls: disable }}\nallow_inline_secrets: true"
            )),
        ),
    ]
    .map(|(name, text)| Case { name: name.to_owned(), text, url: url.clone() })
    .into()
}

/// URLs that are refused, or lead nowhere, or to servers that refuse.
fn all_cases(double: &tds::Handle, database: &Database, role: &str) -> Vec<Case> {
    let raw = CANARY;
    let safe = encoded(CANARY);
    let postgres = database.url_as(&format!("{role}:{safe}"));
    let mssql = double.url();
    let plain = ", tls: disable";
    let trust = ", tls: trust-server-certificate";
    let missing = format!("{}_not", database.name);
    let cases = [
        ("a wrong password", "postgres", database.url_as(&format!("{role}:{safe}x")), plain),
        ("a wrong password", "mssql", double.url_for("sa", &format!("{raw}x"), "test"), trust),
        ("another database", "postgres", postgres.replace(&database.name, &missing), plain),
        ("another database", "mssql", mssql.replace("/test", "/tset"), trust),
        ("no such table", "postgres", postgres.clone(), plain),
        ("no such table", "mssql", mssql.clone(), trust),
        ("TLS", "postgres", postgres.clone(), ""),
        ("TLS", "mssql", mssql, ""),
        ("nobody there", "postgres", format!("postgres://u:{safe}@127.0.0.1:1/db"), plain),
        ("nobody there", "mssql", format!("mssql://u:{safe}@127.0.0.1:1/db"), trust),
        ("no such host", "postgres", format!("postgres://u:{safe}@h.invalid/db"), plain),
        ("no such host", "mssql", format!("mssql://u:{safe}@h.invalid/db"), trust),
        ("not encoded", "postgres", format!("postgres://u:{raw}@127.0.0.1:1/db"), plain),
        ("not encoded", "mssql", format!("mssql://u:{raw}@127.0.0.1:1/db"), trust),
        ("no port", "postgres", format!("postgres://u:{safe}@h:port/db"), plain),
        ("no port", "mssql", format!("mssql://u:{safe}@h:99999/db"), trust),
        ("no database", "postgres", format!("postgres://u:{safe}@h"), plain),
        ("no database", "mssql", format!("mssql://u:{safe}@h"), trust),
        ("an option", "postgres", format!("postgres://u@h/db?password={safe}&x=y"), plain),
        ("an option", "mssql", format!("mssql://u@h/db?password={safe}"), trust),
        ("another scheme", "postgres", format!("mysql://u:{safe}@h/db"), plain),
        ("another scheme", "mssql", format!("Server=h;Uid=sa;Password={raw};"), trust),
        ("no host", "postgres", format!("postgres://u:{safe}@/db"), plain),
        ("contradiction", "postgres", format!("postgres://u:{safe}@h/db?sslmode=allow"), plain),
    ];
    let outside = cases
        .iter()
        .flat_map(|(name, kind, url, more)| outside(&format!("{kind}: {name}"), kind, url, more));
    outside.chain(inside()).collect()
}

/// Everything that a run of this case says to anybody.
fn said(folder: &Path, case: &Case, arguments: &[&str]) -> (Said, Vec<u8>) {
    let (gateway, collector) = (Listener::start("200 OK"), Listener::start("200 OK"));
    let mut command = command(arguments);
    command.current_dir(folder).env("RUST_LOG", "trace").env("CANARY_URL", &case.url);
    command.env("ETL_PUSHGATEWAY_URL", format!("http://{}", gateway.address));
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", collector.address));
    let said = Said::of(&command.output().unwrap());
    let mut all = format!("{}{}", said.stdout, said.stderr).into_bytes();
    for (head, body) in gateway.requests.try_iter().chain(collector.requests.try_iter()) {
        all.extend(head.into_bytes());
        all.extend(body);
    }
    (said, all)
}

/// What was told of passwords, and whether metrics were pushed.
fn look_for_passwords(case: &Case) -> (Vec<String>, bool) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("p.yaml");
    let path = path.to_str().unwrap();
    std::fs::write(path, &case.text).unwrap();
    std::fs::write(folder.path().join("url"), &case.url).unwrap();
    let (mut betrayed, mut pushed) = (Vec::new(), false);
    for arguments in
        [&["run", path, "--json", "--deadline", "300ms"][..], &["check", path], &["lint", path]]
    {
        let (said, all) = said(folder.path(), case, arguments);
        assert!(!all.is_empty(), "{}: {arguments:?} says nothing", case.name);
        pushed |= all.windows(9).any(|window| window == b"etl_runs_");
        let spellings = [CANARY, PLAIN].iter().filter_map(|secret| found(&all, secret));
        betrayed.extend(
            spellings.map(|found| format!("{} {}: {found:?} in {said:?}", case.name, arguments[0])),
        );
    }
    (betrayed, pushed)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_password_is_in_any_output_in_any_spelling_whatever_fails() {
    let options = tds::Options { sa_password: CANARY.to_owned(), ..tds::Options::default() };
    let double = tds::Server::start(options).unwrap();
    let database = Database::new().await;
    let role = database.role(&CANARY.replace('\'', "''")).await;
    let cases = all_cases(&double, &database, &role);
    // They mostly wait for each other's servers.
    let looked = futures::stream::iter(cases)
        .map(|case| tokio::task::spawn_blocking(move || look_for_passwords(&case)))
        .buffer_unordered(4);
    let told: Vec<(Vec<String>, bool)> = looked.map(Result::unwrap).collect().await;
    let pushed = told.iter().filter(|(_, pushed)| *pushed).count();
    let betrayed: Vec<_> = told.into_iter().flat_map(|(betrayed, _)| betrayed).collect();
    assert!(betrayed.is_empty(), "{}:\n{}", betrayed.len(), betrayed.join("\n"));
    assert!(pushed > 0, "no metrics were seen, so this says nothing about them");
}

#[test]
fn a_page_of_metrics_holds_no_password() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("p.yaml");
    let url = format!("postgres://u:{}@127.0.0.1:1/db", encoded(CANARY));
    let source = "{ type: postgres, url: \"${env:CANARY_URL}\", tls: disable }";
    std::fs::write(&path, file(source, SQLITE, "")).unwrap();
    let arguments =
        ["run", path.to_str().unwrap(), "--every", "1h", "--metrics-addr", "127.0.0.1:0"];
    let mut command = command(&arguments);
    command.args(["--deadline", "300ms"]).env("CANARY_URL", url).env("RUST_LOG", "trace");
    let mut running = Running::start(command);
    let line: serde_json::Value =
        serde_json::from_str(&running.wait_for("metrics are served")).unwrap();
    running.wait_for("[class transient]");
    let (head, page) = get(line["address"].as_str().unwrap(), "/metrics");
    running.signal("TERM");
    let said = running.end();
    let all = format!("{head}{page}{}{}", said.stdout, said.stderr);
    assert!(page.contains("etl_runs_total"), "{page}");
    assert_eq!(found(all.as_bytes(), CANARY), None, "{all}");
}

#[test]
fn control_a_password_that_is_told_is_found() {
    let folder = TempDir::new().unwrap();
    let case = Case { name: String::new(), text: String::new(), url: String::new() };
    let (_, all) = said(folder.path(), &case, &["run", &format!("/{PLAIN}.yaml")]);
    assert!(found(&all, PLAIN).is_some());
}

/// The passwords of every `.example` file that the deployment ships, and those of most examples
/// elsewhere, are refused before anything is sent to anybody.
#[test]
fn passwords_of_examples_are_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("p.yaml");
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/overlays");
    let mut urls = Vec::new();
    for overlay in std::fs::read_dir(examples).unwrap().flatten() {
        let Ok(secrets) = std::fs::read_dir(overlay.path().join("secrets")) else { continue };
        for secret in secrets.flatten() {
            let text = std::fs::read_to_string(secret.path()).unwrap();
            if text.contains("://") {
                urls.push(text.trim().to_owned());
            }
        }
    }
    assert!(urls.len() >= 6, "the examples are not where they were: {urls:?}");
    for word in [
        "CHANGEME",
        "change-me",
        "<password>",
        "%3Cpassword%3E",
        "YourStrong@Passw0rd",
        "yourStrong(!)Password",
        "postgres",
        "Password1",
        "P%40ssw0rd",
        "your_password_here",
        "xxxxx",
        "***",
    ] {
        urls.push(format!("postgres://u:{word}@127.0.0.1:1/db"));
        urls.push(format!("mssql://u:{word}@127.0.0.1:1/db"));
    }
    for url in urls {
        let kind = url.split(':').next().unwrap();
        let source = format!("{{ type: {kind}, url: \"${{env:CANARY_URL}}\" }}");
        std::fs::write(&path, file(&source, SQLITE, "")).unwrap();
        let mut command = command(&["run", path.to_str().unwrap(), "--deadline", "1s"]);
        let said = Said::of(&command.env("CANARY_URL", &url).output().unwrap());
        assert_eq!(said.code, 64, "{url}: {said:?}");
        assert!(said.stderr.contains("stand in examples"), "{url}: {said:?}");
    }
}
