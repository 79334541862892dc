//! Logs, the metrics page, pushes.

use std::time::Duration;

use serde_json::Value;

use super::Demo;
use crate::support::binary::{Listener, Running, Said, command, get};

const SECOND: Duration = Duration::from_secs(10);

fn run_with(demo: &Demo, env: &[(&str, &str)]) -> Said {
    let mut command = command(&["run", &demo.file(), "--json"]);
    command.envs(env.iter().copied());
    Said::of(&command.output().unwrap())
}

#[test]
fn logs_are_json_lines_that_name_pipeline_stream_and_run() {
    let demo = Demo::new();
    let said = run_with(&demo, &[("RUST_LOG", "trace")]).expect(0);
    let run = said.last()["run"].clone();
    let lines: Vec<Value> =
        said.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ended = lines.iter().find(|line| line["message"] == "run ended").unwrap();
    assert_eq!((&ended["pipeline"], &ended["stream"]), (&"demo".into(), &"orders".into()));
    assert_eq!(ended["run"], run);
    let committed = lines.iter().find(|line| line["message"] == "batch committed").unwrap();
    assert_eq!((&committed["run"], &committed["level"]), (&run, &"DEBUG".into()));
    let foreign = lines.iter().find(|line| {
        line["level"] == "DEBUG" && !line["target"].as_str().unwrap().starts_with("etl_")
    });
    assert_eq!(foreign, None);
}

#[test]
fn metrics_are_served_while_it_runs() {
    let demo = Demo::new();
    let file = demo.file();
    let mut running = Running::start(command(&[
        "run",
        &file,
        "--json",
        "--every",
        "1h",
        "--metrics-addr",
        "127.0.0.1:0",
    ]));
    let line: Value = serde_json::from_str(&running.wait_for("metrics are served")).unwrap();
    let address = line["address"].as_str().unwrap().to_owned();
    running.wait_for("run ended");
    let (head, page) = get(&address, "/metrics");
    assert!(
        head.starts_with("HTTP/1.1 200") && head.contains("text/plain; version=0.0.4"),
        "{head}"
    );
    let labels = r#"{pipeline="demo",stream="orders"}"#;
    for name in ["etl_last_success_time_seconds", "etl_run_duration_seconds", "etl_batches_total"] {
        assert!(page.contains(&format!("{name}{labels}")), "{name}: {page}");
    }
    for line in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().unwrap();
        let known = etl_core::metrics::INSTRUMENTS.iter().any(|one| one.prometheus == name);
        assert!(known, "{name} is in no table");
    }
    assert_eq!(get(&address, "/healthz").1, "ok\n");
    assert!(get(&address, "/").0.starts_with("HTTP/1.1 404"));
    running.signal("TERM");
    running.end().expect(0);
}

#[test]
fn an_address_that_cannot_be_listened_on_is_told() {
    let demo = Demo::new();
    let said = run_with(&demo, &[("ETL_METRICS_ADDR", "nowhere:x")]).expect(64);
    assert!(said.stderr.contains("metrics address nowhere:x: cannot listen there"), "{said:?}");
}

#[test]
fn a_pushgateway_gets_the_run_as_one_group() {
    let demo = Demo::new();
    let gateway = Listener::start("200 OK");
    demo.add(&format!("telemetry: {{ pushgateway: 'http://{}' }}\n", gateway.address));
    run_with(&demo, &[]).expect(0);
    let (head, body) = gateway.requests.recv_timeout(SECOND).unwrap();
    assert!(head.starts_with("POST /metrics/job/etl/pipeline/demo HTTP/1.1"), "{head}");
    let body = String::from_utf8(body).unwrap();
    assert!(
        body.contains(r#"etl_runs_total{outcome="success",pipeline="demo",stream="orders"} 1"#),
        "{body}"
    );
}

#[test]
fn otlp_gets_the_run() {
    let demo = Demo::new();
    let collector = Listener::start("200 OK");
    let endpoint = format!("http://{}", collector.address);
    run_with(&demo, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]).expect(0);
    let (head, body) = collector.requests.recv_timeout(SECOND).unwrap();
    assert!(head.starts_with("POST /v1/metrics HTTP/1.1"), "{head}");
    assert!(head.to_lowercase().contains("content-type: application/x-protobuf"), "{head}");
    let text = String::from_utf8_lossy(&body).into_owned();
    assert!(text.contains("etl.last_success.time") && text.contains("etl-job"), "{text}");
}

