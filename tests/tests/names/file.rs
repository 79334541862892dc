//! The real program, whose file names such a table, its columns and its target.

use etl_tests::postgres::Database;
use serde_json::json;
use sqlx::{AssertSqlSafe, ConnectOptions};

use crate::support::binary::run;

const SETUP: &str = r#"CREATE SCHEMA "sch.e""m";
CREATE TABLE "sch.e""m"."ta""b.le; --" ("k""e'y" bigint PRIMARY KEY, "At; --" timestamptz NOT NULL,
  "Order By" varchar(40), "🚚 [x]" varchar(40));
INSERT INTO "sch.e""m"."ta""b.le; --"
SELECT g, timestamptz '2026-01-02' + g * interval '1 ms', CASE WHEN g % 2 = 0 THEN 'x' END, 'row ' || g
  FROM generate_series(1, 100) AS g"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_file_reads_and_writes_tables_of_such_names() {
    let (source, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    source.execute(SETUP).await;
    let (target, path) = (folder.path().join("to.db"), folder.path().join("names.yaml"));
    let file = json!({
        "version": 1,
        "pipeline": "names",
        "source": { "type": "postgres", "url": source.url(), "tls": "disable" },
        "target": { "type": "sqlite", "path": target },
        "streams": { "plain": {
            "table": "\"sch.e\"\"m\".\"ta\"\"b.le; --\"",
            "object": "main.\"to\"\".db; --\"",
            "primary_key": ["k\"e'y"],
            "select": ["k\"e'y", "At; --", "Order By", "🚚 [x]"],
            "cursor": { "column": "At; --", "set_by": "application", "safety": { "lookback": "1h" },
                        "unindexed": true },
            "where": "\"Order By\" IS NOT NULL",
            "columns": { "🚚 [x]": "varchar(60)" },
            "transforms": [{ "rename": { "🚚 [x]": "re\"named" } },
                           { "filter": "\"re\"\"named\" <> 'row 2'" }],
            "on_filter_exit": "soft_delete",
            "soft_delete": { "column": "gone; \"at\"" },
        } },
    });
    std::fs::write(&path, file.to_string()).unwrap();
    let path = path.to_str().unwrap();
    for command in ["lint", "prepare", "check"] {
        run(&[command, path]).expect(0);
    }
    let plan = run(&["prepare", path, "--plan"]).expect(0).stdout;
    assert!(plan.contains("CREATE TABLE IF NOT EXISTS \"to\"\".db; --\""), "{plan}");
    let said = run(&["run", path, "--json"]).expect(0).last();
    assert_eq!(said["written"], 49, "{said}");

    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&target);
    let mut connection = options.connect().await.unwrap();
    let wanted = "SELECT count(*) FROM \"to\"\".db; --\" AS t WHERE t.\"k\"\"e'y\" % 2 = 0 AND \
        t.\"Order By\" = 'x' AND t.\"re\"\"named\" = 'row ' || t.\"k\"\"e'y\" AND \
        t.\"gone; \"\"at\"\"\" IS NULL";
    let equal: i64 =
        sqlx::query_scalar(AssertSqlSafe(wanted)).fetch_one(&mut connection).await.unwrap();
    assert_eq!(equal, 49);
}
