//! `etl-job serve --metrics-only`.

use std::path::Path;

use super::Demo;
use crate::support::binary::{Said, command};
use crate::support::page::Page;

fn serve(file: &str) -> std::process::Command {
    command(&["serve", "--metrics-only", file, "--addr", "127.0.0.1:0", "--every", "1s"])
}

/// A pipeline file whose two sides are secrets, and nobody's `streams`.
fn write(folder: &Path, more: &str) -> String {
    let path = folder.join("p.yaml");
    let text = format!(
        "version: 1\npipeline: p\n\
         source: {{ type: postgres, url: '${{file:/no/such/secret}}', tls: disable }}\n\
         target: {{ type: mssql, url: '${{env:TARGET_URL}}', tls: trust-server-certificate{more} }}\n\
         streams:\n  s: {{ object: t, primary_key: [id], cursor: {{ column: id }}, select: [id] }}\n",
    );
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_read_again_and_again_and_only_read() {
    let demo = Demo::new();
    let page = Page::start(serve(&demo.file()));
    let first = page.wait_up();
    assert!(first["etl_ledger_rows_total read"] > 0.0, "{first:?}");
    let before = first["etl_ledger_runs_total success"];
    demo.run().expect(0);
    let after = page
        .wait("the next run", |found| found.get("etl_ledger_runs_total success") > Some(&before));
    assert!(
        after["etl_ledger_last_success_time_seconds"]
            > first["etl_ledger_last_success_time_seconds"]
    );
    assert!((0.0..3600.0).contains(&after["etl_ledger_freshness_seconds"]), "{after:?}");
    // The target is gone, and it comes back.
    let (target, away) = (demo.path("demo/target.db"), demo.path("demo/away.db"));
    std::fs::rename(&target, &away).unwrap();
    page.wait_down();
    std::fs::rename(&away, &target).unwrap();
    let back = page.wait_up();
    assert_eq!(back["etl_ledger_runs_total success"], before + 1.0);
    page.stop();
}

#[test]
fn the_page_is_there_at_once_while_the_target_says_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), ", connect_timeout: 3s");
    // Takes the connection and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let mut command = serve(&file);
    command.env("TARGET_URL", format!("mssql://u:canary-one@127.0.0.1:{port}/dw"));
    let page = Page::start(command);
    assert!(page.get("/readyz").0.contains("503"), "before the ledger was looked at");
    assert!(page.get("/healthz").0.contains("200"));
    page.wait_down();
    let (_, shown) = page.get("/metrics");
    for side in ["source", "target"] {
        let line = format!("etl_tls_unverified{{pipeline=\"p\",side=\"{side}\",stream=\"s\"}} 1\n");
        assert!(shown.contains(&line), "{line} is not in {shown}");
    }
    // A target that is down must not take the page, and with it the alert, away.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !page.get("/readyz").0.contains("200") {
        assert!(std::time::Instant::now() < until, "never ready: {}", page.get("/readyz").1);
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(page.get("/healthz").0.contains("200"));
    page.wait_down();
    page.running.signal("TERM");
    let said = page.running.end().expect(0);
    assert!(!said.stderr.contains("canary"), "{said:?}");
    let told = said.stderr.matches("the ledger cannot be read").count();
    assert_eq!(told, 1, "a failure is told once: {said:?}");
}

#[test]
fn what_cannot_be_served_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "");
    let said = |mut command: std::process::Command| Said::of(&command.output().unwrap());
    let bare = said(command(&["serve", &file])).expect(64);
    assert!(bare.stderr.contains("give --metrics-only"), "{bare:?}");
    let missing = said(serve(&file)).expect(64);
    assert!(missing.stderr.contains("TARGET_URL is not set"), "{missing:?}");
    let mut placeholder = serve(&file);
    placeholder.env("TARGET_URL", "mssql://etl_metrics:CHANGE_ME@127.0.0.1:1/dw");
    let placeholder = said(placeholder).expect(64);
    assert!(placeholder.stderr.contains("those that stand in examples"), "{placeholder:?}");
    let mut nowhere = command(&["serve", "--metrics-only", &file, "--addr", "nowhere:x"]);
    nowhere.env("TARGET_URL", "mssql://etl_metrics:canary-one@127.0.0.1:1/dw");
    let nowhere = said(nowhere).expect(64);
    assert!(nowhere.stderr.contains("metrics address nowhere:x"), "{nowhere:?}");
    // A run needs the source's secret.
    let mut run = command(&["run", &file]);
    run.env("TARGET_URL", "mssql://etl_job:canary-one@127.0.0.1:1/dw");
    let run = said(run).expect(64);
    assert!(run.stderr.contains("/no/such/secret"), "{run:?}");
}
