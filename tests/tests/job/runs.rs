//! Runs that meet, are stopped, are killed, and go on.

use std::time::{Duration, Instant};

use super::Demo;
use crate::support::binary::{Running, command, run};

/// A demo whose next run takes a while: everything anew, a few rows per transaction.
fn slow() -> Demo {
    let demo = Demo::new();
    demo.add("limits: { batch: { rows: 3 } }\nlease: { ttl: 3s }\n");
    demo
}

fn start(demo: &Demo) -> Running {
    let mut command = command(&["run", &demo.file(), "--json", "--full-refresh"]);
    command.env("RUST_LOG", "debug");
    Running::start(command)
}

#[tokio::test]
async fn of_two_runs_at_once_one_works_and_the_other_skips() {
    let demo = slow();
    let mut first = start(&demo);
    first.wait_for("batch committed");
    let second = demo.run().expect(0).last();
    assert_eq!(second["outcome"], "skipped");
    let first = first.end().expect(0).last();
    assert_eq!((&first["outcome"], &first["read"]), (&"success".into(), &2003.into()));
    let (source, target) = demo.contents().await;
    assert_eq!(source, target);
}

#[tokio::test]
async fn sigterm_ends_a_run_at_a_batch_and_the_next_goes_on() {
    let demo = slow();
    let mut running = start(&demo);
    running.wait_for("batch committed");
    running.signal("TERM");
    let stopped = running.end().expect(0).last();
    assert_eq!(stopped["outcome"], "stopped");
    assert!(stopped["read"].as_u64().unwrap() < 2003, "{stopped}");
    let next = demo.run().expect(0).last();
    assert_eq!(next["checkpoint_from"], stopped["checkpoint_to"]);
    let read = stopped["read"].as_u64().unwrap() + next["read"].as_u64().unwrap();
    assert!(read >= 2003, "{stopped} {next}");
    let (source, target) = demo.contents().await;
    assert_eq!(source, target);
}

#[tokio::test]
async fn a_killed_run_is_waited_out_and_gone_on_with() {
    let demo = slow();
    let mut running = start(&demo);
    running.wait_for("batch committed");
    running.signal("KILL");
    running.end().expect(-1);
    let next = demo.run().expect(0).last();
    assert_eq!(next["outcome"], "success");
    assert!(next["checkpoint_from"].is_object(), "{next}");
    let (source, target) = demo.contents().await;
    assert_eq!(source, target);
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once_with_75() {
    let demo = slow();
    let mut running = start(&demo);
    running.wait_for("batch committed");
    // Somebody holds the target, so that the batch on its way cannot end.
    let mut holder = demo.target().await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut holder).await.unwrap();
    running.signal("TERM");
    running.wait_for("asked to stop");
    let started = Instant::now();
    running.signal("INT");
    let said = running.end().expect(75);
    assert!(started.elapsed() < Duration::from_secs(3), "{said:?}");
    assert!(said.stderr.contains("a second time"), "{said:?}");
    drop(holder);
    assert_eq!(demo.run().expect(0).last()["outcome"], "success");
    let (source, target) = demo.contents().await;
    assert_eq!(source, target);
}

