//! What each kind of source tells of its tables.

use etl_core::catalog::TableInfo;
use etl_tests::{mssql, postgres};
use serde_json::{Value, json};
use sqlx::{ConnectOptions, Executor};

/// Name, columns and key of each table, by name.
async fn told(kind: &str, section: &Value) -> Vec<(String, Vec<String>, Vec<String>)> {
    let catalog = (etl_sources::find(kind).unwrap().catalog)(section, "many").unwrap();
    let tables = catalog.tables().await.unwrap().into_iter();
    let tables = tables
        .map(|TableInfo { name, columns, primary_key }| (name.to_string(), columns, primary_key));
    let mut tables: Vec<_> = tables.collect();
    tables.sort();
    tables
}

fn table(name: &str, columns: &[&str], key: &[&str]) -> (String, Vec<String>, Vec<String>) {
    let texts = |of: &[&str]| of.iter().map(|text| (*text).to_owned()).collect();
    (name.to_owned(), texts(columns), texts(key))
}

#[tokio::test]
async fn postgres_tells_its_tables_with_columns_and_keys_in_order() {
    let source = postgres::Database::new().await;
    source
        .execute(
            "CREATE TABLE a (z int, b int, \"Ä c\" text, PRIMARY KEY (b, z));
             ALTER TABLE a DROP COLUMN \"Ä c\", ADD d int;
             CREATE TABLE no_key (x int UNIQUE NOT NULL);
             CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id);
             CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (1) TO (9);
             CREATE VIEW v AS SELECT * FROM a;
             CREATE SCHEMA \"O'x\"; CREATE TABLE \"O'x\".\"T t\" (id int PRIMARY KEY, v int)",
        )
        .await;
    let expected = [
        table("O'x.T t", &["id", "v"], &["id"]),
        table("public.a", &["z", "b", "d"], &["b", "z"]),
        table("public.no_key", &["x"], &[]),
        table("public.parts", &["id"], &["id"]),
    ];
    assert_eq!(told("postgres", &source.section()).await, expected);
}

#[tokio::test]
async fn sql_server_tells_its_tables_with_columns_and_keys_in_order() {
    let source = mssql::Database::new().await;
    for sql in [
        "CREATE TABLE [dbo].[A] ([z] int NOT NULL, [b] int NOT NULL, [d] int, PRIMARY KEY ([b], [z]));",
        "CREATE TABLE [dbo].[no key] ([x] int NOT NULL UNIQUE);",
        "CREATE SCHEMA [sales];",
        "CREATE TABLE [sales].[A] ([id] int NOT NULL PRIMARY KEY, [v] int);",
    ] {
        source.run(sql).await;
    }
    let expected = [
        table("dbo.A", &["z", "b", "d"], &["b", "z"]),
        table("dbo.no key", &["x"], &[]),
        table("sales.A", &["id", "v"], &["id"]),
    ];
    assert_eq!(told("mssql", &source.section()).await, expected);
}

#[tokio::test]
async fn sqlite_tells_its_tables_with_columns_and_keys_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let mut connection = options.create_if_missing(true).connect().await.unwrap();
    connection
        .execute(
            "CREATE TABLE \"A b\" (z int, b int, d int, PRIMARY KEY (b, z));
             CREATE TABLE row_id (id INTEGER PRIMARY KEY AUTOINCREMENT, v);
             CREATE TABLE no_key (x UNIQUE); CREATE VIEW v AS SELECT * FROM no_key;",
        )
        .await
        .unwrap();
    let expected = [
        table("A b", &["z", "b", "d"], &["b", "z"]),
        table("no_key", &["x"], &[]),
        table("row_id", &["id", "v"], &["id"]),
    ];
    assert_eq!(told("sqlite", &json!({ "type": "sqlite", "path": path })).await, expected);
}
