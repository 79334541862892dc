//! Each type, its ends, NULL, and what has no form in a target: lossless or loud.

use std::collections::BTreeMap;

use etl_core::Class;
use etl_core::schema::meta;
use etl_core::testing::canonical;
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

/// Type, declaration, Arrow type, literals and their text; NULL is tried with every type.
type Carried =
    (&'static str, Option<&'static str>, &'static str, &'static [(&'static str, &'static str)]);

const CARRIED: &[Carried] = &[
    ("smallint", None, "Int16", &[("-32768", "-32768"), ("32767", "32767")]),
    ("integer", None, "Int32", &[("-2147483648", "-2147483648"), ("2147483647", "2147483647")]),
    (
        "bigint",
        None,
        "Int64",
        &[
            ("-9223372036854775808", "-9223372036854775808"),
            ("9223372036854775807", "9223372036854775807"),
        ],
    ),
    (
        "real",
        None,
        "Float32",
        &[
            ("'1.17549435e-38'", "1.1754944e-38"),
            ("'-0'", "-0.0"),
            ("3.4028235e38", "3.4028235e38"),
        ],
    ),
    (
        "double precision",
        None,
        "Float64",
        &[
            ("5e-324", "5e-324"),
            ("0.1", "0.1"),
            ("-1.7976931348623157e308", "-1.7976931348623157e308"),
        ],
    ),
    (
        "numeric(38,9)",
        None,
        "Decimal128(38, 9)",
        &[
            (
                "-99999999999999999999999999999.999999999",
                "-99999999999999999999999999999.999999999",
            ),
            ("0.000000001", "0.000000001"),
            ("0", "0.000000000"),
        ],
    ),
    (
        "numeric(38,38)",
        None,
        "Decimal128(38, 38)",
        &[("0.00000000000000000000000000000000000001", "0.00000000000000000000000000000000000001")],
    ),
    ("numeric(1)", None, "Decimal128(1, 0)", &[("-9", "-9"), ("9", "9")]),
    (
        "numeric",
        Some("decimal(18,4)"),
        "Decimal128(18, 4)",
        &[("12345678901234.5678", "12345678901234.5678"), ("1.50000000", "1.5000")],
    ),
    (
        "numeric",
        Some("nvarchar(200)"),
        "Utf8",
        &[("'NaN'", "NaN"), ("1e40", "10000000000000000000000000000000000000000")],
    ),
    ("numeric(3,5)", Some("decimal(5,5)"), "Decimal128(5, 5)", &[("0.00999", "0.00999")]),
    ("numeric(5,-2)", Some("decimal(7,0)"), "Decimal128(7, 0)", &[("12345", "12300")]),
    ("boolean", None, "Boolean", &[("true", "true"), ("false", "false")]),
    ("text", None, "Utf8", &[("''", ""), ("E'\\u00e4\\U0001F600\\n\\\\N'", "ä😀\n\\N")]),
    ("varchar(3)", None, "Utf8", &[("'a b'", "a b"), ("'😀😀 '", "😀😀 ")]),
    ("varchar", Some("varchar(40)"), "Utf8", &[("'x'", "x")]),
    ("char(5)", None, "Utf8", &[("'ab'", "ab"), ("' a'", " a"), ("''", "")]),
    ("bytea", None, "Binary", &[("'\\x00ff'", "00ff"), ("''", "")]),
    (
        "date",
        None,
        "Date32",
        &[
            ("'0001-01-01'", "0001-01-01"),
            ("'9999-12-31'", "9999-12-31"),
            ("'2024-02-29'", "2024-02-29"),
        ],
    ),
    (
        "timestamp",
        None,
        "Timestamp(µs)",
        &[
            ("'0001-01-01 00:00:00'", "0001-01-01T00:00:00.000000Z"),
            ("'9999-12-31 23:59:59.999999'", "9999-12-31T23:59:59.999999Z"),
        ],
    ),
    (
        "timestamptz",
        None,
        "Timestamp(µs, \"UTC\")",
        &[
            ("'0001-01-01 00:00:00Z'", "0001-01-01T00:00:00.000000Z"),
            ("'9999-12-31 23:59:59.999999Z'", "9999-12-31T23:59:59.999999Z"),
            ("'2024-03-31 02:30:00+02'", "2024-03-31T00:30:00.000000Z"),
        ],
    ),
    (
        "timestamptz(3)",
        Some("datetimeoffset(3)"),
        "Timestamp(µs, \"UTC\")",
        &[("'2024-01-01 00:00:00.1234Z'", "2024-01-01T00:00:00.123000Z")],
    ),
    (
        "time",
        None,
        "Time64(µs)",
        &[("'00:00'", "00:00:00"), ("'23:59:59.999999'", "23:59:59.999999")],
    ),
    (
        "uuid",
        None,
        "FixedSizeBinary(16)",
        &[("'00112233-4455-6677-8899-aabbccddeeff'", "00112233445566778899aabbccddeeff")],
    ),
    ("json", None, "Utf8", &[("'{\"a\" : 1.0}'", "{\"a\" : 1.0}"), ("'null'", "null")]),
    ("jsonb", None, "Utf8", &[("'{\"b\":1,  \"a\":[1]}'", "{\"a\": [1], \"b\": 1}")]),
    ("int[]", None, "Utf8", &[("'{1,NULL,3}'", "{1,NULL,3}"), ("'{}'", "{}")]),
    ("text[]", None, "Utf8", &[("ARRAY['a,b', 'c\"d']", "{\"a,b\",\"c\\\"d\"}")]),
    ("mood", None, "Utf8", &[("'happy'", "happy")]),
    ("short_text", None, "Utf8", &[("'abc'", "abc")]),
    ("price", None, "Decimal128(10, 2)", &[("12.34", "12.34")]),
    (
        "interval",
        Some("text"),
        "Utf8",
        &[("'1 year 2 days 03:04:05.6'", "1 year 2 days 03:04:05.6")],
    ),
    ("inet", Some("varchar(50)"), "Utf8", &[("'10.0.0.0/8'", "10.0.0.0/8")]),
    ("int4range", Some("text"), "Utf8", &[("'[1,5)'", "[1,5)")]),
    ("money", Some("text"), "Utf8", &[("'12.34'", "$12.34")]),
    ("timetz", Some("text"), "Utf8", &[("'10:00+02'", "10:00:00+02")]),
    ("bit varying(8)", Some("text"), "Utf8", &[("B'101'", "101")]),
    ("xml", Some("text"), "Utf8", &[("'<a/>'", "<a/>")]),
    ("point", Some("nvarchar(max)"), "Utf8", &[("'(1,2)'", "(1,2)")]),
];

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
async fn every_type_is_carried_from_end_to_end_of_its_range() {
    let database = typed_database().await;
    for (index, (kind, declared, arrow, values)) in CARRIED.iter().enumerate() {
        let trial = table(&database, &format!("t{index}"), kind).await;
        let mut expected = BTreeMap::from([("0".to_owned(), None)]);
        trial.execute(&format!("INSERT INTO t{index} VALUES (0, NULL)")).await;
        for (id, (literal, text)) in values.iter().enumerate() {
            let id = id + 1;
            trial.execute(&format!("INSERT INTO t{index} VALUES ({id}, {literal})")).await;
            expected.insert(id.to_string(), Some((*text).to_owned()));
        }
        let source = trial.source(select_v(*declared));
        let schema = source.schema().await.unwrap();
        let field = schema.schema.field_with_name("v").unwrap();
        assert_eq!(field.data_type().to_string(), *arrow, "{kind}");
        let mut found = BTreeMap::new();
        for batch in sweep(&source, None, WIDE).await.unwrap() {
            assert_eq!(batch.changes.records().schema(), schema.schema, "{kind}");
            for row in canonical(batch.changes.records()).unwrap() {
                found.insert(row["id"].clone().unwrap(), row["v"].clone());
            }
        }
        assert_eq!(found, expected, "{kind}");
    }
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

/// Type, declaration, literal, a word of the message.
const SPECIAL: &[(&str, Option<&str>, &str, &str)] = &[
    ("numeric(10,2)", None, "'NaN'", "NaN"),
    ("numeric", Some("decimal(10,2)"), "'Infinity'", "infinity"),
    ("real", None, "'NaN'", "NaN"),
    ("double precision", None, "'-Infinity'", "infinity"),
    ("date", None, "'infinity'", "infinity"),
    ("date", None, "'0001-12-31 BC'", "before 0001-01-01"),
    ("date", None, "'10000-01-01'", "after 9999-12-31"),
    ("timestamp", None, "'-infinity'", "infinity"),
    ("timestamp", None, "'4713-01-01 BC'", "before 0001-01-01"),
    ("timestamptz", None, "'294276-12-31 23:59:59.999999Z'", "after 9999-12-31"),
    ("time", None, "'24:00'", "24:00"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_value_without_a_form_stops_the_run_or_becomes_null_as_configured() {
    let database = typed_database().await;
    for (index, (kind, declared, literal, word)) in SPECIAL.iter().enumerate() {
        let trial = table(&database, &format!("t{index}"), kind).await;
        trial.execute(&format!("INSERT INTO t{index} VALUES (7, {literal})")).await;
        let error = sweep_error(&trial.source(select_v(*declared)), None).await;
        let text = error.to_string();
        assert_eq!(error.class(), Class::Data, "{kind} {literal}: {text}");
        for part in ["trial/", "column v", "(id = 7)", word, "on_special: null"] {
            assert!(text.contains(part), "{kind} {literal}: no {part} in {text}");
        }
        let null = trial.source(|config| {
            select_v(*declared)(config);
            config["on_special"] = json!("null");
        });
        let batches = sweep(&null, None, WIDE).await.unwrap();
        assert_eq!(canonical(batches[0].changes.records()).unwrap()[0]["v"], None, "{kind}");
        trial.execute(&format!("ALTER TABLE t{index} ALTER v SET NOT NULL")).await;
        let null = trial.source(|config| {
            select_v(*declared)(config);
            config["on_special"] = json!("null");
        });
        let error = sweep_error(&null, None).await;
        assert!(error.to_string().contains("NOT NULL"), "{kind}: {error}");
    }
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
