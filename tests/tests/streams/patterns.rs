//! Streams that are named by a pattern: tables that come, go, or lack something.

use serde_json::{Value, json};

use super::world::{World, create, outcomes, table};
use crate::support::binary::Running;
use crate::support::binary::{Said, command, get};

/// A world whose file has one pattern instead of streams.
async fn world(tables: usize) -> World {
    patterned(World::sqlite(tables, 5).await)
}

fn patterned(mut world: World) -> World {
    world.file["defaults"] = json!({ "cursor": { "column": "updated_at" } });
    world.file["streams"] = json!({ "public.*": {
        "object": "{table}", "exclude": ["public.audit_*"], "exclude_columns": ["secret"],
    } });
    world.write();
    world
}

fn error_of(said: &Said, stream: &str) -> String {
    let objects = said.objects();
    let one = objects.iter().find(|one| one["stream"] == stream);
    let one = one.unwrap_or_else(|| panic!("{stream} is not told of: {said:?}"));
    one["error"]["message"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_pattern_carries_twenty_tables_to_sql_server() {
    let mut world = World::mssql(20, 20).await;
    world.source.execute("CREATE TABLE audit_x (id int); ALTER TABLE t03 ADD secret text").await;
    world = patterned(world);
    world.file["streams"]["public.*"]["object"] = json!("dbo.{table}");
    world.write();
    world.prepare();
    let (each, total) = outcomes(&world.run(&[]).expect(0));
    assert_eq!((each.len(), &total["success"]), (20, &json!(20)));
    world.assert_equal(1..=20).await;
    world.source.execute("UPDATE t03 SET note = 'other' WHERE id = 1").await;
    assert_eq!(outcomes(&world.run(&[]).expect(0)).1["written"], 1);
    world.assert_equal(1..=20).await;
}

#[tokio::test]
async fn mssql_init_makes_what_a_pattern_finds_and_names_what_it_cannot() {
    let mut world = patterned(World::mssql(3, 2).await);
    world.file["streams"]["public.*"]["object"] = json!("dbo.{table}");
    world.write();
    world.with_login(&format!("etl_many_{}", std::process::id()));
    world.source.execute("CREATE TABLE no_key (id int, updated_at timestamptz)").await;
    for _ in 0..2 {
        let said = world.init().expect(64);
        assert!(said.stderr.contains("many/public.no_key: "), "{said:?}");
        let (_, total) = outcomes(&world.run(&[]).expect(64));
        assert_eq!((&total["success"], &total["failed"]), (&json!(3), &json!(1)), "{total}");
    }
    world.assert_equal(1..=3).await;
    world.source.execute("DROP TABLE no_key").await;
    world.init().expect(0);
    world.run(&[]).expect(0);
}

#[tokio::test]
async fn a_table_that_is_new_is_told_until_it_is_prepared() {
    let world = world(20).await;
    world.prepare();
    world.run(&[]).expect(0);
    world.source.execute(&create(&table(21), 7)).await;
    let said = world.run(&[]).expect(64);
    let (each, total) = outcomes(&said);
    assert_eq!((each.len(), &total["success"], &total["failed"]), (21, &json!(20), &json!(1)));
    assert!(error_of(&said, "public.t21").contains("etl-job prepare"), "{said:?}");
    world.prepare();
    let (_, total) = outcomes(&world.run(&[]).expect(0));
    assert_eq!((&total["success"], &total["written"]), (&json!(21), &json!(7)), "{total}");
    world.assert_equal(1..=21).await;
}

#[tokio::test]
async fn a_table_that_is_gone_is_missed_until_it_is_excluded() {
    let mut world = world(20).await;
    world.prepare();
    world.run(&[]).expect(0);
    let carried = world.found("t05").await;
    world.source.execute("DROP TABLE t05").await;
    let said = world.run(&[]).expect(65);
    let (_, total) = outcomes(&said);
    assert_eq!((&total["success"], &total["failed"]), (&json!(19), &json!(1)), "{total}");
    let error = error_of(&said, "public.t05");
    for part in ["no such table any more", "exclude: [\"public.t05\"]", "stay in the target"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert_eq!(world.found("t05").await, carried, "its rows stay");
    world.file["streams"]["public.*"]["exclude"] = json!(["public.audit_*", "public.t05"]);
    world.write();
    assert_eq!(outcomes(&world.run(&[]).expect(0)).1["success"], 19);
}

#[tokio::test]
async fn tables_that_lack_something_are_named_and_the_others_go_on() {
    let world = world(20).await;
    world
        .source
        .execute(
            "CREATE TABLE no_key (id int, updated_at timestamptz);
             CREATE TABLE no_cursor (id int PRIMARY KEY);
             CREATE TABLE \"Order Details\" (id int PRIMARY KEY, updated_at timestamptz)",
        )
        .await;
    let prepared = world.job(&["prepare"], &[]).expect(64);
    for stream in ["no_key", "no_cursor", "Order Details"] {
        assert!(prepared.stderr.contains(&format!("many/public.{stream}: ")), "{prepared:?}");
    }
    let said = world.run(&[]).expect(64);
    let (each, total) = outcomes(&said);
    assert_eq!((each.len(), &total["success"], &total["failed"]), (23, &json!(20), &json!(3)));
    assert!(error_of(&said, "public.no_key").contains("has no primary key"), "{said:?}");
    assert!(error_of(&said, "public.no_cursor").contains("no column updated_at"), "{said:?}");
    assert!(error_of(&said, "public.Order Details").contains("table: "), "{said:?}");
    world.assert_equal(1..=20).await;
    let check = world.job(&["check"], &["--json"]).expect(64).objects();
    let bad = |stream: &str| check.iter().any(|one| one["stream"] == stream && one["ok"] == false);
    assert!(bad("public.no_key") && bad("public.no_cursor") && bad("public.Order Details"));
    assert!(!bad("public.t01"));
}

#[tokio::test]
async fn a_table_with_a_name_that_no_checkpoint_has_is_carried_as_a_named_stream() {
    let mut world = world(1).await;
    let sql = create(&table(2), 3) + "ALTER TABLE t02 RENAME TO \"Order Details\";";
    world.source.execute(&sql).await;
    world.file["streams"]["order_details"] = json!({
        "table": "public.Order Details", "object": "order_details", "primary_key": ["id"],
        "select": ["id", "note", "updated_at"],
    });
    world.write();
    world.prepare();
    assert_eq!(outcomes(&world.run(&[]).expect(0)).1["success"], 2);
    assert_eq!(world.found("order_details").await, world.wanted("\"Order Details\"").await);
}

#[tokio::test]
async fn nothing_is_written_for_a_pattern_that_matches_nothing() {
    let mut world = world(3).await;
    let pattern = world.file["streams"]["public.*"].take();
    world.file["streams"] = json!({ "publik.*": pattern });
    world.write();
    for (command, code) in [("check", 64), ("prepare", 64), ("run", 64)] {
        let said = world.job(&[command], &[]).expect(code);
        let told = said.stdout.clone() + &said.stderr.replace("\\\"", "\"");
        assert!(told.contains("did you mean \"public.*\"?"), "{command}: {said:?}");
    }
    assert!(!world.path("target.db").exists(), "the target was touched");
}

#[tokio::test]
async fn no_connection_is_made_to_check_a_file_with_a_pattern() {
    let world = world(1).await;
    let file = world.path("many.yaml").to_string_lossy().into_owned();
    let said = Said::of(&command(&["lint", &file, "--json"]).output().unwrap()).expect(0);
    assert_eq!(said.last()["patterns"], json!(["public.*"]));
    let text = Said::of(&command(&["lint", &file]).output().unwrap()).expect(0).stdout;
    assert!(text.contains("pattern public.*, resolved at run"), "{text}");
}

#[tokio::test]
async fn states_of_a_patterns_streams_are_shown_and_changed_without_the_source() {
    let world = world(3).await;
    world.prepare();
    world.run(&[]).expect(0);
    world.source.execute("DROP TABLE t02").await;
    let without_source = |command: &[&str], more: &[&str]| {
        let mut command = world.command(command, more);
        command.env("PG_URL", "postgres://nobody@127.0.0.1:1/none");
        Said::of(&command.output().unwrap())
    };
    let shown = without_source(&["state", "show"], &["--json"]).expect(0).objects();
    let streams: Vec<_> = shown.iter().map(|one| one["stream"].as_str().unwrap()).collect();
    assert_eq!(streams, ["public.t01", "public.t02", "public.t03"]);
    assert!(shown.iter().all(|one| one["position"].is_object()), "{shown:?}");
    without_source(&["state", "reset"], &["--yes"]).expect(64);
    without_source(&["state", "reset"], &["--yes", "--stream", "public.t02"]).expect(0);
    without_source(&["state", "show"], &["--stream", "other.t02"]).expect(64);
    let one = without_source(&["state", "show"], &["--json", "--stream", "public.t02"]).expect(0);
    assert_eq!(one.last()["position"], Value::Null);
    world.job(&["state", "adopt"], &["--yes", "--stream", "public.t03"]).expect(0);
    // Only one stream, by its name.
    let only = world.run(&["--stream", "public.t03"]).expect(0).objects();
    assert_eq!((only.len(), &only[0]["stream"]), (1, &json!("public.t03")));
}

#[tokio::test]
async fn the_ledgers_of_a_patterns_streams_are_served_without_the_source() {
    let world = world(2).await;
    world.prepare();
    world.run(&[]).expect(0);
    let address = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().to_string()
    };
    let mut serve =
        world.command(&["serve"], &["--metrics-only", "--every", "1s", "--addr", &address]);
    serve.env_remove("PG_URL").env("RUST_LOG", "info");
    let running = Running::start(serve);
    let shown = |stream: &str| -> bool {
        let page = std::panic::catch_unwind(|| get(&address, "/metrics").1).unwrap_or_default();
        let series = format!("etl_ledger_up{{pipeline=\"many\",stream=\"{stream}\"}} 1");
        page.lines().any(|line| line == series)
    };
    let wait = async |stream: &str| {
        for _ in 0..300 {
            if shown(stream) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("no ledger of {stream}: {}", get(&address, "/metrics").1);
    };
    wait("public.t01").await;
    wait("public.t02").await;
    world.source.execute(&create(&table(3), 1)).await;
    world.prepare();
    wait("public.t03").await;
    running.signal("TERM");
    tokio::task::spawn_blocking(|| running.end()).await.unwrap().expect(0);
}
