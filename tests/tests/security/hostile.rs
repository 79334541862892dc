//! Names, values and messages that would forge a line of a log, or steer the terminal of who
//! reads it.

use std::process::Command;

use etl_tests::tds::{Action, Fault, Options, Point, Server};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::binary::{Said, command, etl_job};

/// A line of its own, a clear screen, a title, text from right to left, and a letter of no width.
const HOSTILE: &str = "x\n{\"level\":\"INFO\",\"message\":\"Kn4rie\"}\r\u{1b}[2J\u{1b}]0;t\u{7}\u{9b}31m\u{202e}\u{200b}\u{2028}y";

/// Files with that text at every place that a person can put one.
fn files() -> Vec<Value> {
    let stream = json!({
        "object": "t", "primary_key": ["id"], "cursor": { "column": "id" }, "select": ["id", "at"],
    });
    let good = json!({
        "version": 1, "pipeline": "p",
        "source": { "type": "sqlite", "path": "s.db" },
        "target": { "type": "sqlite", "path": "t.db" },
        "streams": { "s": stream },
    });
    let with = |pointer: &str, value: Value| {
        let mut file = good.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        file.pointer_mut(parent).unwrap()[key] = value;
        file
    };
    let text = || json!(HOSTILE);
    let mut files: Vec<_> = [
        "/pipeline",
        "/version",
        "/source/type",
        "/source/path",
        "/source/url",
        "/target/type",
        "/target/path",
        "/streams/s/object",
        "/streams/s/primary_key",
        "/streams/s/mode",
        "/streams/s/where",
        "/streams/s/on_filter_exit",
        "/limits",
        "/telemetry",
    ]
    .iter()
    .map(|pointer| with(pointer, text()))
    .collect();
    for pointer in ["/streams/s/select", "/streams/s/primary_key"] {
        files.push(with(pointer, json!(["id", HOSTILE])));
    }
    files.extend([
        with("/streams/s/cursor", json!({ "column": HOSTILE })),
        with("/streams/s/columns", json!({ HOSTILE: HOSTILE })),
        with("/streams/s/where", json!(format!("\"{HOSTILE}\" = 'x'"))),
        with("/streams", json!({ HOSTILE: stream })),
        with("/source", json!({ "type": "sqlite", "path": "s.db", HOSTILE: HOSTILE })),
        with("/source", json!({ "type": "postgres", "url": "${env:HOSTILE_URL}" })),
        with("/source", json!({ "type": "mssql", "url": "${env:HOSTILE_URL}" })),
        with("/source", json!({ "type": "postgres", "url": HOSTILE })),
        with("/source", json!({ "type": "sqlite", "path": format!("${{env:{HOSTILE}}}") })),
        with("/telemetry", json!({ "pushgateway": HOSTILE })),
        with("/limits", json!({ "memory": HOSTILE })),
        json!({ HOSTILE: HOSTILE }),
        json!([HOSTILE]),
        json!(HOSTILE),
    ]);
    files
}

/// Nothing but letters and ends of lines.
fn harmless(text: &str) -> bool {
    !text.chars().any(|c| {
        (c.is_control() && c != '\n') || ('\u{2028}'..='\u{202e}').contains(&c) || c == '\u{200b}'
    })
}

fn forged(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("{\"level\":\"INFO\",\"message\":\"Kn4rie\""))
}

