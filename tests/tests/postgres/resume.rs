//! Sweeps that stop anywhere and go on.

use std::collections::BTreeMap;
use std::time::Duration;

use etl_core::batch::BatchLimits;
use etl_core::testing::canonical;
use etl_tests::postgres::{Database, run};
use serde_json::{Value, json};

use super::support::{Target, Trial, WIDE, begin, end, position, rows, sweep, value};

#[tokio::test(flavor = "multi_thread")]
async fn a_first_load_resumed_every_few_batches_beside_an_open_transaction_finishes() {
    let trial = Trial::orders().await;
    let mut open = trial.database.connect().await;
    run(&mut open, "BEGIN; INSERT INTO orders VALUES (0, 'late')").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    for part in 0..4 {
        let (from, to) = (part * 500 + 1, (part + 1) * 500);
        trial
            .execute(&format!(
                "INSERT INTO orders SELECT n, 'a' FROM generate_series({from}, {to}) n"
            ))
            .await;
    }
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
        assert!(runs < 10, "the load begins again and again");
    }
    assert_eq!((target.rows.len(), target.read), (2_000, 2_000), "each row once");
    run(&mut open, "COMMIT").await;
    target.apply(&sweep(&source, after.as_ref(), WIDE).await.unwrap());
    assert_eq!(target.rows.len(), 2_001);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_rows_of_one_instant_arrive_once_whatever_the_batch_size() {
    let trial = Trial::orders().await;
    trial.execute("INSERT INTO orders SELECT n, 'a' FROM generate_series(1, 1000) n").await;
    let source = trial.source(|_| ());
    for size in [1, 2, 7, 100, 333, 999, 1_000, 1_001] {
        let batches = sweep(&source, None, rows(size)).await.unwrap();
        assert_eq!(batches.len(), 1_000_usize.div_ceil(size), "batches of {size}");
        let mut target = Target::default();
        target.apply(&batches);
        assert_eq!((target.rows.len(), target.read), (1_000, 1_000), "batches of {size}");
    }
    for size in [37, 500, 1_000] {
        let mut target = Target::default();
        let mut after = None;
        while target.read < 1_000 {
            let batches = begin(&source, after.as_ref(), rows(size), 1).await.unwrap();
            target.apply(&batches);
            after = Some(end(&batches));
        }
        assert_eq!((target.rows.len(), target.read), (1_000, 1_000), "resumed after each {size}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_of_key_can_be_resumed_from() {
    let text = "k || chr(39) || chr(92) || CASE WHEN k % 2 = 0 THEN 'ä' ELSE 'Z' END";
    for (kind, expression) in [
        ("smallint", "k"),
        ("integer", "k * 1000003"),
        ("bigint", "k * 1000000007::bigint"),
        ("numeric(38,9)", "k / 7.0"),
        ("text", text),
        ("varchar(40) COLLATE \"C\"", text),
        ("char(20)", text),
        ("uuid", "md5(k::text)::uuid"),
        ("bytea", "decode(md5(k::text), 'hex')"),
        ("date", "date '0001-01-01' + abs(k)"),
        ("time", "time '00:00:00.000001' + k * interval '1 second'"),
        ("timestamp", "timestamp '1999-12-31 23:59:59.999999' + k * interval '1 second'"),
        ("timestamptz", "timestamptz '1969-12-31 23:59:59.999999Z' + k * interval '1 day'"),
        ("double precision", "k / 3.0::float8"),
        ("real", "k / 3.0::float4"),
    ] {
        let columns = format!("id {kind} PRIMARY KEY, note text");
        let trial = Trial::create(Database::new().await, "public.orders", &columns).await;
        trial
            .execute(&format!(
                "INSERT INTO orders SELECT {expression}, 'a' FROM generate_series(1, 60) k"
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
        assert_eq!(seen.len(), 60, "{kind}");
        assert!(seen.values().all(|times| *times == 1), "{kind}: {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_two_columns_and_enums_is_in_one_total_order() {
    let database = Database::new().await;
    database.execute("CREATE TYPE public.mood AS ENUM ('z', 'a', 'm')").await;
    let columns = "id bigint NOT NULL, mood public.mood NOT NULL, note text, UNIQUE (mood, id)";
    let trial = Trial::create(database, "public.orders", columns).await;
    trial
        .execute(
            "INSERT INTO orders SELECT n, m.mood, 'a' FROM generate_series(1, 20) n, \
             unnest(enum_range(NULL::mood)) AS m (mood)",
        )
        .await;
    let source = trial.source(|config| {
        config["primary_key"] = json!(["id", "mood"]);
        config["select"] = json!(["mood", "updated_at", "id"]);
    });
    let mut seen = std::collections::BTreeSet::new();
    let mut read = 0;
    let mut after = None;
    while after.as_ref().is_none_or(|after| value(after)["scan"] != Value::Null) {
        let batches = begin(&source, after.as_ref(), rows(7), 1).await.unwrap();
        read += batches[0].changes.len();
        for row in canonical(batches[0].changes.records()).unwrap() {
            seen.insert((row["id"].clone(), row["mood"].clone()));
        }
        after = Some(end(&batches));
    }
    assert_eq!((read, seen.len()), (60, 60));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_bounded_by_its_bytes_too() {
    let trial = Trial::orders().await;
    trial
        .execute("INSERT INTO orders SELECT n, repeat('x', 1000) FROM generate_series(1, 100) n")
        .await;
    let source = trial.source(|_| ());
    let limits = BatchLimits { rows: 1_000, bytes: 10_200 };
    let batches = sweep(&source, None, limits).await.unwrap();
    let sizes: Vec<_> = batches.iter().map(|batch| batch.changes.len()).collect();
    assert_eq!(sizes, [10; 10]);
    let limits = BatchLimits { rows: 1_000, bytes: 10 };
    assert_eq!(sweep(&source, None, limits).await.unwrap().len(), 100, "one row may be larger");
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_max_reread_rows_above_the_horizon_wait() {
    let trial = Trial::orders().await;
    trial.execute("INSERT INTO orders SELECT n, 'a' FROM generate_series(1, 5) n").await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let mut open = trial.database.connect().await;
    run(&mut open, "BEGIN; SELECT 1").await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    trial.execute("INSERT INTO orders SELECT n, 'b' FROM generate_series(6, 50) n").await;
    let source = trial.source(|config| config["cursor"]["max_reread"] = json!(10));
    let mut target = Target::default();
    let mut after = None;
    for round in 0..3 {
        let batches = sweep(&source, after.as_ref(), rows(4)).await.unwrap();
        target.apply(&batches);
        after = Some(end(&batches));
        assert_eq!(target.rows.len(), 15, "round {round}");
    }
    run(&mut open, "COMMIT").await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    target.apply(&sweep(&source, after.as_ref(), rows(4)).await.unwrap());
    assert_eq!(target.rows.len(), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_position_never_goes_back_and_freshness_advances_on_an_idle_table() {
    let trial = Trial::orders().await;
    trial.execute("INSERT INTO orders VALUES (1, 'a')").await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let source = trial.source(|_| ());
    let first = sweep(&source, None, WIDE).await.unwrap();
    trial.execute("DELETE FROM orders").await;
    let second = sweep(&source, Some(&end(&first)), WIDE).await.unwrap();
    assert_eq!(value(&end(&second))["low"], value(&end(&first))["low"]);
    let horizon = |batches: &[etl_core::Batch]| batches.last().unwrap().progress.horizon_micros;
    assert!(horizon(&second) > horizon(&first));
    assert_eq!((second.len(), second[0].changes.len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_went_back_holds_the_source_where_it_is() {
    let trial = Trial::orders().await;
    trial.execute("INSERT INTO orders SELECT n, 'a' FROM generate_series(1, 20) n").await;
    let source = trial.source(|_| ());
    for after in [
        end(&sweep(&source, None, WIDE).await.unwrap()),
        end(&begin(&source, None, rows(5), 1).await.unwrap()),
    ] {
        let mut place = value(&after);
        place["h"] = json!("2999-01-01T00:00:00.000000Z");
        let batches = sweep(&source, Some(&position(&place)), WIDE).await.unwrap();
        assert_eq!(batches.len(), 1);
        assert!(batches[0].changes.is_empty());
        assert_eq!(value(&batches[0].position), place);
        assert_eq!(batches[0].progress.horizon_micros, None, "freshness must not advance");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_lookback_the_last_minutes_are_read_again_and_late_rows_found() {
    let trial = Trial::orders().await;
    trial
        .execute(
            "DROP TRIGGER touch ON orders; \
             INSERT INTO orders VALUES (1, 'old', now() - interval '1 hour'), \
             (2, 'new', now() - interval '1 second')",
        )
        .await;
    let source = trial.source(|config| {
        config["cursor"]["set_by"] = json!("application");
        config["cursor"]["safety"] = json!({ "lookback": "10m" });
    });
    let mut target = Target::default();
    let first = sweep(&source, None, WIDE).await.unwrap();
    target.apply(&first);
    trial.execute("INSERT INTO orders VALUES (3, 'late', now() - interval '9 minutes')").await;
    let second = sweep(&source, Some(&end(&first)), WIDE).await.unwrap();
    target.apply(&second);
    assert_eq!(target.ids(), [1, 2, 3]);
    assert_eq!(target.reread, 2, "row 2, and row 3 could have been there; row 1 is below");
}

#[tokio::test(flavor = "multi_thread")]
async fn first_next_and_resumed_sweeps_use_the_cursors_index() {
    let trial = Trial::orders().await;
    trial
        .execute(
            "ALTER TABLE orders DISABLE TRIGGER touch; INSERT INTO orders \
             SELECT n, repeat('x', 200), now() - interval '1 day' + n * interval '1 second' \
             FROM generate_series(1, 20000) n",
        )
        .await;
    trial.execute("ALTER TABLE orders ENABLE TRIGGER touch").await;
    trial.execute("VACUUM ANALYZE orders").await;
    let source = trial.source(|_| ());
    let first = sweep(&source, None, rows(5_000)).await.unwrap();
    trial.execute("SELECT pg_stat_reset()").await;
    // The fourth batch ends with three quarters of the table behind it.
    for after in [end(&first[..3]), end(&first)] {
        assert!(!sweep(&source, Some(&after), WIDE).await.unwrap().is_empty());
    }
    let mut connection = trial.database.connect().await;
    let mut scans = (0_i64, 0_i64);
    for _ in 0..100 {
        let sql = "SELECT seq_scan, idx_scan FROM pg_stat_user_tables WHERE relname = 'orders'";
        scans = sqlx::query_as(sql).fetch_one(&mut connection).await.unwrap();
        if scans.1 >= 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The planner may look at the index's ends by itself.
    assert!(scans.0 == 0 && scans.1 >= 2, "sequential and index scans: {scans:?}");
}
