//! Rows whose transaction commits long after it wrote them, and the two ways of losing them that
//! this source does not take: each is here as a control that must lose rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use etl_core::position::Position;
use etl_core::source::Source;
use etl_sql::postgres::horizon;
use etl_tests::postgres::run;
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row};

use super::support::{Target, Trial, WIDE, begin, end, position, rows, sweep, value};

/// More than the guard of the streams here.
const SETTLED: Duration = Duration::from_millis(1_100);

#[tokio::test(flavor = "multi_thread")]
async fn twenty_writers_lose_no_row_to_the_horizon_and_some_to_a_watermark() {
    let trial = Arc::new(Trial::orders().await);
    let stop = Arc::new(AtomicBool::new(false));
    let next_id = Arc::new(AtomicI64::new(1));
    let writers: Vec<_> = (0..20)
        .map(|seed| {
            let (trial, stop, next_id) = (trial.clone(), stop.clone(), next_id.clone());
            tokio::spawn(async move { write_until(&trial, &stop, &next_id, seed).await })
        })
        .collect();

    let source = trial.source(|_| ());
    let mut safe = Follower::default();
    let mut naive = Follower::default();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(15) {
        safe.follow(&source).await;
        naive.follow_naively(&source).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    tokio::time::sleep(SETTLED).await;
    safe.follow(&source).await;
    naive.follow_naively(&source).await;

    let truth = truth(&trial).await;
    let lost = |follower: &Follower| {
        truth.iter().filter(|(id, note)| follower.note(*id).as_ref() != Some(note)).count()
    };
    assert!(truth.len() > 100, "only {} rows were written", truth.len());
    assert_eq!(lost(&safe), 0, "of {} rows", truth.len());
    assert_eq!(safe.target.rows.len(), truth.len(), "rows that were rolled back came");
    assert!(lost(&naive) > 0, "the control lost nothing: this test proves nothing");
}

/// Transactions of up to three seconds that insert, update, roll back in parts and as a whole.
pub(super) async fn write_until(trial: &Trial, stop: &AtomicBool, next_id: &AtomicI64, seed: u64) {
    let mut connection = trial.database.connect().await;
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) + 1);
    while !stop.load(Ordering::Relaxed) {
        run(&mut connection, "BEGIN").await;
        for _ in 0..=dice.below(3) {
            let id = next_id.fetch_add(1, Ordering::Relaxed);
            let note = dice.below(1_000_000);
            run(&mut connection, &format!("INSERT INTO orders VALUES ({id}, '{note}')")).await;
            let other = i64::try_from(dice.below(u64::try_from(id).unwrap())).unwrap() + 1;
            let update = format!(
                "SAVEPOINT a; UPDATE orders SET note = '{}' WHERE id = (SELECT id FROM orders \
                 WHERE id = {other} FOR UPDATE SKIP LOCKED)",
                dice.below(1_000_000)
            );
            run(&mut connection, &update).await;
            if dice.below(4) == 0 {
                run(&mut connection, "ROLLBACK TO SAVEPOINT a").await;
            }
            tokio::time::sleep(Duration::from_millis(dice.below(1_000))).await;
        }
        run(&mut connection, if dice.below(5) == 0 { "ROLLBACK" } else { "COMMIT" }).await;
    }
}

/// xorshift: the same workload in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

