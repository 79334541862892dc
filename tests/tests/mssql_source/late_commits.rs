//! Rows whose transaction commits long after it wrote them, and the ways of losing them that this
//! source does not take: each is here as a control that must lose rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use etl_core::position::Position;
use etl_core::source::Source;
use serde_json::json;

use super::support::{Target, Trial, begin, end, position, rows, run, sweep, sweep_error, value};

#[tokio::test(flavor = "multi_thread")]
async fn writers_lose_no_row_to_the_least_active_rowversion_and_some_to_the_greatest() {
    let Some(trial) = Trial::orders().await else { return };
    let trial = Arc::new(trial);
    let stop = Arc::new(AtomicBool::new(false));
    let next_id = Arc::new(AtomicI64::new(1));
    let writers: Vec<_> = (0..12)
        .map(|seed| {
            let (trial, stop, next_id) = (trial.clone(), stop.clone(), next_id.clone());
            tokio::spawn(async move { write_until(&trial, &stop, &next_id, seed).await })
        })
        .collect();

    let source = trial.source(|_| ());
    let mut safe = Follower::default();
    let mut naive = Follower::default();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(10) {
        safe.follow(&source).await;
        naive.follow_naively(&source).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    safe.follow(&source).await;
    naive.follow_naively(&source).await;

    let truth = trial.database.rows("SELECT id, note FROM dbo.orders ORDER BY id;").await;
    let lost = |follower: &Follower| {
        let differs = |row: &&Vec<Option<String>>| {
            follower.note(row[0].as_deref().unwrap()).as_ref() != row[1].as_ref()
        };
        truth.iter().filter(differs).count()
    };
    assert!(truth.len() > 50, "only {} rows were written", truth.len());
    assert_eq!(lost(&safe), 0, "of {} rows", truth.len());
    assert_eq!(safe.target.rows.len(), truth.len(), "rows that were rolled back came");
    assert!(lost(&naive) > 0, "the control lost nothing: this test proves nothing");
}

/// Transactions that insert, update, dawdle, and roll back now and then.
async fn write_until(trial: &Trial, stop: &AtomicBool, next_id: &AtomicI64, seed: u64) {
    let mut dice = fastrand::Rng::with_seed(seed);
    while !stop.load(Ordering::Relaxed) {
        let mut open = trial.begin("").await;
        for _ in 0..=dice.u32(0..2) {
            let (id, note) = (next_id.fetch_add(1, Ordering::Relaxed), dice.u32(..));
            run(&mut open, &format!("INSERT INTO dbo.orders (id, note) VALUES ({id}, '{note}');"))
                .await;
            // Its own row: others' might be locked.
            run(&mut open, &format!("UPDATE dbo.orders SET note = note + 'x' WHERE id = {id};"))
                .await;
            tokio::time::sleep(Duration::from_millis(dice.u64(0..500))).await;
        }
        let done = if dice.u32(0..5) == 0 { "ROLLBACK;" } else { "COMMIT;" };
        run(&mut open, done).await;
    }
}

/// A target and where it stands.
#[derive(Default)]
struct Follower {
    target: Target,
    after: Option<Position>,
}

impl Follower {
    async fn follow(&mut self, source: &Arc<dyn Source>) {
        let batches = sweep(source, self.after.as_ref(), rows(50)).await.unwrap();
        self.target.apply(&batches);
        self.after = Some(end(&batches));
    }

    /// As a job does that keeps the greatest value seen.
    async fn follow_naively(&mut self, source: &Arc<dyn Source>) {
        self.follow(source).await;
        let mut place = value(self.after.as_ref().unwrap());
        if !place["high"].is_null() {
            place["low"] = place["high"].clone();
        }
        self.after = Some(position(&place));
    }

    fn note(&self, id: &str) -> Option<String> {
        self.target.rows.get(id)?["note"].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_stays_open_over_four_sweeps_is_read_once_it_commits() {
    let Some(trial) = Trial::orders().await else { return };
    trial.insert(1..=10, "a").await;
    let source = trial.source(|_| ());
    let mut safe = Follower::default();
    let mut naive = Follower::default();
    safe.follow(&source).await;
    naive.follow_naively(&source).await;
    let mut open = trial
        .begin(
            "INSERT INTO dbo.orders (id, note) VALUES (100, 'late'); \
             UPDATE dbo.orders SET note = 'late' WHERE id = 1;",
        )
        .await;
    let horizon = |follower: &Follower| value(follower.after.as_ref().unwrap())["h"].clone();
    let mut held = None;
    for round in 0..4 {
        trial.insert(200 + round..=200 + round, "b").await;
        safe.follow(&source).await;
        naive.follow_naively(&source).await;
        assert_eq!(safe.note("100"), None);
        assert_eq!(safe.note("1").as_deref(), Some("a"), "the version that is committed");
        let new = (200 + round).to_string();
        assert_eq!(safe.note(&new).as_deref(), Some("b"), "rows above the horizon arrive");
        assert_eq!(*held.get_or_insert_with(|| horizon(&safe)), horizon(&safe));
    }
    run(&mut open, "COMMIT;").await;
    safe.follow(&source).await;
    naive.follow_naively(&source).await;
    assert_eq!(safe.note("100").as_deref(), Some("late"));
    assert_eq!(safe.note("1").as_deref(), Some("late"));
    assert_eq!(naive.note("100"), None, "the control lost nothing: this test proves nothing");
    assert!(safe.target.reread >= 4, "rows above the horizon are read again and counted");
    assert_ne!(held, Some(horizon(&safe)));
}

/// A sweep is interrupted behind rows of an open transaction, which then commits.
async fn interrupted_behind_an_open_transaction(trial: &Trial) -> (Arc<dyn Source>, Follower) {
    let mut open = trial.begin("INSERT INTO dbo.orders (id, note) VALUES (1, 'late');").await;
    trial.insert(2..=20, "a").await;
    let source = trial.source(|_| ());
    let batches = begin(&source, None, rows(5), 2).await.unwrap();
    run(&mut open, "COMMIT;").await;
    let mut follower = Follower::default();
    follower.target.apply(&batches);
    follower.after = Some(end(&batches));
    (source, follower)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_sweep_keeps_its_horizon_and_so_finds_what_was_written_behind_it() {
    let Some(trial) = Trial::orders().await else { return };
    let (source, mut follower) = interrupted_behind_an_open_transaction(&trial).await;
    follower.follow(&source).await;
    follower.follow(&source).await;
    assert_eq!(follower.target.rows.len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn control_a_fresh_least_active_rowversion_for_each_page_loses_rows() {
    let Some(trial) = Trial::orders().await else { return };
    let (source, mut follower) = interrupted_behind_an_open_transaction(&trial).await;
    let sql = "SELECT CONVERT(nvarchar(18), CONVERT(varbinary(8), MIN_ACTIVE_ROWVERSION()), 1);";
    let fresh = trial.database.rows(sql).await[0][0].clone().unwrap();
    let mut place = value(follower.after.as_ref().unwrap());
    place["h"] = json!(fresh);
    follower.after = Some(position(&place));
    follower.follow(&source).await;
    follower.follow(&source).await;
    assert_eq!(
        follower.target.rows.len(),
        19,
        "the control lost nothing: the test above proves nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn append_delivers_each_settled_version_once_beside_an_open_transaction() {
    let Some(trial) = Trial::orders().await else { return };
    let source = trial.source(|config| config["mode"] = json!("append"));
    let mut open = trial.begin("INSERT INTO dbo.orders (id, note) VALUES (1, 'late');").await;
    trial.insert(2..=2, "a").await;
    let mut follower = Follower::default();
    for _ in 0..2 {
        follower.follow(&source).await;
        assert_eq!(follower.target.read, 0, "nothing above the horizon is appended");
    }
    run(&mut open, "COMMIT;").await;
    for _ in 0..3 {
        follower.follow(&source).await;
    }
    assert_eq!((follower.target.read, follower.target.ids()), (2, vec![1, 2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_row_versions_a_sweep_waits_for_a_writer_or_gives_up_and_loses_nothing() {
    let Some(trial) = Trial::orders().await else { return };
    let database = &trial.database.owner.database;
    let off = format!("ALTER DATABASE [{database}] SET ALLOW_SNAPSHOT_ISOLATION OFF;");
    trial.execute(&off).await;
    trial.insert(1..=10, "a").await;
    let mut section = trial.database.section();
    section["lock_timeout"] = json!("300ms");
    let source = super::support::build(&section, &super::support::stream("dbo.orders", |_| ()));
    let source = source.unwrap();
    let mut follower = Follower::default();
    follower.follow(&source).await;
    let mut open = trial.begin("UPDATE dbo.orders SET note = 'late' WHERE id = 5;").await;
    trial.insert(11..=12, "b").await;
    // The first load of another target reaches the row.
    let error = sweep_error(&source, None).await;
    assert_eq!((error.class(), error.code()), (etl_core::Class::Transient, Some("1222")));
    run(&mut open, "COMMIT;").await;
    follower.follow(&source).await;
    assert_eq!(follower.note("5").as_deref(), Some("late"));
    assert_eq!(follower.target.rows.len(), 12);
    let append = trial.source(|config| config["mode"] = json!("append"));
    let error = sweep_error(&append, None).await;
    assert!(error.to_string().contains("ALLOW_SNAPSHOT_ISOLATION"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_restored_to_an_earlier_state_is_noticed() {
    let Some(trial) = Trial::orders().await else { return };
    trial.insert(1..=10, "a").await;
    let source = trial.source(|_| ());
    let mut follower = Follower::default();
    follower.follow(&source).await;
    let mut place = value(follower.after.as_ref().unwrap());
    place["h"] = json!("0x0000000000FFFFFF");
    let error = sweep_error(&source, Some(&position(&place))).await;
    assert_eq!(error.class(), etl_core::Class::Schema);
    assert!(error.to_string().contains("a backup was restored"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn freshness_stands_still_behind_an_open_transaction_and_then_goes_on() {
    let Some(trial) = Trial::orders().await else { return };
    trial.insert(1..=3, "a").await;
    let source = trial.source(|_| ());
    let mut after = None;
    let mut fresh = async || {
        let batches = sweep(&source, after.as_ref(), rows(50)).await.unwrap();
        after = Some(end(&batches));
        batches.last().unwrap().progress.horizon_micros
    };
    let first = fresh().await.expect("nothing is under way");
    let mut open = trial.begin("INSERT INTO dbo.orders (id, note) VALUES (10, 'late');").await;
    let behind = fresh().await.unwrap();
    assert!(behind >= first);
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(fresh().await, Some(behind), "what is open may be older than now");
    run(&mut open, "COMMIT;").await;
    assert!(fresh().await.unwrap() > behind);
    // Somebody always writes: each sweep settles what the one before saw.
    let mut last = fresh().await.unwrap();
    for id in 20..24 {
        let mut open =
            trial.begin(&format!("INSERT INTO dbo.orders (id, note) VALUES ({id}, 'b');")).await;
        fresh().await;
        let mut next = trial
            .begin(&format!("INSERT INTO dbo.orders (id, note) VALUES ({}, 'b');", id + 100))
            .await;
        run(&mut open, "COMMIT;").await;
        let now = fresh().await.unwrap();
        assert!(now > last, "freshness stands still although every transaction is short");
        last = now;
        run(&mut next, "COMMIT;").await;
    }
}

/// A transaction stays open for longer than the margin, beside one that is read meanwhile.
async fn follow_a_period(safety: serde_json::Value) -> Option<Vec<i64>> {
    let database = super::support::database(|can| can.transactions).await?;
    database
        .run(
            "CREATE TABLE dbo.orders (id bigint NOT NULL PRIMARY KEY, note nvarchar(9) NULL, \
             at datetime2(6) GENERATED ALWAYS AS ROW START NOT NULL, \
             till datetime2(6) GENERATED ALWAYS AS ROW END NOT NULL, \
             PERIOD FOR SYSTEM_TIME (at, till)); CREATE INDEX ix ON dbo.orders (at);",
        )
        .await;
    let trial = Trial { database, table: "dbo.orders".to_owned() };
    let source = trial.source(|config| {
        config["select"] = json!(["id", "note", "at"]);
        config["cursor"] = json!({ "column": "at", "safety": safety });
    });
    let mut open = trial.begin("INSERT INTO dbo.orders (id, note) VALUES (1, 'late');").await;
    trial.insert(2..=2, "a").await;
    let mut follower = Follower::default();
    for id in 3..5 {
        tokio::time::sleep(Duration::from_millis(2_100)).await;
        trial.insert(id..=id, "a").await;
        follower.follow(&source).await;
    }
    run(&mut open, "COMMIT;").await;
    follower.follow(&source).await;
    Some(follower.target.ids())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_that_the_server_sets_is_safe_behind_the_oldest_transaction() {
    let Some(ids) = follow_a_period(json!("horizon")).await else { return };
    assert_eq!(ids, [1, 2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn control_the_clock_alone_loses_rows_that_commit_later_than_the_margin() {
    let Some(ids) = follow_a_period(json!({ "lookback": "2s" })).await else { return };
    assert_eq!(ids, [2, 3, 4], "the control lost nothing: the test above proves nothing");
}
