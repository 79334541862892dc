//! What a column means, and what is said of those that need a declaration. Every type, value by
//! value, is in `types`.

use etl_core::Class;
use etl_core::schema::meta;
use etl_tests::postgres::Database;
use serde_json::{Value, json};

use super::support::{Trial, WIDE, sweep, sweep_error};

/// A table with one column `v` of a type.
async fn table(database: &Database, name: &str, kind: &str) -> Trial {
    let columns = format!("id int PRIMARY KEY, v {kind}");
    Trial::create(database.clone(), name, &columns).await
}

fn select_v(declared: Option<&str>) -> impl Fn(&mut Value) {
    let declared = declared.map(str::to_owned);
    move |config| {
        config["select"] = json!(["id", "v", "updated_at"]);
        if let Some(declared) = &declared {
            config["columns"] = json!({ "v": declared });
        }
    }
}

async fn typed_database() -> Database {
    let database = Database::new().await;
    database
        .execute(
            "CREATE TYPE mood AS ENUM ('sad', 'happy'); \
             CREATE DOMAIN short_text AS varchar(3); CREATE DOMAIN money_base AS numeric(10,2); \
             CREATE DOMAIN price AS money_base CHECK (VALUE >= 0)",
        )
        .await;
    database
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_says_what_its_column_means() {
    let database = typed_database().await;
    let trial = Trial::create(
        database,
        "orders",
        "id uuid PRIMARY KEY, code varchar(7) NOT NULL, flag char(2), short short_text, doc jsonb, \
         tags text[], at timestamp(3), clock time(0), span interval, note text",
    )
    .await;
    let source = trial.source(|config| {
        config["select"] = json!([
            "id",
            "code",
            "flag",
            "short",
            "doc",
            "tags",
            "at",
            "clock",
            "span",
            "note",
            "updated_at"
        ]);
        config["columns"] = json!({ "span": "text", "note": "nvarchar(100)" });
    });
    let schema = source.schema().await.unwrap();
    let get = |column: &str, key: &str| {
        schema.schema.field_with_name(column).unwrap().metadata().get(key).cloned()
    };
    for (column, key, text) in [
        ("id", meta::MEANING, Some("uuid")),
        ("code", meta::MAX_CHARS, Some("7")),
        ("flag", meta::MAX_CHARS, Some("2")),
        ("short", meta::MAX_CHARS, Some("3")),
        ("short", meta::SOURCE_TYPE, Some("public.short_text")),
        ("doc", meta::MEANING, Some("json")),
        ("tags", meta::MEANING, Some("array")),
        ("at", meta::FRACTION, Some("3")),
        ("clock", meta::FRACTION, Some("0")),
        ("span", meta::MEANING, Some("text")),
        ("note", meta::MAX_UNITS, Some("100")),
        ("note", meta::MAX_CHARS, None),
        ("updated_at", meta::FRACTION, None),
    ] {
        assert_eq!(get(column, key).as_deref(), text, "{column} {key}");
    }
    let nullable = |column: &str| schema.schema.field_with_name(column).unwrap().is_nullable();
    assert!(!nullable("code") && !nullable("id") && nullable("flag"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_beyond_its_declaration_stops_the_run_even_where_specials_become_null() {
    let database = Database::new().await;
    let trial = table(&database, "t", "numeric").await;
    for (literal, declared, word) in [
        ("123.45", "decimal(4,2)", "before the point"),
        ("1.234", "decimal(18,2)", "after the point"),
        ("1e38", "decimal(38,0)", "before the point"),
        ("1e-39", "decimal(38,38)", "after the point"),
    ] {
        trial.execute(&format!("TRUNCATE t; INSERT INTO t VALUES (3, {literal})")).await;
        let source = trial.source(|config| {
            select_v(Some(declared))(config);
            config["on_special"] = json!("null");
        });
        let error = sweep_error(&source, None).await;
        assert_eq!(error.class(), Class::Data);
        let text = error.to_string();
        assert!(
            text.contains(word) && text.contains("(id = 3)") && text.contains(declared),
            "{text}"
        );
        assert!(!text.contains(literal), "a value is shown: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_row_needs_a_form_for_its_key_alone() {
    let database = Database::new().await;
    let trial = table(&database, "t", "double precision NOT NULL").await;
    trial.execute("INSERT INTO t VALUES (1, 'NaN'), (2, 5)").await;
    let source = trial.source(|config| {
        select_v(None)(config);
        config["where"] = json!("id > 1");
    });
    let batches = sweep(&source, None, WIDE).await.unwrap();
    let changes = &batches[0].changes;
    assert!(changes.is_delete(0) && !changes.is_delete(1));
    assert_eq!(batches[0].progress.read, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_that_needs_a_declaration_is_refused_with_what_to_write() {
    let database = typed_database().await;
    let trial = table(&database, "n", "numeric").await;
    let schema_error = async |trial: &Trial, declared: Option<&str>| {
        trial.source(select_v(declared)).schema().await.expect_err("an error")
    };
    let error = schema_error(&trial, None).await;
    assert_eq!(error.class(), Class::Schema);
    assert!(error.to_string().contains("holds none yet"), "{error}");
    trial
        .execute("INSERT INTO n VALUES (1, 123456.7), (2, -0.12345), (3, 'NaN'), (4, 'Infinity'), (5, 2.000000000)")
        .await;
    let text = schema_error(&trial, None).await.to_string();
    for part in ["6 digits before the point", "5 after it", "\"decimal(18,5)\""] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    trial.execute("INSERT INTO n VALUES (6, 1e36)").await;
    assert!(schema_error(&trial, None).await.to_string().contains("v: text"));

    let trial = table(&database, "i", "interval").await;
    let error = schema_error(&trial, None).await;
    assert_eq!(error.class(), Class::Schema);
    assert!(error.to_string().contains("columns: { v: text }"), "{error}");
    for (name, kind, declared, word) in [
        ("c1", "interval", "decimal(18,2)", "text"),
        ("c2", "text", "decimal(18,2)", "varchar"),
        ("c3", "integer", "decimal(18,2)", "take the declaration out"),
        ("c4", "timestamptz", "datetime2(3)", "datetimeoffset"),
        ("c5", "timestamp", "datetimeoffset(3)", "datetime2"),
        ("c6", "numeric(10,2)", "time(3)", "decimal"),
        ("c7", "uuid", "text", "take the declaration out"),
        ("c8", "time", "text", "time(f)"),
    ] {
        let trial = table(&database, name, kind).await;
        let error = schema_error(&trial, Some(declared)).await;
        assert_eq!(error.class(), Class::Config, "{kind} as {declared}");
        assert!(error.to_string().contains(word), "{kind} as {declared}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_without_time_zone_is_read_at_its_offset() {
    let trial = Trial::orders().await;
    trial
        .execute(
            "ALTER TABLE orders ALTER updated_at TYPE timestamp USING updated_at AT TIME ZONE 'UTC', \
             ALTER updated_at SET DEFAULT (now() AT TIME ZONE 'Asia/Kolkata'); \
             INSERT INTO orders VALUES (1, 'a')",
        )
        .await;
    let source = trial.source(|config| config["cursor"]["utc_offset"] = json!("+05:30"));
    let first = sweep(&source, None, WIDE).await.unwrap();
    let place = super::support::value(&super::support::end(&first));
    // Just inserted: above the horizon by the guard, not five hours away from it.
    assert_eq!(place["low"], place["h"]);
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let second = sweep(&source, Some(&super::support::end(&first)), WIDE).await.unwrap();
    assert_eq!(second[0].progress.read, 1);
    let third = sweep(&source, Some(&super::support::end(&second)), WIDE).await.unwrap();
    let place = super::support::value(&super::support::end(&third));
    assert!(place["low"].as_str() < place["h"].as_str(), "{place}");
}
