//! `etl-job demo`.

use serde_json::Value;

use super::{Demo, demo_in};
use crate::support::binary::run;

#[test]
fn the_demo_loads_changes_and_proves_that_both_sides_are_equal() {
    let dir = tempfile::tempdir().unwrap();
    let said = demo_in(&dir.path().join("demo")).expect(0);
    let objects = said.objects();
    let runs: Vec<_> = objects.iter().filter(|one| one.get("outcome").is_some()).collect();
    assert_eq!(runs.len(), 2);
    let (first, second) = (runs[0], runs[1]);
    assert_eq!(first["outcome"], "success");
    assert_eq!(first["read"], 2000);
    assert_eq!(first["checkpoint_from"], Value::Null);
    // 2 new, 2 changed, 2 entered the filter, 1 late; 2 left it.
    assert_eq!((&second["written"], &second["deleted"]), (&7.into(), &2.into()));
    assert_eq!(second["checkpoint_from"], first["checkpoint_to"]);
    let last = said.last();
    assert_eq!((&last["event"], &last["verified"]), (&"demo".into(), &true.into()));
    assert_eq!(last["source_rows"], last["target_rows"]);
    assert_eq!(last["source_checksum"], last["target_checksum"]);
    assert_eq!(last["orders"], 2003);
    assert_eq!(last["source_checksum"].as_str().unwrap().len(), 64);
}

#[test]
fn the_demo_is_the_same_for_everybody() {
    let dir = tempfile::tempdir().unwrap();
    let sum =
        |name: &str| demo_in(&dir.path().join(name)).expect(0).last()["source_checksum"].clone();
    let one = sum("one");
    assert_eq!(one, sum("two"));
    // Once more in the same folder begins anew.
    assert_eq!(one, sum("one"));
}

#[tokio::test]
async fn what_the_demo_leaves_can_be_changed_and_run_by_hand() {
    let demo = Demo::new();
    let again = demo.run().expect(0).last();
    assert_eq!((&again["outcome"], &again["written"]), (&"success".into(), &0.into()));
    sqlx::query("UPDATE orders SET status = 'cancelled' WHERE id IN (SELECT id FROM orders WHERE status = 'confirmed' LIMIT 3)")
        .execute(&mut demo.source().await)
        .await
        .unwrap();
    let after = demo.run().expect(0).last();
    assert_eq!((&after["written"], &after["deleted"]), (&0.into(), &3.into()));
    let (source, target) = demo.contents().await;
    assert_eq!(source, target);
}

#[test]
fn a_folder_that_is_not_the_demos_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("other.txt"), "x").unwrap();
    let said = demo_in(dir.path()).expect(64);
    assert!(said.stderr.contains("it is not empty and not from a demo"), "{said:?}");
}

#[test]
fn people_get_words_and_what_to_do_next() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("demo");
    let said = run(&["demo", "--rows", "50", "--dir", path.to_str().unwrap()]).expect(0);
    for part in ["verified: both sides are equal", "etl-job run ", "sqlite3 ", "success in"] {
        assert!(said.stdout.contains(part), "{part}: {}", said.stdout);
    }
}