#[test]
fn no_text_of_a_file_forges_a_line_or_steers_a_terminal() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("p.yaml");
    let path_text = path.to_str().unwrap();
    for file in files() {
        std::fs::write(&path, file.to_string()).unwrap();
        for arguments in [
            &["run", path_text, "--json", "--deadline", "300ms"][..],
            &["run", path_text, "--deadline", "300ms"],
            &["check", path_text, "--json"],
            &["check", path_text],
            &["lint", path_text, "--json"],
            &["lint", path_text],
        ] {
            let mut command = command(arguments);
            let url = "postgres://\u{1b}[31mu:secret-word@127.0.0.1:1/\u{1b}[2Jdb%0A";
            command.current_dir(folder.path()).env("RUST_LOG", "trace").env("HOSTILE_URL", url);
            let said = Said::of(&command.output().unwrap());
            for output in [&said.stdout, &said.stderr] {
                assert!(harmless(output), "{arguments:?} of {file}: {output:?}");
                assert!(!forged(output), "{arguments:?} of {file}: {output}");
            }
            let lines = said.stderr.lines();
            let json = arguments.contains(&"--json").then(|| said.stdout.lines()).into_iter();
            for line in lines.chain(json.flatten()) {
                let parsed = serde_json::from_str::<Value>(line);
                assert!(parsed.is_ok(), "{arguments:?} of {file}: {line}");
            }
        }
    }
}

#[test]
fn no_argument_steers_a_terminal() {
    for arguments in [
        &[HOSTILE][..],
        &["run", HOSTILE],
        &["run", "f", HOSTILE],
        &["run", "f", "--every", HOSTILE],
    ] {
        let said = Said::of(&command(arguments).output().unwrap()).expect(64);
        assert!(!said.stderr.is_empty() && harmless(&said.stderr), "{said:?}");
    }
}

#[test]
fn nor_on_a_terminal() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("p.yaml");
    for file in files() {
        std::fs::write(&path, file.to_string()).unwrap();
        let line = format!(
            "'{}' check '{}'; '{}' lint '{}'",
            etl_job().display(),
            path.display(),
            etl_job().display(),
            path.display()
        );
        // util-linux' way to give a program a terminal.
        let mut terminal = Command::new("script");
        terminal.args(["-qec", &line, "/dev/null"]).current_dir(folder.path());
        terminal.env("HOSTILE_URL", "postgres://u:secret-word@127.0.0.1:1/db");
        let output = terminal.stdin(std::process::Stdio::null()).output().unwrap();
        let shown = String::from_utf8_lossy(&output.stdout);
        // What we write ourselves: to the line's begin, and its rest away.
        let shown = shown.replace("\r\u{1b}[K", "").replace("\r\n", "\n");
        assert!(!shown.is_empty() && harmless(&shown), "{file}: {shown:?}");
        assert!(!forged(&shown), "{file}: {shown}");
    }
}

/// What a server says quotes values; neither we nor the driver repeat it.
#[test]
fn what_a_server_says_is_in_no_output() {
    let server = Server::start(Options::default()).unwrap();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("p.yaml");
    let file = json!({
        "version": 1, "pipeline": "p",
        "source": { "type": "mssql", "url": "${env:URL}", "tls": "trust-server-certificate" },
        "target": { "type": "sqlite", "path": folder.path().join("t.db") },
        "streams": { "dbo.s": {
            "object": "t", "primary_key": ["id"], "select": ["id", "at"],
            "cursor": { "column": "at", "set_by": "application", "safety": { "lookback": "10m" } },
        } },
    });
    std::fs::write(&path, file.to_string()).unwrap();
    for (point, number) in [
        (Point::Login, 18_456),
        (Point::Statement("SELECT".to_owned()), 2627),
        (Point::Statement("SET LOCK_TIMEOUT".to_owned()), 1205),
        (Point::Statement("SELECT".to_owned()), 50_000),
    ] {
        let action = Action::Error { number, class: 14, state: 1, message: HOSTILE.to_owned() };
        server.fault(Fault::new(point.clone(), action).always());
        let arguments = ["run", path.to_str().unwrap(), "--json", "--deadline", "2s"];
        let mut command = command(&arguments);
        command.env("URL", server.url()).env("RUST_LOG", "trace,tiberius=trace");
        let said = Said::of(&command.output().unwrap());
        server.clear_faults();
        assert!(said.stderr.contains(&number.to_string()), "{point:?}: {said:?}");
        let all = format!("{}{}", said.stdout, said.stderr);
        assert!(!all.contains("Kn4rie"), "{point:?}: {all}");
    }
}
