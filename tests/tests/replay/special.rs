//! `on_special: quarantine`: values that no target could hold put their rows aside at the source.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::world::{World, create, insert};

const COLUMNS: &str = "id, note, d, day, at, t, n";

/// Rows 2 to 7 each have one value without a form; row 8 has one and does not pass the filter.
const ROWS: [&str; 9] = [
    "1, 'in', 1, '2024-01-01', '2024-01-01', '10:00', 1",
    "2, 'in', 'NaN', '2024-01-01', '2024-01-01', '10:00', 1",
    "3, 'in', 1, 'infinity', '2024-01-01', '10:00', 1",
    "4, 'in', 1, '2024-01-01', '0044-03-15 BC', '10:00', 1",
    "5, 'in', 1, '2024-01-01', '2024-01-01', '24:00', 1",
    "6, 'in', 1, '2024-01-01', '2024-01-01', '10:00', 123456789.12",
    "7, 'in', 1, '2024-01-01', '2024-01-01', '10:00', 1.234567",
    "8, 'out', 'NaN', '2024-01-01', '2024-01-01', '10:00', 1",
    "9, 'in', 1, '2024-01-01', '2024-01-01', '10:00', 1",
];

async fn odd(to: &str, config: Value) -> World {
    let mut world = World::empty("postgres", to).await;
    let columns = "id bigint PRIMARY KEY, note varchar(40), d double precision, day date, \
                   at timestamp, t time, n numeric";
    let mut sql = create("postgres", "odd", columns, "");
    for (number, values) in (1..).zip(ROWS) {
        sql += &insert("postgres", "odd", COLUMNS, values, number);
    }
    world.source.execute(&sql).await;
    let select: Vec<_> = COLUMNS.split(", ").chain(["updated_at"]).collect();
    let mut stream = json!({
        "select": select, "where": "note = 'in'", "columns": { "n": "decimal(10,2)" },
    });
    stream.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
    world.stream("odd", stream);
    world.write();
    world.job(&["prepare"], &[]).expect(0);
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn values_without_a_form_put_their_rows_aside_and_the_others_go_on() {
    for to in ["mssql", "postgres", "sqlite"] {
        let world = odd(to, json!({ "on_special": "quarantine" })).await;
        let run = world.run();
        assert_eq!((&run["written"], &run["quarantined"]), (&json!(2), &json!(6)), "{to}: {run}");
        let list = world.job(&["replay", "--list"], &["--json"]).expect(0);
        assert!(!list.stdout.contains("123456789"), "{to}: {}", list.stdout);
        let reasons: BTreeMap<String, (String, String)> = list
            .objects()
            .iter()
            .map(|one| {
                let text = |key: &str| one[key].as_str().unwrap().to_owned();
                (one["key"][0].as_str().unwrap().to_owned(), (text("column"), text("reason")))
            })
            .collect();
        for (key, column, reason) in [
            ("2", "d", "is NaN"),
            ("3", "day", "is infinity"),
            ("4", "at", "is a date before 0001-01-01"),
            ("5", "t", "is the time 24:00"),
            ("6", "n", "has more digits before the point"),
            ("7", "n", "has more digits after the point"),
        ] {
            let (found, why) = &reasons[key];
            assert_eq!(found, column, "{to}: {why}");
            assert!(why.contains(reason), "{to}: {why}");
        }
        let replayed = world.replay();
        assert_eq!((&replayed["read"], &replayed["quarantined"]), (&json!(6), &json!(6)), "{to}");
        assert!(world.lying().values().all(|attempts| *attempts == 2), "{to}");

        // One is corrected, and one so that its cursor does not show it.
        let silently = "SET session_replication_role = replica; \
                        UPDATE odd SET day = '2024-06-01' WHERE id = 3;";
        world.source.execute(silently).await;
        world.source.execute("UPDATE odd SET d = 2 WHERE id = 2").await;
        let replayed = world.replay();
        assert_eq!(
            (&replayed["written"], &replayed["quarantined"]),
            (&json!(1), &json!(4)),
            "{to}"
        );
        assert_eq!(world.run()["written"], 1, "{to}");
        let left: Vec<_> = world.lying().into_keys().collect();
        assert_eq!(left, ["[\"4\"]", "[\"5\"]", "[\"6\"]", "[\"7\"]"], "{to}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_word_may_be_said_for_single_columns() {
    let world = odd("sqlite", json!({ "on_special_columns": { "d": "quarantine" } })).await;
    let said = world.job(&["run"], &["--json"]).expect(65).last();
    assert!(said["error"]["message"].as_str().unwrap().contains("column day"), "{said}");
    world.source.execute("DELETE FROM odd WHERE id BETWEEN 3 AND 7").await;
    assert_eq!(world.run()["quarantined"], 1);
    assert_eq!(world.lying().into_keys().collect::<Vec<_>>(), ["[\"2\"]"]);
}

/// A file of SQLite may hold anything in any column.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_file_holds_beside_its_columns_types_is_put_aside() {
    let mut world = World::empty("sqlite", "postgres").await;
    let mut sql = create(
        "sqlite",
        "odd",
        "id INTEGER PRIMARY KEY, note VARCHAR(40), n INT4, d DATE_TEXT",
        "",
    );
    for (number, values) in (1..).zip([
        "1, 'in', 1, '2024-01-01'",
        "2, 'in', 'two', '2024-01-01'",
        "3, 'in', 4294967296, '2024-01-01'",
        "4, 'in', 1, 'yesterday'",
        // Does not pass the filter, whatever else it holds.
        "5, 'out', 'five', '2024-01-01'",
        // Nobody can tell whether it passes.
        "6, X'00', 1, '2024-01-01'",
        "7, 'in', 1, NULL",
    ]) {
        sql += &insert("sqlite", "odd", "id, note, n, d", values, number);
    }
    world.source.execute(&sql).await;
    let config = json!({
        "select": ["id", "note", "n", "d", "updated_at"], "where": "note = 'in'",
        "on_special": "quarantine",
    });
    world.stream("odd", config);
    world.write();
    world.job(&["prepare"], &[]).expect(0);
    let run = world.run();
    assert_eq!((&run["written"], &run["quarantined"]), (&json!(2), &json!(4)), "{run}");
    let keys: Vec<_> = world.lying().into_keys().collect();
    assert_eq!(keys, ["[\"2\"]", "[\"3\"]", "[\"4\"]", "[\"6\"]"]);
    // Without the trigger, so that no sweep reads them again.
    let silently = "DROP TRIGGER odd_touched; UPDATE odd SET n = 2, note = 'in' WHERE id IN (2, 6);
                    UPDATE odd SET n = 3, note = 'out' WHERE id = 3;";
    world.source.execute(silently).await;
    let replayed = world.replay();
    assert_eq!(
        (&replayed["written"], &replayed["quarantined"]),
        (&json!(2), &json!(1)),
        "{replayed}"
    );
    assert_eq!(world.lying().into_keys().collect::<Vec<_>>(), ["[\"4\"]"]);
}
