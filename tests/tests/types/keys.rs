//! Keys: lengths, blanks at the end, letter case, and every type that can be one.

use etl_core::{Class, Error};
use serde_json::json;

use super::TARGETS;
use super::carry::{place, run, stream};
use crate::support::side::Side;

struct Keyed<'a> {
    from: &'a Side,
    to: &'a Side,
    name: String,
    kind: &'a str,
    columns: serde_json::Value,
}

impl Keyed<'_> {
    /// Carries rows with these keys; gives how many there are.
    async fn carry(&self, keys: &[&str]) -> Result<usize, Error> {
        let table = format!("public.{}", self.name);
        self.from
            .execute(&format!(
                "DROP TABLE IF EXISTS {table};
                 CREATE TABLE {table} (id {} PRIMARY KEY, v int, at timestamptz NOT NULL DEFAULT '2024-01-01Z');
                 INSERT INTO {table} (id, v) VALUES ({}, 1)",
                self.kind,
                keys.join(", 1), (")
            ))
            .await;
        let cursor = json!({ "column": "at", "set_by": "application", "unindexed": true,
            "safety": { "lookback": "10m" } });
        let object = place(self.to.kind(), None, &self.name);
        let stream = stream(&table, &object, &self.columns, &cursor);
        run(&stream, self.from, self.to, Vec::new()).await?;
        // Again, after a change: each row is found by its key.
        self.from.execute(&format!("UPDATE {table} SET v = 2")).await;
        run(&stream, self.from, self.to, Vec::new()).await?;
        Ok(self.count(&object).await)
    }

    async fn count(&self, object: &str) -> usize {
        let sql = format!("SELECT COUNT(*) FROM {object} WHERE v = 2");
        let count = match self.to {
            Side::Mssql(database) => database.number(&sql.replace("(*)", "(*) AS n")).await,
            Side::Postgres(database) => sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
                .fetch_one(&mut database.connect().await)
                .await
                .unwrap(),
            Side::Sqlite(_) => sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
                .fetch_one(&mut self.to.sqlite().await)
                .await
                .unwrap(),
        };
        usize::try_from(count).unwrap()
    }
}

const KEYS: &[(&str, &[&str])] = &[
    ("smallint", &["-32768", "32767"]),
    ("bigint", &["-9223372036854775808", "9223372036854775807"]),
    ("numeric(38,10)", &["-1.5", "0", "9999999999999999999999999999.9999999999"]),
    ("boolean", &["true", "false"]),
    ("date", &["'0001-01-01'", "'9999-12-31'"]),
    ("timestamptz", &["'1969-12-31 23:59:59.999999Z'", "'epoch'"]),
    ("time", &["'00:00'", "'23:59:59.999999'"]),
    ("uuid", &["'00112233-4455-6677-8899-aabbccddeeff'", "'33221100-5544-7766-8899-aabbccddeeff'"]),
    // Different to every comparison by bytes only.
    (
        "varchar(9)",
        &[
            "'a'",
            "'A'",
            "'ä'",
            "E'a\\u0308'",
            "'ß'",
            "'ss'",
            "''",
            "' a'",
            "'😀'",
            "'😁'",
            "E'\\uffff'",
        ],
    ),
    ("char(3)", &["'a'", "'b'"]),
    // 850 units of two bytes each: the longest key of an index.
    ("varchar(425)", &["repeat('😀', 425)", "repeat('😀', 424) || '😁'"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_every_type_find_their_rows_again() {
    let from = Side::of("postgres").await;
    for kind in TARGETS {
        let to = Side::of(kind).await;
        for (number, (key, values)) in KEYS.iter().enumerate() {
            let name = format!("k{number}");
            let keyed = Keyed { from: &from, to: &to, name, kind: key, columns: json!({}) };
            let found = keyed.carry(values).await;
            let found = found.unwrap_or_else(|error| panic!("{key} to {kind}: {error}"));
            assert_eq!(found, values.len(), "{key} to {kind}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_a_target_cannot_tell_apart_or_index_is_refused() {
    let from = Side::of("postgres").await;
    let to = Side::of("mssql").await;
    let none = json!({});
    let bounded = json!({ "id": "nvarchar(850)" });
    for (number, (key, columns, keys, class, words)) in [
        (
            "text",
            &none,
            &["'a'"][..],
            Class::Schema,
            &["id", "declare its length", "varchar(100)"][..],
        ),
        ("varchar(426)", &none, &["'a'"], Class::Schema, &["1704 bytes", "1700"]),
        ("bytea", &none, &["'a'"], Class::Schema, &["id"]),
        // SQL Server pads when it compares: the second would overwrite the first.
        ("varchar(9)", &none, &["'a'", "'a '"], Class::Data, &["column id", "ends with a blank"]),
        ("text", &bounded, &["repeat('a', 851)"], Class::Data, &["column id", "851 UTF-16"]),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("k{number}");
        let keyed = Keyed { from: &from, to: &to, name, kind: key, columns: columns.clone() };
        let error = keyed.carry(keys).await.expect_err(key);
        assert_eq!(error.class(), class, "{key}: {error}");
        for word in words {
            assert!(error.to_string().contains(word), "{key}: no {word} in {error}");
        }
    }
    // Where a blank counts, both arrive.
    for kind in ["postgres", "sqlite"] {
        let to = Side::of(kind).await;
        let keyed = Keyed {
            from: &from,
            to: &to,
            name: "k".to_owned(),
            kind: "varchar(9)",
            columns: json!({}),
        };
        assert_eq!(keyed.carry(&["'a'", "'a '"]).await.unwrap(), 2, "{kind}");
    }
}
