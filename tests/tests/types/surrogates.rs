//! Texts of SQL Server that are no Unicode: `nvarchar` keeps any UTF-16 unit, also half of a pair.

use etl_core::Class;
use etl_tests::mssql;
use etl_tests::wire::{Protocol, Proxy, Rules};
use serde_json::json;

use super::carry::{run, stream};
use crate::support::side::Side;

/// The double keeps Unicode only, so that the half is planted in what it answers.
#[tokio::test(flavor = "multi_thread")]
async fn half_of_a_surrogate_pair_stops_the_run_behind_the_last_good_key() {
    let from = Side::of("mssql").await;
    from.execute(
        "CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, v nvarchar(20) NULL, at datetime2(3) NOT NULL);
         INSERT INTO dbo.t VALUES (16, N'good', '2024-01-01'), (17, N'good', '2024-01-02'), (18, N'a◆b', '2024-01-03');",
    )
    .await;
    let Side::Mssql(database) = &from else { panic!("not SQL Server") };
    let rules = Rules {
        answers: Some((vec![0x61, 0, 0xc6, 0x25], vec![0x61, 0, 0x3d, 0xd8])),
        ..Rules::default()
    };
    let owner = &database.owner;
    let proxy = Proxy::start(Protocol::Tds, &format!("{}:{}", owner.host, owner.port), rules).await;
    let mut altered = database.clone();
    (altered.owner.host, altered.owner.port) = ("127.0.0.1".to_owned(), proxy.port());
    altered.owner.tls = etl_sql::mssql::Tls::Disable;
    let altered: mssql::Database = altered;
    let to = Side::of("postgres").await;
    let cursor = json!({ "column": "at", "set_by": "application", "unindexed": true,
        "utc_offset": "+00:00", "safety": { "lookback": "10m" } });
    let stream = stream("dbo.t", "public.t", &json!({}), &cursor);
    let error = run(&stream, &Side::Mssql(altered), &to, Vec::new()).await.unwrap_err();
    assert_eq!(error.class(), Class::Data, "{error}");
    for word in ["column v", "behind the one with key (id = 17)", "surrogate"] {
        assert!(error.to_string().contains(word), "no {word} in {error}");
    }
    let Side::Postgres(written) = &to else { panic!("not Postgres") };
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM public.t")
        .fetch_one(&mut written.connect().await)
        .await
        .unwrap();
    assert_eq!(rows, 0);
    // Without the half all is well.
    run(&stream, &from, &to, Vec::new()).await.unwrap();
}
