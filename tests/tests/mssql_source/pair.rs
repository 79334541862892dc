//! To SQLite and to SQL Server, incrementally, with rows that leave the filter.

use std::sync::Arc;

use etl_core::connector::Stream;
use etl_core::{Outcome, Pipeline, PipelineOptions, RunReport};
use etl_tests::mssql::Database;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::support::{Trial, run, stream};

fn orders(object: &str) -> Stream {
    stream("dbo.orders", |config| {
        config["object"] = json!(object);
        config["select"] = json!(["id", "customer", "status", "amount", "at", "rv"]);
        config["where"] = json!("status = 'confirmed'");
    })
}

async fn filled() -> Option<Trial> {
    let database = super::support::database(|can| can.versions).await?;
    let columns = "id bigint NOT NULL PRIMARY KEY, customer nvarchar(60) NOT NULL, \
         status varchar(20) NOT NULL, amount money NOT NULL, at datetime2(3) NOT NULL";
    let trial = Trial::create(database, "dbo.orders", columns).await;
    let ids: Vec<i64> = (1..=3_000).collect();
    for ids in ids.chunks(500) {
        let rows: Vec<_> = ids
            .iter()
            .map(|id| {
                let status = if id % 3 == 0 { "new" } else { "confirmed" };
                format!("({id}, N'customer 漢 {id}', '{status}', {id}.25, '2024-01-01')")
            })
            .collect();
        let columns = "id, customer, status, amount, at";
        let sql = format!("INSERT INTO dbo.orders ({columns}) VALUES {};", rows.join(", "));
        trial.execute(&sql).await;
    }
    Some(trial)
}

async fn carry(trial: &Trial, kind: &str, target: &Value, stream: &Stream) -> RunReport {
    let source = (etl_sources::find("mssql").unwrap().build)(&trial.database.section(), stream);
    let sink = (etl_sinks::find(kind).unwrap().build)(target, stream);
    let mut pipeline = Pipeline::new(
        stream.full_name(),
        source.unwrap(),
        Vec::new(),
        sink.unwrap(),
        PipelineOptions::default(),
    );
    let finished = pipeline.run(&CancellationToken::new()).await;
    assert_eq!(finished.report.outcome, Outcome::Success, "{:?}", finished.error);
    finished.report
}

/// A load, changes, rows that leave and enter the filter, and one that commits late.
async fn incrementally(trial: &Trial, kind: &str, target: &Value, stream: &Stream) {
    let source = (etl_sources::find("mssql").unwrap().build)(&trial.database.section(), stream);
    let schema = source.unwrap().schema().await.unwrap();
    let mut admin = (etl_sinks::find(kind).unwrap().admin)(target, stream).unwrap();
    admin.prepare(&schema).await.unwrap();

    let first = carry(trial, kind, target, stream).await;
    assert_eq!((first.read, first.written), (3_000, 2_000));
    let idle = carry(trial, kind, target, stream).await;
    assert_eq!((idle.read, idle.written, idle.deleted), (0, 0, 0));

    let mut open = trial.begin("UPDATE dbo.orders SET amount = 7 WHERE id = 1;").await;
    trial
        .execute(
            "UPDATE dbo.orders SET amount = amount + 1 WHERE id = 10; \
             UPDATE dbo.orders SET amount = amount + 1 WHERE id = 11; \
             UPDATE dbo.orders SET status = 'cancelled' WHERE id = 100; \
             UPDATE dbo.orders SET status = 'cancelled' WHERE id = 101; \
             UPDATE dbo.orders SET status = 'confirmed' WHERE id = 300;",
        )
        .await;
    let second = carry(trial, kind, target, stream).await;
    assert_eq!((second.read, second.written, second.deleted), (5, 3, 2));
    run(&mut open, "COMMIT;").await;
    let third = carry(trial, kind, target, stream).await;
    // Five come again, and the late one could have come before.
    assert_eq!((third.written, third.deleted, third.reread), (1, 0, 6));
    let sql = "UPDATE dbo.orders SET status = 'confirmed' WHERE id = 100;";
    trial.execute(sql).await;
    assert_eq!(carry(trial, kind, target, stream).await.written, 1);
}

const TRUTH: &str = "SELECT id, customer, status, CONVERT(decimal(19,4), amount), at, \
     CONVERT(varbinary(8), rv) FROM dbo.orders WHERE status = 'confirmed' ORDER BY id;";

#[tokio::test(flavor = "multi_thread")]
async fn from_sql_server_to_sqlite() {
    let Some(trial) = filled().await else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("target.db");
    let target = json!({ "path": path });
    incrementally(&trial, "sqlite", &target, &orders("orders")).await;

    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    let sql = "SELECT CAST(id AS TEXT), customer, status, amount, at, lower(hex(rv)) \
         FROM orders ORDER BY id";
    let copied: Vec<(String, String, String, String, String, String)> =
        sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap();
    let truth = trial.database.rows(TRUTH).await;
    assert_eq!(copied.len(), truth.len());
    for (copy, row) in copied.into_iter().zip(truth) {
        let row: Vec<_> = row.into_iter().map(Option::unwrap).collect();
        let at = copy.4.replace(' ', "T");
        assert_eq!([&copy.0, &copy.1, &copy.2, &copy.3], [&row[0], &row[1], &row[2], &row[3]]);
        assert!(at.starts_with(row[4].trim_end_matches("000")), "{at} and {}", row[4]);
        assert_eq!(copy.5, row[5]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_sql_server_to_sql_server() {
    let Some(trial) = filled().await else { return };
    let target = Database::new().await;
    incrementally(&trial, "mssql", &target.section(), &orders("dbo.copied")).await;
    let copied = "SELECT id, customer, status, amount, at, rv FROM dbo.copied ORDER BY id;";
    assert_eq!(target.rows(copied).await, trial.database.rows(TRUTH).await);
}

#[test]
fn a_source_of_sql_server_is_in_the_registry() {
    let source = etl_sources::find("mssql").unwrap();
    assert_eq!(source.kind, "mssql");
    let _: Arc<dyn etl_core::source::Source> =
        (source.build)(&json!({ "url": "mssql://u:p@h/d" }), &orders("o")).unwrap();
}