#[test]
fn a_push_that_fails_changes_nothing_but_the_log() {
    let demo = Demo::new();
    let refused = Listener::start("500 No");
    for (name, value) in [
        ("ETL_PUSHGATEWAY_URL", "http://127.0.0.1:1"),
        ("ETL_PUSHGATEWAY_URL", "not an address"),
        ("ETL_PUSHGATEWAY_URL", &format!("http://{}", refused.address)),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://127.0.0.1:1"),
    ] {
        let said = run_with(&demo, &[(name, value)]).expect(0);
        assert_eq!(said.last()["outcome"], "success");
        let warned = said
            .stderr
            .lines()
            .any(|line| line.contains(r#""level":"WARN""#) && line.contains("not pushed"));
        assert!(warned, "{name}={value}: {}", said.stderr);
    }
}

#[test]
fn a_gateway_that_never_answers_holds_a_run_up_for_five_seconds_at_most() {
    let demo = Demo::new();
    // Takes the connection and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let started = std::time::Instant::now();
    run_with(&demo, &[("ETL_PUSHGATEWAY_URL", &address)]).expect(0);
    let took = started.elapsed();
    assert!(took < Duration::from_secs(9), "{took:?}");
}

#[test]
fn a_certificate_that_is_not_verified_is_a_metric_and_a_warning() {
    let gateway = Listener::start("200 OK");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("p.yaml");
    let text = format!(
        "version: 1\npipeline: p\n\
         source: {{ type: postgres, url: 'postgres://u@127.0.0.1:1/db', tls: disable }}\n\
         target: {{ type: sqlite, path: t.db }}\n\
         telemetry: {{ pushgateway: 'http://{}' }}\n\
         streams:\n  s: {{ object: t, primary_key: [id], cursor: {{ column: id }}, select: [id] }}\n",
        gateway.address
    );
    std::fs::write(&file, text).unwrap();
    let arguments = ["run", file.to_str().unwrap(), "--json", "--deadline", "100ms"];
    let said = Said::of(&command(&arguments).output().unwrap()).expect(75);
    assert!(said.stderr.contains("the server's certificate is not verified"), "{said:?}");
    assert_eq!(said.last()["outcome"], "failed");
    let body = String::from_utf8(gateway.requests.recv_timeout(SECOND).unwrap().1).unwrap();
    for (side, value) in [("source", 1), ("target", 0)] {
        let line =
            format!("etl_tls_unverified{{pipeline=\"p\",side=\"{side}\",stream=\"s\"}} {value}\n");
        assert!(body.contains(&line), "{line} is not in {body}");
    }
}

#[test]
fn no_secret_is_in_any_output() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("pg-url");
    std::fs::write(&secret, "postgres://u:canary-one@127.0.0.1:1/db\n").unwrap();
    let file = dir.path().join("p.yaml");
    let text = format!(
        "version: 1\npipeline: p\n\
         source: {{ type: postgres, url: \"${{file:{}}}\", tls: disable }}\n\
         target: {{ type: mssql, url: \"mssql://u:${{env:CANARY}}@127.0.0.1:1/db\" }}\n\
         telemetry: {{ pushgateway: \"http://u:${{env:CANARY}}@127.0.0.1:1\" }}\n\
         streams:\n  s: {{ object: t, primary_key: [id], cursor: {{ column: id }}, select: [id] }}\n",
        secret.display()
    );
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    for arguments in [
        &["run", file, "--json", "--deadline", "1s"][..],
        &["run", file, "--deadline", "1s"],
        &["check", file],
        &["check", file, "--json"],
        &["lint", file],
        &["state", "show", file],
        &["prepare", file],
    ] {
        let mut command = command(arguments);
        command.env("RUST_LOG", "trace").env("CANARY", "canary-two");
        let said = Said::of(&command.output().unwrap());
        let all = format!("{}{}", said.stdout, said.stderr);
        assert!(!all.contains("canary"), "{arguments:?}: {all}");
        assert!(!all.is_empty());
    }
}
