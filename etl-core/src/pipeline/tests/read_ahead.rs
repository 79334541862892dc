use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{SECOND, World, faults};
use crate::sink::Outcome;
use crate::testing::fault::{Fault, Gate, Method, When};

#[tokio::test(start_paused = true)]
async fn one_batch_is_read_while_one_is_committed_and_no_more() {
    let gate = Gate::new();
    let hold = Fault::Hold(gate.clone());
    let world = World::new(9, faults([(Method::Commit, When::Call(3), hold)])).await;
    let mut pipeline = world.pipeline();
    let run = tokio::spawn(async move { pipeline.run(&CancellationToken::new()).await });
    gate.reached().await;
    tokio::time::sleep(100 * SECOND).await;
    assert_eq!(world.faults.calls(Method::Batch), 4, "batches read while the third is committed");
    gate.open();
    assert_eq!(run.await.unwrap().report.outcome, Outcome::Success);
    assert_eq!(world.keys().len(), 9);
}

#[tokio::test(start_paused = true)]
async fn a_killed_run_lets_go_of_a_source_that_hangs() {
    let slow = Fault::Slow(1_000_000 * SECOND);
    let world = World::new(5, faults([(Method::Batch, When::Call(2), slow)])).await;
    let source = Arc::new(world.source());
    let alive = Arc::downgrade(&source);
    let mut pipeline = world.pipeline_from(source);
    let run = tokio::spawn(async move { pipeline.run(&CancellationToken::new()).await });
    tokio::time::sleep(10 * SECOND).await;
    assert!(alive.upgrade().is_some());
    run.abort();
    tokio::time::sleep(SECOND).await;
    assert!(alive.upgrade().is_none(), "something still reads");
}

#[tokio::test(start_paused = true)]
async fn a_killed_run_reads_no_further() {
    let slow = Fault::Slow(SECOND);
    let world = World::new(50, faults([(Method::Batch, When::Always, slow)])).await;
    let mut pipeline = world.pipeline();
    let run = tokio::spawn(async move { pipeline.run(&CancellationToken::new()).await });
    tokio::time::sleep(10 * SECOND).await;
    run.abort();
    run.await.unwrap_err();
    let read = world.faults.calls(Method::Batch);
    tokio::time::sleep(100 * SECOND).await;
    assert!(read >= 9, "read {read}");
    assert_eq!(world.faults.calls(Method::Batch), read);
}
