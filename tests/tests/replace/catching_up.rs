//! A row that is committed late, behind the place where an interrupted load goes on.

use std::time::Duration;

use etl_core::connector::Stream;
use etl_core::sink::{Claim, Fence, Run};
use etl_core::testing::Row;
use etl_core::{BatchLimits, Phase, Position, Sink};
use futures::StreamExt;
use serde_json::json;
use uuid::Uuid;

use super::{equal, replacing};
use crate::matrix::{TARGETS, insert, run};
use crate::support::side::Side;

/// What the engine does with a load, by hand.
struct Hand {
    sink: Box<dyn Sink>,
    fence: Fence,
    after: Option<Position>,
}

impl Hand {
    async fn claim(source: &Side, target: &Side, stream: &Stream) -> Self {
        let schema = source.schema(stream).await;
        let mut sink = target.sink(stream);
        sink.open(&schema).await.unwrap();
        let ttl = Duration::from_secs(2);
        let run = Run { id: Uuid::new_v4(), ttl, waited: false };
        let claimed = loop {
            if let Claim::Claimed(claimed) = sink.claim(&run).await.unwrap() {
                break claimed;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        let loading = claimed.phase == Phase::Loading;
        let fence = Fence {
            run: run.id,
            sequence: claimed.sequence,
            definition: schema.definition.to_text().unwrap(),
            ttl,
            generation: claimed.generation + i64::from(!loading),
        };
        Self { sink, fence, after: claimed.position.filter(|_| loading) }
    }

    /// Loads as many batches as there are, and at most so many.
    async fn load(&mut self, source: &Side, stream: &Stream, most: usize) {
        let limits = BatchLimits { rows: 100, bytes: 1 << 20 };
        let batches = source.built(stream).read(self.after.take(), limits).await.unwrap();
        let mut batches = batches.take(most);
        while let Some(batch) = batches.next().await {
            let batch = batch.unwrap();
            self.sink.commit(&batch, &self.fence).await.unwrap();
            self.fence.sequence += 1;
            self.after = Some(batch.position);
        }
    }
}

/// A load that was killed behind fresh rows, while an older transaction on row 3 was still open;
/// and that transaction then commits.
async fn interrupted(to: &str) -> (Side, Side, Stream) {
    let (source, target, stream) = replacing("postgres", to, json!({})).await;
    run(&source, &target, &stream).await;
    let Side::Postgres(database) = &source else { panic!("not Postgres") };
    let mut late = database.connect().await;
    let begin = "BEGIN; UPDATE orders SET name = 'late' WHERE id = 3";
    etl_tests::postgres::run(&mut late, begin).await;
    let fresh: Vec<_> = (3001..=3100).map(Row::new).collect();
    source.execute(&insert("postgres", &fresh)).await;
    // 506 rows are older than the transaction, so the sixth batch ends among the fresh ones.
    let mut killed = Hand::claim(&source, &target, &stream).await;
    killed.load(&source, &stream, 6).await;
    drop(killed);
    etl_tests::postgres::run(&mut late, "COMMIT").await;
    (source, target, stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_committed_while_a_load_is_interrupted_is_not_missed() {
    for to in TARGETS {
        let (source, target, stream) = interrupted(to).await;
        run(&source, &target, &stream).await;
        equal(&source, &target, to).await;
        assert_eq!(target.rows("id = 3").await["3"]["name"].as_deref(), Some("late"), "{to}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn control_without_a_second_sweep_a_row_that_was_committed_late_is_missed() {
    let (source, target, stream) = interrupted("postgres").await;
    let mut naive = Hand::claim(&source, &target, &stream).await;
    assert!(naive.after.is_some(), "the load begins anew, so this proves nothing");
    naive.load(&source, &stream, usize::MAX).await;
    naive.sink.apply(&naive.fence).await.unwrap();
    let name = target.rows("id = 3").await["3"]["name"].clone();
    assert_ne!(name.as_deref(), Some("late"), "the control lost nothing");
}
