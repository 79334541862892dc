//! Rows that a real target refuses: they are put aside, all others land, on every target.

use std::collections::BTreeSet;
use std::time::Duration;

use etl_core::connector::Stream;
use etl_core::pipeline::Finished;
use etl_core::testing::Row;
use etl_core::{BatchLimits, MaxRejected, Outcome, Pipeline, PipelineOptions};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::matrix::{TARGETS, insert, prepared};
use crate::support::side::Side;

/// An amount that the targets' checks refuse, in hundredths.
const REFUSED: i128 = 13;
const CONFIRMED: &str = "status = 'confirmed'";
/// The rows of these tests; others of the source come with it.
const FIRST: i64 = 10_000;

struct World {
    source: Side,
    target: Side,
    stream: Stream,
    bad: BTreeSet<i64>,
}

impl World {
    /// `count` rows at the source, of which the target refuses `bad`.
    async fn new(to: &str, count: i64, bad: usize) -> Self {
        let (source, target, stream) = prepared("sqlite", to, json!({})).await;
        target
            .execute(match to {
                "mssql" => {
                    "ALTER TABLE dbo.orders ADD CONSTRAINT ck_amount CHECK (amount <> 0.13);"
                }
                "postgres" => "ALTER TABLE orders ADD CONSTRAINT ck_amount CHECK (amount <> 0.13)",
                _ => {
                    "CREATE TRIGGER ck_insert BEFORE INSERT ON orders WHEN NEW.amount = '0.13'
                     BEGIN SELECT RAISE(ABORT, 'refused'); END;
                     CREATE TRIGGER ck_update BEFORE UPDATE ON orders WHEN NEW.amount = '0.13'
                     BEGIN SELECT RAISE(ABORT, 'refused'); END"
                }
            })
            .await;
        let mut random = fastrand::Rng::with_seed(5);
        let mut chosen = BTreeSet::new();
        while chosen.len() < bad {
            chosen.insert(FIRST + random.i64(0..count));
        }
        let amount = |id| if chosen.contains(&id) { REFUSED } else { 1_000 + i128::from(id) };
        let rows: Vec<_> =
            (FIRST..FIRST + count).map(|id| Row::new(id).amount(amount(id))).collect();
        for rows in rows.chunks(500) {
            source.execute(&insert("sqlite", rows)).await;
        }
        Self { source, target, stream, bad: chosen }
    }

    fn pipeline(&self, max_rejected: MaxRejected) -> Pipeline {
        let (from, to) = (self.source.built(&self.stream), self.target.sink(&self.stream));
        let limits = BatchLimits { rows: 5_000, bytes: 64 << 20 };
        let options = PipelineOptions { limits, max_rejected, ..PipelineOptions::default() };
        Pipeline::new(self.stream.full_name(), from, Vec::new(), to, options)
    }

    async fn run(&self, max_rejected: MaxRejected) -> Finished {
        self.pipeline(max_rejected).run(&CancellationToken::new()).await
    }

    async fn succeeds(&self) -> Finished {
        let finished = self.run(MaxRejected::Rows(1_000)).await;
        assert_eq!(finished.report.outcome, Outcome::Success, "{:?}", finished.error);
        finished
    }

    async fn quarantined(&self) -> BTreeSet<i64> {
        let entries = self.target.admin(&self.stream).quarantined().await.unwrap();
        let id = |key: &etl_core::RowKey| key.parts().unwrap()[0].parse().unwrap();
        entries.iter().map(|entry| id(&entry.rejected.key)).collect()
    }