pub(super) async fn truth(trial: &Trial) -> Vec<(i64, String)> {
    let mut connection = trial.database.connect().await;
    let rows = sqlx::query("SELECT id, note FROM orders ORDER BY id");
    let rows = rows.fetch_all(&mut connection).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// A target and where it stands.
#[derive(Default)]
pub(super) struct Follower {
    pub(super) target: Target,
    pub(super) after: Option<Position>,
}

impl Follower {
    pub(super) async fn follow(&mut self, source: &Arc<dyn Source>) {
        let batches = sweep(source, self.after.as_ref(), rows(50)).await.unwrap();
        self.target.apply(&batches);
        self.after = Some(end(&batches));
    }

    /// As a job does that keeps the greatest value seen.
    async fn follow_naively(&mut self, source: &Arc<dyn Source>) {
        self.follow(source).await;
        let greatest = self.target.rows.values().filter_map(|row| row["updated_at"].clone()).max();
        let mut place = value(self.after.as_ref().unwrap());
        place["low"] = json!(greatest);
        self.after = Some(position(&place));
    }

    pub(super) fn note(&self, id: i64) -> Option<String> {
        self.target.rows.get(&id.to_string())?["note"].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_stays_open_over_four_sweeps_is_read_once_it_commits() {
    let trial = Trial::orders().await;
    trial.execute("INSERT INTO orders SELECT n, 'a' FROM generate_series(1, 10) n").await;
    tokio::time::sleep(SETTLED).await;
    let source = trial.source(|_| ());
    let mut safe = Follower::default();
    let mut naive = Follower::default();
    safe.follow(&source).await;
    naive.follow_naively(&source).await;
    let mut open = trial.database.connect().await;
    run(&mut open, "BEGIN; INSERT INTO orders VALUES (100, 'late'); UPDATE orders SET note = 'late' WHERE id = 1").await;
    for round in 0..4 {
        trial.execute(&format!("INSERT INTO orders VALUES ({}, 'b')", 200 + round)).await;
        tokio::time::sleep(SETTLED).await;
        safe.follow(&source).await;
        naive.follow_naively(&source).await;
        assert_eq!(safe.note(100), None);
        assert_eq!(safe.note(200 + round).as_deref(), Some("b"), "rows above the horizon arrive");
    }
    run(&mut open, "COMMIT").await;
    safe.follow(&source).await;
    naive.follow_naively(&source).await;
    assert_eq!(safe.note(100).as_deref(), Some("late"));
    assert_eq!(safe.note(1).as_deref(), Some("late"));
    assert_eq!(naive.note(100), None, "the control lost nothing: this test proves nothing");
    assert!(safe.target.reread >= 4, "rows above the horizon are read again and counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_began_before_the_first_load_is_read_once_it_commits() {
    let trial = Trial::orders().await;
    let mut open = trial.database.connect().await;
    run(&mut open, "BEGIN; INSERT INTO orders VALUES (1, 'late')").await;
    tokio::time::sleep(SETTLED).await;
    trial.execute("INSERT INTO orders SELECT n, 'a' FROM generate_series(2, 100) n").await;
    let source = trial.source(|_| ());
    let mut safe = Follower::default();
    safe.follow(&source).await;
    assert_eq!(safe.target.rows.len(), 99);
    run(&mut open, "COMMIT").await;
    safe.follow(&source).await;
    assert_eq!(safe.note(1).as_deref(), Some("late"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_transaction_is_read_once_it_commits() {
    let trial = Trial::orders().await;
    let source = trial.source(|_| ());
    trial.execute("INSERT INTO orders VALUES (1, 'a')").await;
    tokio::time::sleep(SETTLED).await;
    let mut safe = Follower::default();
    safe.follow(&source).await;
    let before = value(safe.after.as_ref().unwrap());
    let name = &trial.database.name;
    let prepare =
        format!("BEGIN; INSERT INTO orders VALUES (2, 'late'); PREPARE TRANSACTION '{name}'");
    trial.execute(&prepare).await;
    for id in 10..13 {
        trial.execute(&format!("INSERT INTO orders VALUES ({id}, 'b')")).await;
        tokio::time::sleep(SETTLED).await;
        safe.follow(&source).await;
        assert_eq!(safe.note(id).as_deref(), Some("b"));
        assert_eq!(value(safe.after.as_ref().unwrap())["h"], before["h"], "the horizon moved");
    }
    trial.execute(&format!("COMMIT PREPARED '{name}'")).await;
    safe.follow(&source).await;
    assert_eq!(safe.note(2).as_deref(), Some("late"));
    assert_ne!(value(safe.after.as_ref().unwrap())["h"], before["h"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_transaction_before_the_first_load_keeps_the_horizon_unknown() {
    let trial = Trial::orders().await;
    let name = &trial.database.name;
    trial.execute("INSERT INTO orders VALUES (1, 'a')").await;
    let prepare =
        format!("BEGIN; INSERT INTO orders VALUES (2, 'late'); PREPARE TRANSACTION '{name}'");
    trial.execute(&prepare).await;
    let source = trial.source(|_| ());
    let append = trial.source(|config| config["mode"] = json!("append"));
    let mut safe = Follower::default();
    let mut appended = Follower::default();
    tokio::time::sleep(SETTLED).await;
    for _ in 0..2 {
        safe.follow(&source).await;
        appended.follow(&append).await;
        assert_eq!(value(safe.after.as_ref().unwrap())["h"], Value::Null);
        assert_eq!(safe.target.ids(), [1]);
        assert!(appended.target.rows.is_empty(), "nothing is settled");
    }
    trial.execute(&format!("COMMIT PREPARED '{name}'")).await;
    safe.follow(&source).await;
    appended.follow(&append).await;
    assert_eq!(safe.target.ids(), [1, 2]);
    assert_eq!(appended.target.read, 2, "each row once");
}

/// A sweep is interrupted behind rows of an open transaction, which then commits.
async fn interrupted_behind_an_open_transaction(trial: &Trial) -> (Arc<dyn Source>, Follower) {
    let mut open = trial.database.connect().await;
    run(&mut open, "BEGIN; INSERT INTO orders VALUES (1, 'late')").await;
    tokio::time::sleep(SETTLED).await;
    trial.execute("INSERT INTO orders SELECT n, 'a' FROM generate_series(2, 20) n").await;
    let source = trial.source(|_| ());
    let batches = begin(&source, None, rows(5), 2).await.unwrap();
    run(&mut open, "COMMIT").await;
    tokio::time::sleep(SETTLED).await;
    let mut follower = Follower::default();
    follower.target.apply(&batches);
    follower.after = Some(end(&batches));
    (source, follower)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_sweep_keeps_its_horizon_and_so_finds_what_was_written_behind_it() {
    let trial = Trial::orders().await;
    let (source, mut follower) = interrupted_behind_an_open_transaction(&trial).await;
    follower.follow(&source).await;
    follower.follow(&source).await;
    assert_eq!(follower.target.rows.len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn control_a_fresh_horizon_for_each_page_loses_rows() {
    let trial = Trial::orders().await;
    let (source, mut follower) = interrupted_behind_an_open_transaction(&trial).await;
    let fresh = fresh_horizon(&mut trial.database.connect().await).await;
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

async fn fresh_horizon(connection: &mut PgConnection) -> String {
    let found = horizon::horizon(connection, Duration::from_secs(1)).await.unwrap();
    let settled = found.settled.expect("a horizon");
    assert!(settled <= found.clock - 1_000_000);
    etl_sql::postgres::copy::timestamp_text(settled).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_horizon_is_behind_every_open_transaction_of_this_database_and_no_other() {
    let trial = Trial::orders().await;
    let other = Trial::orders().await;
    let mut connection = trial.database.connect().await;
    let mut open = trial.database.connect().await;
    let mut elsewhere = other.database.connect().await;
    run(&mut elsewhere, "BEGIN; SELECT 1").await;
    let free = horizon::horizon(&mut connection, Duration::from_secs(1)).await.unwrap();
    assert_eq!(free.settled, Some(free.clock - 1_000_000));
    run(&mut open, "BEGIN; SELECT 1").await;
    let sql = "SELECT (extract(epoch FROM now()) * 1000000)::int8";
    let began: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut open).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let held = horizon::horizon(&mut connection, Duration::from_secs(1)).await.unwrap();
    assert!(held.settled.unwrap() <= began - 1_000_000 && held.clock > began);
    run(&mut open, "COMMIT").await;
    let free = horizon::horizon(&mut connection, Duration::from_secs(1)).await.unwrap();
    assert_eq!(free.settled, Some(free.clock - 1_000_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn append_delivers_each_settled_version_once_beside_an_open_transaction() {
    let trial = Trial::orders().await;
    let source = trial.source(|config| config["mode"] = json!("append"));
    let mut open = trial.database.connect().await;
    run(&mut open, "BEGIN; INSERT INTO orders VALUES (1, 'late')").await;
    trial.execute("INSERT INTO orders VALUES (2, 'a')").await;
    tokio::time::sleep(SETTLED).await;
    let mut follower = Follower::default();
    for _ in 0..2 {
        follower.follow(&source).await;
        assert_eq!(follower.target.read, 0, "nothing above the horizon is appended");
    }
    run(&mut open, "COMMIT").await;
    tokio::time::sleep(SETTLED).await;
    for _ in 0..3 {
        follower.follow(&source).await;
    }
    assert_eq!((follower.target.read, follower.target.ids()), (2, vec![1, 2]));
    assert!(sweep(&source, follower.after.as_ref(), WIDE).await.unwrap()[0].changes.is_empty());
}
