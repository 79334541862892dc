//! Any name and any text goes through SQL as it is.

use etl_sql::sqlite::quote;
use proptest::prelude::*;
use sqlx::{AssertSqlSafe, Connection, Executor, SqliteConnection};

async fn round_trip(name: &str, text: &str) {
    let mut c = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    let (table, column) = (quote::name(name).unwrap(), quote::name(&format!("c{name}")).unwrap());
    let literal = quote::text(text);
    c.execute(AssertSqlSafe(format!("CREATE TABLE {table} ({column} TEXT)"))).await.unwrap();
    let insert = format!("INSERT INTO main.{table} ({column}) VALUES ({literal})");
    c.execute(AssertSqlSafe(insert)).await.unwrap();
    let select = format!("SELECT t.{column} FROM main.{table} AS t WHERE t.{column} = {literal}");
    let back: String = sqlx::query_scalar(AssertSqlSafe(select)).fetch_one(&mut c).await.unwrap();
    assert_eq!(back, text);
    let listed: String = sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table'")
        .fetch_one(&mut c)
        .await
        .unwrap();
    assert_eq!(listed, name);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn names_and_texts_come_back_as_they_were(
        name in "[\"'`;\\[\\]a-z .\u{1}-\u{7f}é🦀]{1,12}",
        text in "\\PC{0,12}|[\0-\u{7f}]{0,12}",
    ) {
        prop_assume!(!name.to_ascii_lowercase().starts_with("sqlite_"));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(round_trip(&name, &text));
    }
}
