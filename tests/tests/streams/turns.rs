//! Whose turn it is, and what becomes of the others.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::Connection;

use super::world::{World, outcomes, table};

fn of<'a>(objects: &'a [Value], stream: &str) -> &'a Value {
    objects.iter().find(|one| one["stream"] == stream).unwrap()
}

#[tokio::test]
async fn twenty_streams_arrive_in_sql_server_and_so_do_their_changes() {
    let world = World::mssql(20, 30).await;
    world.prepare();
    let said = world.run(&[]).expect(0);
    let (each, total) = outcomes(&said);
    assert_eq!((each.len(), &total["success"], &total["read"]), (20, &json!(20), &json!(600)));
    world.assert_equal(1..=20).await;
    world.source.execute("UPDATE t07 SET note = 'other' WHERE id < 9; DELETE FROM t08").await;
    world.source.execute("INSERT INTO t20 VALUES (31, 'new')").await;
    let (_, total) = outcomes(&world.run(&[]).expect(0));
    assert_eq!(total["written"], 9, "{total}");
    world.assert_equal((1..=20).filter(|number| *number != 8)).await;
}

/// How many streams wait for a lock at the source, once that number stands still.
async fn waiting(world: &World) -> i64 {
    let mut connection = world.source.connect().await;
    let mut last = (Instant::now(), 0);
    let begun = Instant::now();
    while last.1 == 0 || last.0.elapsed() < Duration::from_secs(2) {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not stand still: {last:?}");
        let count: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
              AND wait_event_type = 'Lock'",
        )
        .fetch_one(&mut connection)
        .await
        .unwrap();
        if count != last.1 {
            last = (Instant::now(), count);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    last.1
}

#[tokio::test]
async fn so_many_streams_run_at_a_time_as_the_file_says_and_no_more() {
    let mut world = World::sqlite(20, 5).await;
    world.prepare();
    for parallel in [1, 4, 20] {
        world.file["limits"] = json!({ "parallel": parallel });
        world.write();
        // Whoever holds the tables sees how many come at a time.
        let mut holder = world.source.connect().await;
        let mut held = holder.begin().await.unwrap();
        for number in 1..=20 {
            let sql = format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", table(number));
            sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut *held).await.unwrap();
        }
        let running = world.start();
        assert_eq!(waiting(&world).await, parallel, "streams at a time");
        held.rollback().await.unwrap();
        let said = tokio::task::spawn_blocking(|| running.end()).await.unwrap().expect(0);
        assert_eq!(outcomes(&said).1["success"], 20);
    }
    world.assert_equal(1..=20).await;
}

#[tokio::test]
async fn a_stream_that_fails_fails_alone_and_the_worst_code_counts() {
    let world = World::sqlite(20, 5).await;
    world.prepare();
    world.source.execute("DROP TABLE t05; DROP TRIGGER touch ON t11").await;
    let said = world.run(&[]).expect(64);
    let (each, total) = outcomes(&said);
    let failed: Vec<_> = each.iter().filter(|(_, outcome)| *outcome == "failed").collect();
    assert_eq!(failed.len(), 2, "{each:?}");
    let objects = said.objects();
    assert_eq!(of(&objects, "public.t05")["error"]["class"], "schema");
    assert_eq!(of(&objects, "public.t11")["error"]["class"], "config");
    assert_eq!((&total["success"], &total["exit_code"]), (&json!(18), &json!(64)), "{total}");
    world.assert_equal((1..=20).filter(|number| ![5, 11].contains(number))).await;
    // The text for people tells the same, in one more line.
    let text = world.job(&["run"], &[]).expect(64).stdout;
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("many: 20 streams in "), "{last}");
    assert!(last.contains("success 18,") && last.ends_with("exit_code 64"), "{last}");
}

/// A world of streams that take long: a row per transaction.
async fn slow(tables: usize, parallel: usize) -> World {
    let mut world = World::sqlite(tables, 4000).await;
    world.file["limits"] = json!({ "parallel": parallel, "batch": { "rows": 1 } });
    world.write();
    world.prepare();
    world
}

#[tokio::test]
async fn who_gets_no_turn_is_told_and_comes_first_in_the_next_run() {
    let world = slow(5, 1).await;
    let mut begun = BTreeSet::new();
    for run in 0.. {
        assert!(run < 15, "after {run} runs only {begun:?} had a turn");
        let said = world.run(&["--deadline", "1500ms"]).expect(75);
        let (each, total) = outcomes(&said);
        assert_eq!(each.len(), 5, "every stream is told of");
        let now: Vec<_> = each.iter().filter(|(_, outcome)| *outcome != "not_started").collect();
        assert!(now.len() < 5, "the deadline lets all streams begin");
        assert_eq!(total["not_started"], json!(5 - now.len()), "{total}");
        for (stream, _) in now {
            assert!(begun.insert(stream.clone()), "{stream} begins twice before all did once");
        }
        let objects = said.objects();
        for stream in objects.iter().filter(|one| one["outcome"] == "not_started") {
            assert_eq!(stream["error"]["class"], "transient", "{stream}");
            let message = stream["error"]["message"].as_str().unwrap();
            assert!(
                message.contains("limits.deadline") && message.contains("next run"),
                "{message}"
            );
        }
        if begun.len() == 5 {
            break;
        }
    }
}

#[tokio::test]
async fn sigterm_ends_every_stream_at_a_batch_and_begins_no_other() {
    let mut world = slow(6, 3).await;
    let mut running = world.start();
    for _ in 0..30 {
        running.wait_for("batch committed");
    }
    running.signal("TERM");
    let said = tokio::task::spawn_blocking(|| running.end()).await.unwrap().expect(0);
    let (each, total) = outcomes(&said);
    let count = |wanted: &str| each.values().filter(|outcome| *outcome == wanted).count();
    assert_eq!((count("stopped"), count("not_started")), (3, 3), "{each:?}");
    assert_eq!(total["exit_code"], 0);
    let objects = said.objects();
    assert!(objects.iter().all(|one| one["error"].is_null()), "{objects:?}");
    world.file["limits"]["batch"] = json!({});
    world.write();
    let (_, total) = outcomes(&world.run(&[]).expect(0));
    assert_eq!(total["success"], 6);
    world.assert_equal(1..=6).await;
}

#[tokio::test]
async fn a_login_that_is_refused_is_not_tried_for_every_stream() {
    let mut world = World::sqlite(12, 1).await;
    world.file["limits"] = json!({ "parallel": 2 });
    world.write();
    world.prepare();
    let role = world.source.role("Reader-pass-1").await;
    let mut command = world.command(&["run"], &["--json"]);
    command.env("PG_URL", world.source.url_as(&format!("{role}:Other-pass-1")));
    let said = crate::support::binary::Said::of(&command.output().unwrap()).expect(77);
    let (_, total) = outcomes(&said);
    assert_eq!((&total["failed"], &total["not_started"]), (&json!(2), &json!(10)), "{total}");
    let objects = said.objects();
    let waiting = objects.iter().find(|one| one["outcome"] == "not_started").unwrap();
    assert_eq!(waiting["error"]["class"], "permission");
}
