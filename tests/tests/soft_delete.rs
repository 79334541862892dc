//! Rows that leave are marked, by every target, from every source; and targets in which they could
//! not be marked are refused.

use std::collections::BTreeMap;

use etl_core::connector::{FilterExit, Stream};
use etl_core::testing::CanonicalRow;
use etl_core::{Class, StreamSchema};
use serde_json::json;

use crate::matrix::{TARGETS, prepared, run, sources};
use crate::support::side::Side;

const LEFT: &str = "_deleted_at IS NOT NULL";
const THERE: &str = "_deleted_at IS NULL";

/// When each marked row left, as the target shows it.
async fn marks(target: &Side) -> BTreeMap<String, String> {
    let marks =
        "SELECT CAST(id AS varchar(20)), CAST(_deleted_at AS varchar(40)) FROM orders WHERE";
    let rows = target.cells(&format!("{marks} {LEFT}")).await;
    rows.into_iter().map(|row| (row[0].clone().unwrap(), row[1].clone().unwrap())).collect()
}

async fn equal(source: &Side, target: &Side, what: &str) {
    let (wanted, found) = (source.rows("status = 'confirmed'").await, target.rows(THERE).await);
    assert!(!wanted.is_empty());
    assert_eq!(found.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>(), "{what}");
    for (id, wanted) in &wanted {
        assert_eq!(found.get(id), Some(wanted), "{what}: row {id}");
    }
}

async fn pair(from: &str, to: &str) {
    let more = json!({ "on_filter_exit": "soft_delete" });
    let (source, target, stream) = prepared(from, to, more).await;
    let what = |step: &str| format!("{from} to {to}, {step}");
    assert_eq!(run(&source, &target, &stream).await.written, 166 + 6, "{from} to {to}");
    equal(&source, &target, &what("the first load")).await;
    let carried = target.rows("1 = 1").await;

    // 1 and 4 were never in the target.
    source.execute("UPDATE orders SET status = 'cancelled' WHERE id IN (1, 3, 4, 6, 1000)").await;
    let left = run(&source, &target, &stream).await;
    assert_eq!((left.deleted, left.written), (3, 0), "{}: {left:?}", what("three leave"));
    equal(&source, &target, &what("three leave")).await;
    let kept: BTreeMap<String, CanonicalRow> = target.rows(LEFT).await;
    assert_eq!(kept.keys().collect::<Vec<_>>(), ["1000", "3", "6"]);
    assert!(kept.iter().all(|(id, row)| carried.get(id) == Some(row)), "{}", what("content"));
    let first = marks(&target).await;

    // Row 6 comes back as it was; row 3 leaves again, row 9 for the first time.
    source.execute("UPDATE orders SET status = 'cancelled' WHERE id IN (3, 9)").await;
    source.execute("UPDATE orders SET status = 'confirmed' WHERE id = 6").await;
    let again = run(&source, &target, &stream).await;
    assert_eq!((again.deleted, again.written), (1, 1), "{}: {again:?}", what("again"));
    equal(&source, &target, &what("again")).await;
    let second = marks(&target).await;
    assert_eq!(second.keys().collect::<Vec<_>>(), ["1000", "3", "9"], "{}", what("again"));
    assert_eq!((&second["3"], &second["1000"]), (&first["3"], &first["1000"]), "{}", what("times"));
    assert!(second["9"] > second["3"], "{}: {second:?}", what("times"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_left_is_marked_on_every_pair_by_content() {
    for from in sources().await {
        for to in TARGETS {
            pair(from, to).await;
        }
    }
}

/// A target prepared for deletes: without the column.
async fn without_the_column(to: &str) -> (Side, Stream, StreamSchema) {
    let (source, target, mut stream) = prepared("sqlite", to, json!({})).await;
    let schema = source.schema(&stream).await;
    stream.config.on_filter_exit = Some(FilterExit::SoftDelete);
    (target, stream, schema)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_cannot_be_marked_is_refused_with_what_to_change() {
    for to in TARGETS {
        let (target, stream, schema) = without_the_column(to).await;
        let refused = async |told: &str| {
            for error in [
                target.sink(&stream).open(&schema).await.unwrap_err(),
                target.admin(&stream).prepare(&schema).await.unwrap_err(),
            ] {
                assert_eq!(error.class(), Class::Schema, "{to}: {error}");
                let text = error.to_string().to_lowercase();
                assert!(text.contains(&told.to_lowercase()), "{to}: {told} is not in {text}");
            }
        };
        refused("_deleted_at, in which rows that leave are marked, is missing").await;
        let (time, table, default) = match *to {
            "mssql" => ("datetime2(6)", "dbo.orders", ""),
            "postgres" => ("timestamptz", "public.orders", ""),
            _ => ("TIMESTAMPTZ_TEXT", "orders", "DEFAULT ''"),
        };
        let add = |what: &str| format!("ALTER TABLE {table} ADD _deleted_at {what}");
        target.execute(&add(&format!("{time} NOT NULL {default}"))).await;
        refused("NOT NULL; it must").await;
        let drop = format!("ALTER TABLE {table} DROP COLUMN _deleted_at");
        target.execute(&drop).await;
        target.execute(&add("int")).await;
        refused("_deleted_at, in which rows that leave are marked, is int").await;
        target.execute(&drop).await;

        // What the message says can be done, as it stands there.
        let error = target.sink(&stream).open(&schema).await.unwrap_err().to_string();
        let (_, advice) = error.split_once("is missing; ").unwrap();
        target.execute(advice.split_once(". ").unwrap().0).await;
        target.sink(&stream).open(&schema).await.unwrap();
        assert!(target.admin(&stream).check(&schema).await.unwrap().iter().all(|found| found.ok));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_with_the_name_of_a_column_is_refused() {
    for to in TARGETS {
        let (target, mut stream, schema) = without_the_column(to).await;
        stream.config.soft_delete = serde_json::from_value(json!({ "column": "NAME" })).unwrap();
        let error = target.sink(&stream).open(&schema).await.unwrap_err();
        assert_eq!(error.class(), Class::Config, "{to}: {error}");
        assert!(error.to_string().contains("the stream fills a column name"), "{to}: {error}");
        assert!(target.admin(&stream).plan(&schema).is_err(), "{to}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_default_of_the_column_marks_no_new_row() {
    for to in TARGETS {
        let (target, stream, _) = without_the_column(to).await;
        let add = match *to {
            "mssql" => {
                "ALTER TABLE dbo.orders ADD _deleted_at datetime2(6) NULL DEFAULT SYSUTCDATETIME()"
            }
            "postgres" => "ALTER TABLE public.orders ADD _deleted_at timestamptz DEFAULT now()",
            _ => {
                "ALTER TABLE orders ADD _deleted_at TIMESTAMPTZ_TEXT DEFAULT '2026-01-01T00:00:00Z'"
            }
        };
        target.execute(add).await;
        let (source, _, _) = prepared("sqlite", "sqlite", json!({})).await;
        assert_eq!(run(&source, &target, &stream).await.written, 166 + 6, "{to}");
        equal(&source, &target, to).await;
    }
}
