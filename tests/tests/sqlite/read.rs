//! What a sweep reads, and what it refuses.

use etl_core::connector::Stream;
use etl_core::{BatchLimits, Class};
use serde_json::json;

use super::{File, rows, stream, sweep};

fn limits(rows: usize) -> BatchLimits {
    BatchLimits { rows, bytes: 1 << 20 }
}

fn orders(select: &[&str]) -> Stream {
    stream(json!({
        "object": "orders", "primary_key": ["id"], "cursor": { "column": "changed" },
        "select": select,
    }))
}

#[tokio::test]
async fn rows_of_one_second_with_any_key_resume_after_each_row() {
    let file = File::with(
        "CREATE TABLE orders (
           region TEXT COLLATE NOCASE NOT NULL, code BLOB NOT NULL, n INT NOT NULL,
           changed DATETIME NOT NULL);
         CREATE UNIQUE INDEX by_key ON orders (region COLLATE BINARY, code, n);
         CREATE INDEX by_changed ON orders (changed);
         INSERT INTO orders
         SELECT r.value, CAST(c.value AS BLOB), n.value, '2026-01-02 03:04:0' || (n.value = 2)
         FROM json_each('[\"a\", \"A\", \"é\", \"\", \"z''\"]') AS r,
              json_each('[\"\", \"x\", \"xy\"]') AS c, json_each('[-1, 2, 3]') AS n",
    )
    .await;
    let stream = stream(json!({
        "object": "orders", "primary_key": ["region", "code", "n"],
        "cursor": { "column": "changed" }, "select": ["n", "region", "code", "changed"],
    }));
    let source = file.source(&stream);
    let whole = sweep(&*source, None, limits(1)).await.unwrap();
    assert_eq!(rows(&whole), 45);
    let mut at = None;
    for (index, batch) in whole.iter().take(45).enumerate() {
        let rest = sweep(&*source, at, limits(7)).await.unwrap();
        assert_eq!(rows(&rest), 45 - index, "after {index} batches");
        at = Some(batch.position.clone());
    }
}

#[tokio::test]
async fn a_table_that_changes_between_description_and_sweep_stops_the_run() {
    let file = File::with(
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT, changed DATETIME NOT NULL);
         CREATE INDEX by_changed ON orders (changed)",
    )
    .await;
    let source = file.source(&orders(&["id", "note", "changed"]));
    source.schema().await.unwrap();
    file.run("ALTER TABLE orders DROP COLUMN note; ALTER TABLE orders ADD COLUMN note INTEGER")
        .await;
    let error = sweep(&*source, None, limits(10)).await.unwrap_err();
    assert_eq!(error.class(), Class::Schema, "{error}");
}

async fn refusal(statements: &str) -> etl_core::Error {
    let file = File::with(statements).await;
    let source = file.source(&orders(&["id", "amount", "changed"]));
    match source.schema().await {
        Err(error) => error,
        Ok(_) => sweep(&*source, None, limits(10)).await.unwrap_err(),
    }
}

#[tokio::test]
async fn what_cannot_be_read_exactly_is_refused_with_what_to_change() {
    let columns = "id INTEGER PRIMARY KEY, amount DECIMAL_TEXT(9,2), changed DATETIME NOT NULL";
    let index = "CREATE INDEX by_changed ON orders (changed)";
    let table = format!("CREATE TABLE orders ({columns}); {index};");
    let cases: [(&str, String, Class, &str); 10] = [
        ("no table", "CREATE TABLE other (id)".into(), Class::Schema, "no table orders"),
        ("no column", table.replace("amount", "amnt"), Class::Schema, "did you mean amnt?"),
        ("no key", table.replace(" PRIMARY KEY", ""), Class::Config, "CREATE UNIQUE INDEX"),
        ("no index", table.replace(index, ""), Class::Config, "CREATE INDEX"),
        ("nullable cursor", table.replace(" NOT NULL", ""), Class::Config, "cursor.nullable"),
        (
            "a partial index",
            table.replace("(changed);", "(changed) WHERE id > 5;"),
            Class::Config,
            "CREATE INDEX",
        ),
        ("a bare numeric", table.replace("DECIMAL_TEXT(9,2)", "NUMERIC"), Class::Schema, "amount"),
        ("an integer cursor", table.replace("DATETIME", "INTEGER"), Class::Config, "cursor.column"),
        (
            "too many digits",
            format!("{table} INSERT INTO orders VALUES (7, '1.005', '2026-01-02 03:04:05')"),
            Class::Data,
            "column amount, row id=7",
        ),
        (
            "a cursor that is no time",
            format!("{table} INSERT INTO orders VALUES (7, '1.00', 'yesterday')"),
            Class::Data,
            "changed",
        ),
    ];
    for (what, statements, class, says) in cases {
        let error = refusal(&statements).await;
        assert_eq!(error.class(), class, "{what}: {error:?}");
        assert!(error.to_string().contains(says), "{what}: {error}");
    }
}

#[tokio::test]
async fn a_numeric_column_is_read_as_long_as_floats_are_exact() {
    let table = |values: &str| {
        format!(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, amount NUMERIC(17,2), changed DATETIME \
             NOT NULL); CREATE INDEX by_changed ON orders (changed); INSERT INTO orders SELECT \
             key, value, '2026-01-02 03:04:05' FROM json_each('{values}')"
        )
    };
    let file = File::with(&table("[\"1.10\", 7, 1234567890123.45, null]")).await;
    let source = file.source(&orders(&["id", "amount", "changed"]));
    let batches = sweep(&*source, None, limits(10)).await.unwrap();
    let rows = etl_core::testing::canonical(batches[0].changes.records()).unwrap();
    let amounts: Vec<_> = rows.iter().map(|row| row["amount"].as_deref()).collect();
    assert_eq!(amounts, [Some("1.10"), Some("7.00"), Some("1234567890123.45"), None]);
    for inexact in ["[12345678901234.56]", "[0.125]", "[1e30]"] {
        let error = refusal(&table(inexact)).await;
        assert_eq!(error.class(), Class::Data, "{inexact}: {error}");
    }
}

#[tokio::test]
async fn a_missing_file_is_a_wrong_setting() {
    let file = File::new();
    let source = file.source(&orders(&["id", "changed"]));
    assert_eq!(source.schema().await.unwrap_err().class(), Class::Config);
    assert!(!source.check().await.unwrap()[0].ok);
    assert!(!file.path.exists(), "reading made a file");
}