    /// Every row that passes is in the target as it is at the source, or its key in the quarantine.
    async fn parted(&self, aside: &BTreeSet<i64>, what: &str) {
        let mut wanted = self.source.rows(CONFIRMED).await;
        wanted.retain(|id, _| !aside.contains(&id.parse().unwrap()));
        let found = self.target.rows("1 = 1").await;
        assert_eq!(found.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>(), "{what}");
        assert!(found == wanted, "{what}: a row differs");
        assert_eq!(self.quarantined().await, *aside, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_rows_are_put_aside_and_all_others_land() {
    for to in TARGETS {
        // Each probe of a few thousand rows takes the server's double long.
        let many = if *to == "mssql" { 500 } else { 2_000 };
        for (count, bad) in [(2_000, 1), (many, many / 20), (200, 100)] {
            let bad = usize::try_from(bad).unwrap();
            let world = World::new(to, count, bad).await;
            let what = format!("{to}: {bad} of {count}");
            let started = std::time::Instant::now();
            let finished = world.succeeds().await;
            println!("{what}: {:?}", started.elapsed());
            world.parted(&world.bad, &what).await;
            assert_eq!(finished.report.quarantined, u64::try_from(bad).unwrap(), "{what}");
            let ledger = world.target.admin(&world.stream).ledger().await.unwrap().unwrap();
            let told = (ledger.quarantined, ledger.rows.quarantined, ledger.runs.success);
            let bad = u64::try_from(bad).unwrap();
            assert_eq!(told, (bad, bad, 1), "{what}");
            let entries = world.target.admin(&world.stream).quarantined().await.unwrap();
            assert!(entries.iter().all(|entry| entry.attempts == 1), "{what}");
            assert!(entries.iter().all(|entry| entry.rejected.code.is_some()), "{what}");
            // No value of a row: the amount is in none.
            assert!(!entries.iter().any(|e| e.rejected.reason.contains("0.13")), "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_stops_the_run_and_nothing_is_written() {
    for to in TARGETS {
        let world = World::new(to, 200, 6).await;
        for limit in [MaxRejected::default(), MaxRejected::Rows(5), MaxRejected::Share(0.005)] {
            let finished = world.run(limit).await;
            assert_eq!(finished.exit_code(), 65, "{to}, {limit}: {:?}", finished.error);
            let text = format!("{:?}", finished.error.unwrap());
            let told = limit == MaxRejected::default() || text.contains("quarantine.max_rows is");
            assert!(told, "{to}, {limit}: {text}");
            assert!(world.target.rows("1 = 1").await.is_empty(), "{to}, {limit}");
            assert!(world.quarantined().await.is_empty(), "{to}, {limit}");
            let checkpoint = world.target.admin(&world.stream).checkpoint().await.unwrap();
            assert_eq!(checkpoint.unwrap().position, None, "{to}, {limit}");
        }
        let finished = world.run(MaxRejected::Rows(6)).await;
        assert_eq!(finished.report.outcome, Outcome::Success, "{to}: {:?}", finished.error);
        world.parted(&world.bad, to).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_good_row_and_a_delete_clear() {
    for to in TARGETS {
        let world = World::new(to, 50, 4).await;
        world.succeeds().await;
        let bad: Vec<_> = world.bad.iter().copied().collect();
        for change in [
            format!("UPDATE orders SET amount = '7.00' WHERE id = {}", bad[0]),
            format!("UPDATE orders SET status = 'cancelled' WHERE id = {}", bad[1]),
            format!("UPDATE orders SET name = 'still bad' WHERE id = {}", bad[2]),
        ] {
            world.source.execute(&change).await;
        }
        world.succeeds().await;
        world.parted(&BTreeSet::from([bad[2], bad[3]]), to).await;
        let entries = world.target.admin(&world.stream).quarantined().await.unwrap();
        assert!(entries.iter().any(|entry| entry.attempts == 2), "{to}: {entries:?}");
        assert!(entries.iter().all(|e| e.first_seen_micros <= e.last_seen_micros), "{to}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_only_together_are_bad_are_kept_apart() {
    for to in TARGETS {
        let world = World::new(to, 100, 0).await;
        world
            .target
            .execute(match *to {
                "mssql" => "CREATE UNIQUE INDEX u_name ON dbo.orders (name);",
                // Looked at when the transaction commits, and so by a probe only if it is told to.
                "postgres" => {
                    "ALTER TABLE orders ADD CONSTRAINT u_name UNIQUE (name)
                     DEFERRABLE INITIALLY DEFERRED"
                }
                _ => "CREATE UNIQUE INDEX u_name ON orders (name)",
            })
            .await;
        let (one, other) = (FIRST + 3, FIRST + 91);
        // To some collations of SQL Server such a name is equal to an empty one.
        world.source.execute("UPDATE orders SET name = 'trucks' WHERE id = 1003").await;
        let same = format!("UPDATE orders SET name = 'same' WHERE id IN ({one}, {other})");
        world.source.execute(&same).await;
        world.succeeds().await;
        let aside = world.quarantined().await;
        assert!(
            aside == BTreeSet::from([one]) || aside == BTreeSet::from([other]),
            "{to}: {aside:?}"
        );
        world.parted(&aside, to).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_dropped_anywhere_loses_no_row() {
    for to in TARGETS {
        let world = World::new(to, 120, 12).await;
        for millis in [5, 20, 40, 80, 120, 200, 300] {
            let mut pipeline = world.pipeline(MaxRejected::Rows(20));
            let run = async move { pipeline.run(&CancellationToken::new()).await };
            let dropped = tokio::time::timeout(Duration::from_millis(millis), run).await;
            let ended = dropped.is_ok_and(|finished| finished.report.outcome == Outcome::Success);
            let (rows, aside) = (world.target.rows("1 = 1").await, world.quarantined().await);
            // One transaction: both or neither.
            assert_eq!(rows.is_empty(), aside.is_empty(), "{to}, {millis} ms");
            assert!(!ended || aside == world.bad, "{to}, {millis} ms");
        }
        let admin = world.target.admin(&world.stream);
        drop(admin);
        // The lease of the last one is waited out.
        world.succeeds().await;
        world.parted(&world.bad, to).await;
    }
}
