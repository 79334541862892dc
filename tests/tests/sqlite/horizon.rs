//! No row is lost behind a writer that commits late.

use std::time::Duration;

use etl_core::connector::Stream;
use etl_core::{BatchLimits, Class, Position};
use etl_sql::sqlite::text;
use serde_json::{Value, json};
use sqlx::Executor;

use super::{File, rows, stream, sweep};

const TABLE: &str = "
CREATE TABLE orders (
  id INTEGER PRIMARY KEY,
  updated_at TIMESTAMPTZ_TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);
CREATE INDEX orders_updated_at ON orders (updated_at);
CREATE TRIGGER orders_touched AFTER UPDATE ON orders BEGIN
  UPDATE orders SET updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE id = NEW.id;
END";

fn orders(mode: &str, cursor: &Value) -> Stream {
    stream(json!({
        "object": "orders", "mode": mode, "primary_key": ["id"], "cursor": cursor,
        "select": ["id", "updated_at"],
    }))
}

fn by_horizon(mode: &str) -> Stream {
    orders(mode, &json!({ "column": "updated_at" }))
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// Sweeps on from `at`, moves it, and says how many rows came.
async fn next(file: &File, stream: &Stream, at: &mut Option<Position>) -> usize {
    let source = file.source(stream);
    let batches = sweep(&*source, at.clone(), BatchLimits::default()).await.unwrap();
    *at = Some(batches.last().unwrap().position.clone());
    rows(&batches)
}

/// A writer that keeps its transaction open for longer than any margin.
async fn a_late_commit_arrives(mode: &str) {
    let file = File::with(TABLE).await;
    file.run("INSERT INTO orders DEFAULT VALUES").await;
    seconds(3).await;
    let stream = by_horizon(mode);
    let mut at = None;
    assert_eq!(next(&file, &stream, &mut at).await, 1, "the first row");

    let mut writer = file.connect().await;
    writer.execute("BEGIN IMMEDIATE; INSERT INTO orders DEFAULT VALUES").await.unwrap();
    seconds(5).await;
    let again = next(&file, &stream, &mut at).await;
    assert_eq!(again, usize::from(mode == "upsert"), "while the transaction is open");
    writer.execute("COMMIT").await.unwrap();

    seconds(3).await;
    // An upsert reads the last settled row again: it begins at it, not behind it.
    let expected = if mode == "upsert" { 2 } else { 1 };
    assert_eq!(next(&file, &stream, &mut at).await, expected, "after it has committed");
    let again = next(&file, &stream, &mut at).await;
    assert_eq!(again, usize::from(mode == "upsert"), "when nothing is new");
}

#[tokio::test]
async fn a_row_that_commits_late_is_appended_once() {
    a_late_commit_arrives("append").await;
}

#[tokio::test]
async fn a_row_that_commits_late_is_upserted() {
    a_late_commit_arrives("upsert").await;
}

#[tokio::test]
async fn while_somebody_writes_the_horizon_follows_the_newest_row() {
    let file = File::with(TABLE).await;
    file.run("INSERT INTO orders DEFAULT VALUES").await;
    seconds(4).await;
    file.run("INSERT INTO orders DEFAULT VALUES").await;
    let mut writer = file.connect().await;
    writer.execute("BEGIN IMMEDIATE; INSERT INTO orders DEFAULT VALUES").await.unwrap();
    let mut at = None;
    // The writer may be as old as the second row; the first is 4 s older.
    assert_eq!(next(&file, &by_horizon("append"), &mut at).await, 1);
    writer.execute("ROLLBACK").await.unwrap();
    seconds(3).await;
    assert_eq!(next(&file, &by_horizon("append"), &mut at).await, 1);
}

#[tokio::test]
async fn an_idle_source_stays_fresh() {
    let file = File::with(TABLE).await;
    file.run("INSERT INTO orders (updated_at) VALUES ('2020-01-02T03:04:05.000Z')").await;
    let source = file.source(&by_horizon("upsert"));
    let before = chrono::Utc::now().timestamp_micros();
    let batches = sweep(&*source, None, BatchLimits::default()).await.unwrap();
    let horizon = batches.last().unwrap().progress.horizon_micros.unwrap();
    let behind = before - horizon;
    assert!((0..4_000_000).contains(&behind), "{behind} µs behind");
    // But the next sweep begins at the last row, whatever the clock will do.
    let position: Value = serde_json::from_str(batches[0].position.as_str()).unwrap();
    assert_eq!(position["low"], "2020-01-02T03:04:05.000000Z");
}

#[tokio::test]
async fn a_clock_that_was_set_back_moves_no_horizon_back() {
    let file = File::with(TABLE).await;
    file.run("INSERT INTO orders DEFAULT VALUES").await;
    let hour = 3_600_000_000;
    let ahead = text::timestamp(chrono::Utc::now().timestamp_micros() + hour, true).unwrap();
    let place = json!({ "v": 1, "low": null, "h": ahead, "high": null, "scan": null });
    let at = Position::from_text(place.to_string()).unwrap();
    let source = file.source(&by_horizon("upsert"));
    let batches = sweep(&*source, Some(at), BatchLimits::default()).await.unwrap();
    let end: Value = serde_json::from_str(batches.last().unwrap().position.as_str()).unwrap();
    assert_eq!(end["h"], ahead.as_str());
}

#[tokio::test]
async fn a_lookback_is_read_again() {
    let file = File::with(TABLE).await;
    let now = chrono::Utc::now().timestamp_micros();
    let insert = async |age: i64| {
        let at = text::Form::read("2026-01-02T03:04:05.000Z").unwrap().0;
        let at = at.write(now - age * 1_000_000).unwrap();
        file.run(&format!("INSERT INTO orders (updated_at) VALUES ('{at}')")).await;
    };
    insert(90).await;
    insert(30).await;
    let cursor = json!({
        "column": "updated_at", "set_by": "application", "safety": { "lookback": "1m" },
    });
    let stream = orders("upsert", &cursor);
    let mut at = None;
    assert_eq!(next(&file, &stream, &mut at).await, 2);
    // An application writes a row with a time of 40 s ago.
    insert(40).await;
    assert_eq!(next(&file, &stream, &mut at).await, 2, "the late one and the one within 1m");
}

#[tokio::test]
async fn rows_of_another_form_are_an_error_and_not_a_gap() {
    let file = File::with(TABLE).await;
    file.run("INSERT INTO orders (updated_at) VALUES ('2026-01-02T10:00:00.000Z')").await;
    let stream = by_horizon("upsert");
    let mut at = None;
    assert_eq!(next(&file, &stream, &mut at).await, 1);
    // Later on the same day, but as text below what was read: ' ' sorts before 'T'.
    file.run("INSERT INTO orders (updated_at) VALUES ('2026-01-02 23:00:00')").await;
    let source = file.source(&stream);
    let error = sweep(&*source, at, BatchLimits::default()).await.unwrap_err();
    assert_eq!(error.class(), Class::Data, "{error}");
    assert!(error.to_string().contains("updated_at"), "{error}");
    let error = sweep(&*source, None, BatchLimits::default()).await.unwrap_err();
    assert_eq!(error.class(), Class::Data, "{error}");
    assert!(error.to_string().contains("id=2"), "{error}");
    assert!(!error.to_string().contains("23:00"), "{error}");
    let findings = source.check().await.unwrap();
    assert!(findings.iter().any(|finding| !finding.ok && finding.what == "cursor form"));
}

#[tokio::test]
async fn the_check_says_what_does_not_set_the_cursor() {
    let file = File::with(TABLE).await;
    file.run("DROP TRIGGER orders_touched").await;
    let findings = file.source(&by_horizon("upsert")).check().await.unwrap();
    let bad: Vec<_> = findings.iter().filter(|finding| !finding.ok).collect();
    assert_eq!(bad.len(), 1, "{bad:?}");
    assert!(bad[0].detail.contains("CREATE TRIGGER"), "{}", bad[0]);
}

#[tokio::test]
async fn rows_above_the_horizon_wait_when_there_are_too_many() {
    let file = File::with(TABLE).await;
    file.run("INSERT INTO orders (updated_at) VALUES ('2020-01-02T03:04:05.000Z')").await;
    for _ in 0..5 {
        file.run("INSERT INTO orders DEFAULT VALUES").await;
    }
    for (most, expected) in [(0, 1), (2, 3), (9, 6)] {
        let stream = orders("upsert", &json!({ "column": "updated_at", "max_reread": most }));
        assert_eq!(next(&file, &stream, &mut None).await, expected, "at most {most} early");
    }
}

#[tokio::test]
async fn a_sweep_that_goes_on_keeps_its_horizon() {
    let file = File::with(
        "CREATE TABLE orders (
           id INTEGER PRIMARY KEY, updated_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP);
         CREATE INDEX orders_updated_at ON orders (updated_at);
         INSERT INTO orders (id) VALUES (5), (9)",
    )
    .await;
    let stream = by_horizon("upsert");
    let one = BatchLimits { rows: 1, ..BatchLimits::default() };
    let source = file.source(&stream);
    let first = sweep(&*source, None, one).await.unwrap();
    let mut at = Some(first[0].position.clone());
    // In the same second a row with a smaller key commits: behind the place where it goes on.
    file.run("INSERT INTO orders SELECT 3, updated_at FROM orders WHERE id = 5").await;
    seconds(2).await;
    file.run("INSERT INTO orders (id) VALUES (10)").await;
    seconds(4).await;
    assert_eq!(next(&file, &stream, &mut at).await, 2, "the rest of the sweep");
    assert_eq!(next(&file, &stream, &mut at).await, 4, "the next sweep");
}