#[test]
fn a_changed_definition_stops_with_65_until_somebody_decides() {
    let demo = Demo::new();
    demo.edit("status = 'confirmed'", "status = 'shipped'");
    let said = demo.run().expect(65);
    let summary = said.last();
    let error = &summary["error"];
    assert_eq!((&summary["outcome"], &error["class"]), (&"failed".into(), &"schema".into()));
    let message = error["message"].as_str().unwrap();
    for part in ["demo/orders: ", "where: ", "--full-refresh", "state adopt", "Nothing was written"]
    {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(said.stderr.contains(r#""level":"ERROR""#), "{said:?}");
}

#[test]
fn adopting_a_definition_goes_on_from_the_checkpoint() {
    let demo = Demo::new();
    demo.edit("status = 'confirmed'", "status = 'shipped'");
    let file = demo.file();
    let shown = run(&["state", "adopt", &file, "--json"]).expect(0).last();
    assert_eq!(shown["changed"], false);
    assert_ne!(shown["old"], shown["new"]);
    demo.run().expect(65);
    run(&["state", "adopt", &file, "--yes"]).expect(0);
    assert_eq!(demo.run().expect(0).last()["outcome"], "success");
}

#[test]
fn a_target_that_was_never_prepared_is_told_with_what_to_do() {
    let demo = Demo::new();
    std::fs::remove_file(demo.path("demo/target.db")).unwrap();
    let said = demo.run();
    assert!([64, 65].contains(&said.code), "{said:?}");
    let check = run(&["check", &demo.file(), "--json"]);
    assert_ne!(check.code, 0);
    let objects = check.objects();
    assert!(objects.iter().any(|one| one["side"] == "target" && one["ok"] == false), "{objects:?}");
    run(&["prepare", &demo.file()]).expect(0);
    run(&["prepare", &demo.file()]).expect(0);
    run(&["check", &demo.file()]).expect(0);
    assert_eq!(demo.run().expect(0).last()["read"], 2003);
}

#[test]
fn every_runs_again_and_again() {
    let demo = Demo::new();
    let mut running = Running::start(command(&["run", &demo.file(), "--json", "--every", "300ms"]));
    for _ in 0..3 {
        running.wait_for("run ended");
    }
    running.signal("TERM");
    let said = running.end().expect(0);
    assert!(said.objects().len() >= 3, "{said:?}");
}

#[test]
fn a_stream_that_is_not_there_is_told_with_those_that_are() {
    let demo = Demo::new();
    let said = run(&["run", &demo.file(), "--stream", "order"]).expect(64);
    assert!(said.stderr.contains(r#"did you mean \"orders\"?"#), "{said:?}");
}

#[test]
fn a_deadline_ends_a_run_between_batches() {
    let demo = slow();
    let file = demo.file();
    let said = run(&["run", &file, "--json", "--full-refresh", "--deadline", "100ms"]);
    let summary = said.last();
    assert_eq!(summary["outcome"], "stopped", "{said:?}");
    assert_eq!(demo.run().expect(0).last()["outcome"], "success");
}

#[tokio::test]
async fn rows_that_leave_are_marked_and_come_back() {
    let demo = Demo::new();
    demo.edit("on_filter_exit: delete", "on_filter_exit: soft_delete");
    let said = demo.run().expect(65);
    assert!(said.stderr.contains("ADD \\\"_deleted_at\\\" TIMESTAMPTZ_TEXT"), "{}", said.stderr);
    demo.edit("pipeline: demo", "pipeline: marked");
    demo.edit("object: orders", "object: marked");
    run(&["prepare", &demo.file()]).expect(0);
    let first = demo.run().expect(0).last();
    let count = async |filter: &str| {
        let sql = format!("SELECT count(*) FROM marked WHERE _deleted_at {filter}");
        let count = sqlx::query_scalar(sqlx::AssertSqlSafe(sql));
        count.fetch_one(&mut demo.target().await).await.unwrap()
    };
    let all: i64 = count("IS NULL").await;
    assert_eq!(first["written"].as_i64(), Some(all));
    let change = async |sql: &str| {
        let changed = sqlx::query(sqlx::AssertSqlSafe(sql.to_owned()));
        changed.execute(&mut demo.source().await).await.unwrap();
    };
    change("UPDATE orders SET status = 'cancelled' WHERE status = 'confirmed' AND id % 3 = 0")
        .await;
    let left = demo.run().expect(0).last();
    let gone: i64 = count("BETWEEN strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-2 minutes') AND strftime('%Y-%m-%dT%H:%M:%fZ', 'now')").await;
    assert!(gone > 0 && left["deleted"].as_i64() == Some(gone), "{left}");
    assert_eq!(count("IS NULL").await + gone, all);
    change("UPDATE orders SET status = 'confirmed' WHERE status = 'cancelled' AND id % 3 = 0")
        .await;
    demo.run().expect(0);
    assert_eq!(count("IS NOT NULL").await, 0);
}
