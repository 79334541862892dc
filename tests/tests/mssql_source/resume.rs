//! Sweeps that stop anywhere and go on.

use std::collections::BTreeMap;

use etl_core::batch::BatchLimits;
use etl_core::testing::canonical;
use serde_json::{Value, json};

use super::support::{self, Target, Trial, WIDE, begin, end, rows, run, sweep, value};

#[tokio::test(flavor = "multi_thread")]
async fn a_first_load_resumed_every_few_batches_beside_an_open_transaction_finishes() {
    let Some(trial) = Trial::orders().await else { return };
    let mut open = trial.begin("INSERT INTO dbo.orders (id, note) VALUES (0, 'late');").await;
    trial.insert(1..=2_000, "a").await;
    let source = trial.source(|_| ());
    let mut target = Target::default();
    let mut after = None;
    let mut runs = 0;
    loop {
        let batches = begin(&source, after.as_ref(), rows(100), 3).await.unwrap();
        target.apply(&batches);
        after = Some(end(&batches));
        runs += 1;
        if value(after.as_ref().unwrap())["scan"] == Value::Null {
            break;
        }
    }
    assert!(runs > 5, "{runs} runs");
    assert_eq!((target.rows.len(), target.read), (2_000, 2_000), "each row once");
    run(&mut open, "COMMIT;").await;
    target.apply(&sweep(&source, after.as_ref(), WIDE).await.unwrap());
    assert_eq!(target.rows.len(), 2_001);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_of_key_can_be_resumed_from() {
    for (kind, value_of) in [
        ("tinyint", "k"),
        ("smallint", "k - 30"),
        ("int", "k * 1000003"),
        ("bigint", "CONVERT(bigint, k) * 1000000007"),
        ("decimal(38,9)", "CONVERT(decimal(38,9), k) / 7"),
        ("money", "CONVERT(money, k) / 8"),
        ("nvarchar(40)", "CONCAT(k, N'''', N'ä', CASE WHEN k % 2 = 0 THEN N'Z' ELSE N'z' END)"),
        (
            "nvarchar(40) COLLATE Latin1_General_100_BIN2",
            "CONCAT(k, N'\\漢', CASE WHEN k % 2 = 0 THEN N'Z' ELSE N'z' END)",
        ),
        ("varchar(40)", "CONCAT(k, '''', CASE WHEN k % 2 = 0 THEN 'B' ELSE 'a' END)"),
        ("char(20)", "CONCAT('k', k)"),
        ("nchar(20)", "CONCAT(N'k', k)"),
        (
            "uniqueidentifier",
            "CONVERT(uniqueidentifier, CONVERT(binary(16), HASHBYTES('MD5', CONVERT(varchar(9), k))))",
        ),
        ("binary(4)", "CONVERT(binary(4), k * 70001)"),
        ("varbinary(20)", "CONVERT(varbinary(20), HASHBYTES('MD5', CONVERT(varchar(9), k)))"),
        ("date", "DATEADD(day, k * 37, CONVERT(date, '1899-12-01'))"),
        ("time(6)", "DATEADD(second, k * 61, CONVERT(time(6), '00:00:00.000001'))"),
        ("datetime2(3)", "DATEADD(second, k, CONVERT(datetime2(3), '1999-12-31T23:59:30.999'))"),
        ("datetime", "DATEADD(millisecond, k * 7, CONVERT(datetime, '1999-12-31T23:59:59.997'))"),
        ("smalldatetime", "DATEADD(minute, k, CONVERT(smalldatetime, '1999-12-31T23:30:00'))"),
        ("float", "CONVERT(float, k) / 3"),
        ("real", "CONVERT(real, k) / 3"),
    ] {
        let needed = |can: support::Abilities| can.versions;
        let Some(database) = support::database(needed).await else { return };
        let columns = format!("id {kind} NOT NULL PRIMARY KEY, note nvarchar(9) NULL");
        let trial = Trial::create(database, "dbo.orders", &columns).await;
        let mut numbers = Vec::new();
        for k in 1..=40 {
            numbers.push(format!("SELECT {k} AS k"));
        }
        let numbers = numbers.join(" UNION ALL ");
        trial
            .execute(&format!(
                "INSERT INTO dbo.orders (id, note) SELECT {value_of}, N'a' FROM ({numbers}) AS n;"
            ))
            .await;
        let source = trial.source(|_| ());
        let mut seen = BTreeMap::new();
        let mut after = None;
        loop {
            let batches = begin(&source, after.as_ref(), rows(7), 1).await.unwrap();
            for batch in &batches {
                for row in canonical(batch.changes.records()).unwrap() {
                    *seen.entry(row["id"].clone()).or_insert(0) += 1;
                }
            }
            after = Some(end(&batches));
            if value(after.as_ref().unwrap())["scan"] == Value::Null {
                break;
            }
        }
        assert_eq!(seen.len(), 40, "{kind}");
        assert!(seen.values().all(|times| *times == 1), "{kind}: {seen:?}");
    }
}

/// Rows of one instant: only the key tells them apart.
#[tokio::test(flavor = "multi_thread")]
async fn rows_of_one_instant_are_told_apart_by_every_type_of_key_and_by_two() {
    let Some(database) = support::database(|_| true).await else { return };
    for (number, (kind, value_of)) in [
        ("bigint NOT NULL", "k"),
        ("nvarchar(40) NOT NULL", "CONCAT(CASE WHEN k % 2 = 0 THEN N'Z' ELSE N'a' END, k)"),
        ("varchar(40) NOT NULL", "CONCAT(CASE WHEN k % 2 = 0 THEN 'B' ELSE 'a' END, k)"),
        ("decimal(20,4) NOT NULL", "CONVERT(decimal(20,4), k) / 7"),
        (
            "varbinary(20) NOT NULL",
            "CONVERT(varbinary(20), HASHBYTES('MD5', CONVERT(varchar(9), k)))",
        ),
        ("float NOT NULL", "CONVERT(float, k) / 3"),
        (
            "datetime2(6) NOT NULL",
            "DATEADD(second, k, CONVERT(datetime2(6), '1999-12-31T23:59:30'))",
        ),
        ("uniqueidentifier NOT NULL", "NEWID()"),
    ]
    .into_iter()
    .enumerate()
    {
        let table = format!("dbo.ties{number}");
        let numbers: Vec<_> = (1..=40).map(|k| format!("SELECT {k} AS k")).collect();
        database
            .run(&format!(
                "CREATE TABLE {table} (id {kind}, part int NOT NULL, at datetime2(3) NOT NULL, \
                 CONSTRAINT pk{number} PRIMARY KEY (part, id)); \
                 CREATE INDEX ix ON {table} (at); \
                 INSERT INTO {table} (id, part, at) SELECT {value_of}, k % 3, '2024-01-01' \
                 FROM ({}) AS n;",
                numbers.join(" UNION ALL ")
            ))
            .await;
        let stream = support::stream(&table, |config| {
            config["primary_key"] = json!(["part", "id"]);
            config["select"] = json!(["at", "id", "part"]);
            config["cursor"] = json!({
                "column": "at", "utc_offset": "+00:00", "set_by": "application",
                "safety": { "lookback": "10m" },
            });
        });
        let source = support::build(&database.section(), &stream).unwrap();
        let mut seen = BTreeMap::new();
        let mut after = None;
        while after.as_ref().is_none_or(|after| value(after)["scan"] != Value::Null) {
            let batches = begin(&source, after.as_ref(), rows(7), 1).await.unwrap();
            for row in canonical(batches[0].changes.records()).unwrap() {
                *seen.entry((row["id"].clone(), row["part"].clone())).or_insert(0) += 1;
            }
            after = Some(end(&batches));
        }
        assert_eq!(seen.len(), 40, "{kind}");
        assert!(seen.values().all(|times| *times == 1), "{kind}: {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_bounded_by_its_bytes_too() {
    let Some(trial) = Trial::orders().await else { return };
    trial.insert(1..=100, &"x".repeat(1_000)).await;
    let source = trial.source(|_| ());
    let limits = BatchLimits { rows: 1_000, bytes: 10_300 };
    let batches = sweep(&source, None, limits).await.unwrap();
    let sizes: Vec<_> =
        batches.iter().map(|batch| batch.changes.len()).filter(|size| *size > 0).collect();
    assert_eq!(sizes, [10; 10]);
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_max_reread_rows_above_the_horizon_wait() {
    let Some(trial) = Trial::orders().await else { return };
    trial.insert(1..=5, "a").await;
    let mut open = trial.begin("INSERT INTO dbo.orders (id, note) VALUES (0, 'late');").await;
    trial.insert(6..=50, "b").await;
    let source = trial.source(|config| config["cursor"]["max_reread"] = json!(10));
    let mut target = Target::default();
    let mut after = None;
    for round in 0..3 {
        let batches = sweep(&source, after.as_ref(), rows(4)).await.unwrap();
        target.apply(&batches);
        after = Some(end(&batches));
        assert_eq!(target.rows.len(), 15, "round {round}");
    }
    run(&mut open, "COMMIT;").await;
    target.apply(&sweep(&source, after.as_ref(), rows(4)).await.unwrap());
    assert_eq!(target.rows.len(), 51);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_went_back_holds_a_time_where_it_is() {
    let Some(database) = support::database(|_| true).await else { return };
    database
        .run(
            "CREATE TABLE dbo.orders (id int NOT NULL PRIMARY KEY, at datetimeoffset(6) NOT NULL); \
             INSERT INTO dbo.orders (id, at) VALUES (1, '2024-01-01T00:00:00+02:00');",
        )
        .await;
    let stream = support::stream("dbo.orders", |config| {
        config["select"] = json!(["id", "at"]);
        config["columns"] = json!({ "at": "datetimeoffset(6)" });
        config["cursor"] = json!({
            "column": "at", "set_by": "application", "safety": { "lookback": "1m" },
            "unindexed": true,
        });
    });
    let source = support::build(&database.section(), &stream).unwrap();
    let first = sweep(&source, None, WIDE).await.unwrap();
    assert_eq!(first[0].progress.read, 1);
    let mut place = value(&end(&first));
    assert_eq!(place["high"], "2023-12-31T22:00:00.0000000Z");
    place["h"] = json!("2999-01-01T00:00:00.0000000Z");
    let batches = sweep(&source, Some(&support::position(&place)), WIDE).await.unwrap();
    assert_eq!(batches.len(), 1);
    assert!(batches[0].changes.is_empty());
    assert_eq!(value(&batches[0].position), place);
    assert_eq!(batches[0].progress.horizon_micros, None, "freshness must not advance");
}
