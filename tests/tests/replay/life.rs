//! A row's way into the quarantine and out of it.

use std::time::Duration;

use serde_json::json;

use super::world::{BAD, World, keys};
use crate::matrix::{TARGETS, sources};

async fn pair(from: &str, to: &str) {
    let what = |step: &str| format!("{from} to {to}, {step}");
    let world = World::things(from, to, json!({})).await;
    let first = world.run();
    assert_eq!(first["outcome"], "success", "{}", what("the first run"));
    let counts = (first["written"].as_u64(), first["quarantined"].as_u64());
    assert_eq!(counts, (Some(17), Some(3)), "{}: {first}", what("the first run"));
    assert_eq!(world.lying(), keys([(5, 1), (12, 1), (17, 1)]), "{}", what("the first run"));
    let shown = world.job(&["state", "show"], &["--json"]).expect(0).last();
    assert_eq!(shown["quarantined"], 3, "{}", what("state show"));
    let good = format!("note <> '{BAD}'");
    let wanted = World::notes(&world.source, "things", &good).await;
    assert_eq!(World::notes(&world.target, "things", "1 = 1").await, wanted, "{}", what("others"));

    // The target still refuses them.
    let again = world.replay();
    assert_eq!(again["outcome"], "replayed", "{}: {again}", what("too early"));
    assert_eq!((&again["written"], &again["quarantined"]), (&json!(0), &json!(3)), "{again}");
    assert_eq!(world.lying(), keys([(5, 2), (12, 2), (17, 2)]), "{}", what("too early"));
    assert_eq!(again["checkpoint_to"], first["checkpoint_to"], "{}", what("too early"));

    // One is corrected and one is gone. The next run carries the first by itself.
    let table = super::world::named(from, "things");
    world.source.execute(&format!("UPDATE {table} SET note = 'mended' WHERE id = 12;")).await;
    world.source.execute(&format!("DELETE FROM {table} WHERE id = 17;")).await;
    // Before that run a replay leaves it alone.
    let early = world.replay();
    assert_eq!((&early["written"], &early["quarantined"]), (&json!(0), &json!(1)), "{early}");
    assert_eq!(world.lying(), keys([(5, 3), (12, 2)]), "{}", what("one is gone"));
    let run = world.run();
    assert_eq!((&run["written"], &run["quarantined"]), (&json!(1), &json!(0)), "{run}");
    assert_eq!(world.lying(), keys([(5, 3)]), "{}", what("one is corrected"));

    world.widen().await;
    let landed = world.replay();
    assert_eq!((&landed["read"], &landed["written"]), (&json!(1), &json!(1)), "{landed}");
    assert_eq!(landed["quarantined"], 0, "{landed}");
    assert_eq!(world.lying(), keys([]), "{}", what("landed"));
    world.assert_equal(&what("landed")).await;
    let idle = world.replay();
    assert_eq!((&idle["outcome"], &idle["read"]), (&json!("replayed"), &json!(0)), "{idle}");
    world.assert_equal(&what("once more")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_aside_lands_or_leaves_on_every_pair() {
    for from in sources().await {
        for to in TARGETS {
            pair(from, to).await;
        }
    }
}

/// Appended twice a row would be there twice: the replay must leave one that changed to the next run.
#[tokio::test(flavor = "multi_thread")]
async fn no_row_is_appended_by_the_replay_and_by_a_run() {
    for (from, to) in [("postgres", "mssql"), ("mssql", "postgres"), ("sqlite", "sqlite")] {
        let what = |step: &str| format!("{from} to {to}, {step}");
        let world = World::things(from, to, json!({ "mode": "append" })).await;
        world.run();
        assert_eq!(world.lying(), keys([(5, 1), (12, 1), (17, 1)]), "{}", what("the first run"));
        let table = super::world::named(from, "things");
        world.source.execute(&format!("UPDATE {table} SET note = 'v2' WHERE id = 12;")).await;
        world.source.execute(&format!("DELETE FROM {table} WHERE id = 17;")).await;
        world.widen().await;
        // The horizon of a time is a little behind the clock; before it nothing is appended.
        let landed = world.replay();
        assert_eq!(landed["written"], 1, "{}: {landed}", what("the replay"));
        assert_eq!(world.lying(), keys([(12, 1)]), "{}", what("the replay"));
        let mut written = 0;
        for _ in 0..20 {
            written += world.run()["written"].as_u64().unwrap();
            if written > 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        assert_eq!(written, 1, "{}", what("the run"));
        assert_eq!(world.replay()["written"], 0, "{}", what("once more"));
        world.run();
        assert_eq!(world.lying(), keys([]), "{}", what("once more"));
        world.assert_equal(&what("once more")).await;
    }
}

/// An older version of a row is in the target; the row became bad, and is then gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_gone_is_marked_where_rows_are_marked() {
    for to in TARGETS {
        let config = json!({ "on_filter_exit": "soft_delete" });
        let world = World::things("postgres", to, config).await;
        world.run();
        world.source.execute(&format!("UPDATE things SET note = '{BAD}' WHERE id = 3")).await;
        let run = world.run();
        assert_eq!(run["outcome"], "success", "{to}: {run}");
        assert_eq!(world.lying().keys().filter(|key| key.contains("\"3\"")).count(), 1, "{to}");
        world.source.execute("DELETE FROM things WHERE id IN (3, 5)").await;
        let replayed = world.replay();
        // 5 was never in the target.
        assert_eq!(replayed["deleted"], 1, "{to}: {replayed}");
        assert_eq!(world.lying().len(), 2, "{to}");
        let marked = World::notes(&world.target, "things", "_deleted_at IS NOT NULL").await;
        assert_eq!(marked, [(3, "good".to_owned())], "{to}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_keep_a_row_that_is_gone_only_leaves_the_quarantine() {
    let world = World::things("sqlite", "sqlite", json!({ "on_filter_exit": "keep" })).await;
    world.run();
    world.source.execute("DELETE FROM things WHERE id = 5").await;
    assert_eq!(world.replay()["deleted"], 0);
    assert_eq!(world.lying(), keys([(12, 2), (17, 2)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_row_more_than_may_be_put_aside_stops_the_run() {
    let limit = json!({ "quarantine": { "max_rows": 2 } });
    let world = World::things("sqlite", "sqlite", limit).await;
    let said = world.job(&["run"], &["--json"]).expect(65).last();
    assert_eq!(said["error"]["class"], "data", "{said}");
    assert!(world.lying().len() <= 2);
    // The default.
    let none = World::things("sqlite", "sqlite", json!({ "quarantine": null })).await;
    none.job(&["run"], &["--json"]).expect(65);
    assert_eq!(none.lying(), keys([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_for_people_too_and_may_leave_the_keys_out() {
    let world = World::things("sqlite", "sqlite", json!({})).await;
    world.run();
    let said = world.job(&["replay", "--list"], &[]).expect(0).stdout;
    assert!(said.contains("aside/things: key [\"12\"]"), "{said}");
    assert!(said.contains("attempts 1, first 20") && said.contains("3 rows"), "{said}");
    let said = world.job(&["replay", "--list"], &["--without-keys"]).expect(0).stdout;
    assert!(!said.contains("12\""), "{said}");
    let said = world.job(&["replay", "--list"], &["--without-keys", "--json"]).expect(0);
    assert!(said.objects().iter().all(|one| one.get("key").is_none()), "{said:?}");
    let shown = world.job(&["state", "show"], &[]).expect(0).stdout;
    assert!(shown.contains("3 rows in the quarantine"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_every_run_reads_all_rows_there_is_nothing_to_replay() {
    let world = World::things("sqlite", "sqlite", json!({ "mode": "replace" })).await;
    let said = world.job(&["replay"], &["--json"]).expect(64).last();
    let told = said["error"]["message"].as_str().unwrap();
    assert!(told.contains("replace"), "{told}");
}
