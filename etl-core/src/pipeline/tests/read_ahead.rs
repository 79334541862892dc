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
