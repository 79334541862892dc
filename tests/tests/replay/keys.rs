//! A key of any kind is found again by the text that the quarantine has of it.

use serde_json::{Value, json};

use super::world::{BAD, World, create, insert, named, narrow, widen};

/// A table with a key, and targets that can have it.
struct Key {
    table: &'static str,
    /// Its columns' definitions; behind a `|` what comes after all columns.
    columns: &'static str,
    /// The key's columns, in the key's order.
    key: &'static [&'static str],
    /// Values of all columns, in the order of `selected`. The first row is the bad one.
    values: &'static [&'static str],
    /// The columns in the order of `select`.
    selected: &'static [&'static str],
    declared: &'static [(&'static str, &'static str)],
    targets: &'static [&'static str],
}

const ALL: &[&str] = &["mssql", "postgres", "sqlite"];

/// A key `id` of one column.
const fn one(
    table: &'static str,
    columns: &'static str,
    values: &'static [&'static str],
    targets: &'static [&'static str],
) -> Key {
    Key { table, columns, key: &["id"], values, selected: &["id"], declared: &[], targets }
}

const POSTGRES: &[Key] = &[
    one("k_small", "id smallint PRIMARY KEY", &["-32768", "1"], ALL),
    one("k_big", "id bigint PRIMARY KEY", &["-9223372036854775808", "9223372036854775807"], ALL),
    one(
        "k_text",
        "id varchar(60) PRIMARY KEY",
        &["'O''Brien \"q\" \\ {🚚, ]%_'", "'o''brien'", "'z'"],
        ALL,
    ),
    one("k_char", "id char(6) PRIMARY KEY", &["'ab'", "'abc'"], ALL),
    one(
        "k_uuid",
        "id uuid PRIMARY KEY",
        &["'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "'00000000-0000-0000-0000-000000000001'"],
        ALL,
    ),
    one("k_bytea", "id bytea PRIMARY KEY", &["'\\x00ff27'", "'\\x'"], &["postgres", "sqlite"]),
    one(
        "k_instant",
        "id timestamptz PRIMARY KEY",
        &["'2024-02-29 10:00:00.123456+02'", "'0001-01-01 00:00:00+00'"],
        ALL,
    ),
    one("k_time", "id timestamp PRIMARY KEY", &["'2024-02-29 10:00:00'", "'9999-12-31'"], ALL),
    one("k_day", "id date PRIMARY KEY", &["'0001-01-01'", "'9999-12-31'"], ALL),
    one("k_number", "id numeric(10,3) PRIMARY KEY", &["-0.005", "1200"], ALL),
    one("k_truth", "id boolean PRIMARY KEY", &["true", "false"], ALL),
    Key {
        table: "k_two",
        columns: "b varchar(20), a integer|, PRIMARY KEY (a, b)",
        key: &["a", "b"],
        values: &["'1', 2", "'2', 1", "'[\"', 2"],
        selected: &["b", "a"],
        declared: &[],
        targets: ALL,
    },
];

const MSSQL: &[Key] = &[
    one("k_tiny", "id tinyint NOT NULL PRIMARY KEY", &["255", "0"], &["sqlite"]),
    one("k_text", "id nvarchar(60) NOT NULL PRIMARY KEY", &["N'O''Brien \"q\" 🚚 ]'", "N'b'"], ALL),
    one("k_code", "id varchar(20) NOT NULL PRIMARY KEY", &["'x''y'", "'z'"], &["postgres"]),
    one("k_char", "id nchar(6) NOT NULL PRIMARY KEY", &["N'ab'", "N'abc'"], &["postgres"]),
    one(
        "k_guid",
        "id uniqueidentifier NOT NULL PRIMARY KEY",
        &["'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "'00000000-0000-0000-0000-000000000001'"],
        ALL,
    ),
    one("k_bytes", "id varbinary(8) NOT NULL PRIMARY KEY", &["0x00FF27", "0x01"], &["sqlite"]),
    Key {
        declared: &[("id", "datetimeoffset(6)")],
        ..one(
            "k_instant",
            "id datetimeoffset(6) NOT NULL PRIMARY KEY",
            &["'2024-02-29T10:00:00.123456+02:00'", "'2024-01-01T00:00:00+00:00'"],
            &["postgres"],
        )
    },
    one(
        "k_time",
        "id datetime2(3) NOT NULL PRIMARY KEY",
        &["'2024-02-29T10:00:00.123'", "'2024-03-01T00:00:00'"],
        &["postgres"],
    ),
    one(
        "k_old",
        "id datetime NOT NULL PRIMARY KEY",
        &["'2024-02-29T10:00:00.003'", "'2024-02-29T10:00:00.007'"],
        &["postgres"],
    ),
    one(
        "k_minute",
        "id smalldatetime NOT NULL PRIMARY KEY",
        &["'2024-02-29T10:01:00'", "'2024-02-29T10:02:00'"],
        &["sqlite"],
    ),
    one("k_day", "id date NOT NULL PRIMARY KEY", &["'2024-02-29'", "'2024-03-01'"], &["sqlite"]),
    one(
        "k_clock",
        "id time(3) NOT NULL PRIMARY KEY",
        &["'10:00:00.123'", "'00:00:00'"],
        &["postgres"],
    ),
    one("k_number", "id decimal(10,3) NOT NULL PRIMARY KEY", &["-0.005", "1200"], &["postgres"]),
    one("k_truth", "id bit NOT NULL PRIMARY KEY", &["1", "0"], &["sqlite"]),
    Key {
        table: "k_two",
        columns: "b nvarchar(20) NOT NULL, a int NOT NULL|, PRIMARY KEY (a, b)",
        key: &["a", "b"],
        values: &["N'1', 2", "N'2', 1"],
        selected: &["b", "a"],
        declared: &[],
        targets: &["postgres"],
    },
];

const SQLITE: &[Key] = &[
    one("k_whole", "id INTEGER PRIMARY KEY", &["-9223372036854775807", "7"], ALL),
    one("k_text", "id VARCHAR(60) PRIMARY KEY NOT NULL", &["'O''Brien \"q\" 🚚'", "'b'"], ALL),
    one(
        "k_uuid",
        "id UUID_TEXT PRIMARY KEY NOT NULL",
        &["'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "X'00000000000000000000000000000001'"],
        ALL,
    ),
    one("k_bytes", "id BLOB PRIMARY KEY NOT NULL", &["X'00FF27'", "X''"], &["postgres"]),
    one(
        "k_instant",
        "id TIMESTAMPTZ_TEXT PRIMARY KEY NOT NULL",
        &["'2024-02-29T10:00:00Z'", "'2024-02-29T10:00:00.5Z'"],
        ALL,
    ),
    one("k_day", "id DATE_TEXT PRIMARY KEY NOT NULL", &["'2024-02-29'", "'2024-03-01'"], ALL),
    one("k_number", "id DECIMAL_TEXT(10,3) PRIMARY KEY NOT NULL", &["'12.5'", "'-0.005'"], ALL),
    one("k_truth", "id BOOLEAN PRIMARY KEY NOT NULL", &["1", "0"], ALL),
    Key {
        table: "k_two",
        columns: "b VARCHAR(20) NOT NULL, a DECIMAL_TEXT(5,2) NOT NULL|, PRIMARY KEY (a, b)",
        key: &["a", "b"],
        values: &["'1', '2'", "'2', '1.50'"],
        selected: &["b", "a"],
        declared: &[],
        targets: ALL,
    },
];

fn config(from: &str, key: &Key) -> Value {
    let cursor = if from == "mssql" { "rv" } else { "updated_at" };
    let select: Vec<_> = key.selected.iter().copied().chain(["note", cursor]).collect();
    let declared: serde_json::Map<_, _> =
        key.declared.iter().map(|(name, kind)| ((*name).to_owned(), json!(kind))).collect();
    json!({ "primary_key": key.key, "select": select, "columns": declared })
}

async fn count(world: &World, table: &str) -> String {
    let side = &world.target;
    let text = if side.kind() == "mssql" { "varchar(20)" } else { "text" };
    let name = named(side.kind(), table);
    let sql = format!("SELECT CAST(COUNT(*) AS {text}) FROM {name}");
    side.cells(&sql).await[0][0].clone().unwrap()
}

async fn found_again(from: &str, to: &str, keys: &[Key]) {
    let mut world = World::empty(from, to).await;
    let keys: Vec<_> = keys.iter().filter(|key| key.targets.contains(&to)).collect();
    let text = if from == "mssql" { "nvarchar(40)" } else { "varchar(40)" };
    for key in &keys {
        let (columns, behind) = key.columns.split_once('|').unwrap_or((key.columns, ""));
        let mut sql = create(from, key.table, &format!("{columns}, note {text}"), behind);
        let columns = format!("{}, note", key.selected.join(", "));
        for (number, values) in (1..).zip(key.values) {
            let note = if number == 1 { BAD } else { "good" };
            sql += &insert(from, key.table, &columns, &format!("{values}, '{note}'"), number);
        }
        world.source.execute(&sql).await;
        world.stream(key.table, config(from, key));
    }
    world.write();
    world.job(&["prepare"], &[]).expect(0);
    for key in &keys {
        world.target.execute(&narrow(to, key.table)).await;
    }
    let told = format!("{from} to {to}");
    let run = world.run();
    assert_eq!(run["quarantined"], keys.len(), "{told}: {run}");
    for key in &keys {
        world.target.execute(&widen(to, key.table)).await;
    }
    // Of all streams of the file, at once.
    let replayed = world.replay();
    assert_eq!(replayed["replayed"], keys.len(), "{told}: {replayed}");
    assert_eq!(replayed["written"], keys.len(), "{told}: {replayed}");
    let said = world.job(&["replay", "--list"], &["--json"]).expect(0);
    assert_eq!(said.stdout, "", "{told}");
    for key in &keys {
        let rows = count(&world, key.table).await;
        assert_eq!(rows, key.values.len().to_string(), "{told}: {}", key.table);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_every_kind_of_postgres_is_found_again() {
    for to in ALL {
        found_again("postgres", to, POSTGRES).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_every_kind_of_sql_server_is_found_again() {
    for to in ALL {
        found_again("mssql", to, MSSQL).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_every_kind_of_sqlite_is_found_again() {
    for to in ALL {
        found_again("sqlite", to, SQLITE).await;
    }
}
