use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{SECOND, World, faults};
use crate::pipeline::Finished;
use crate::sink::{Outcome, StateChange};
use crate::testing::fault::{Fault, Faults, Gate, Method, When};
use crate::testing::network::Conditions;

/// A run in a task of its own, and time for it to claim.
async fn spawned(world: &World) -> JoinHandle<Finished> {
    let mut pipeline = world.pipeline();
    let run = tokio::spawn(async move { pipeline.run(&CancellationToken::new()).await });
    tokio::time::sleep(SECOND).await;
    run
}

#[tokio::test(start_paused = true)]
async fn a_run_beside_one_that_lives_is_skipped() {
    let slow = Fault::Slow(1_000 * SECOND);
    let world = World::new(2, faults([(Method::Batch, When::Call(1), slow)])).await;
    let first = spawned(&world).await;
    let second = world.run().await;
    assert_eq!((second.report.outcome, second.exit_code()), (Outcome::Skipped, 0));
    // It saw the lease being renewed, which happens after a third of it.
    assert!(second.report.duration <= world.options.lease_ttl / 2, "{second:?}");
    assert!(second.skipped_for.is_some());
    assert_eq!(first.await.unwrap().report.outcome, Outcome::Success);
    assert_eq!(world.keys(), [1, 2]);
    let outcomes: Vec<_> = world.target.ledger().into_iter().map(|row| row.outcome).collect();
    assert_eq!(outcomes, ["success", "skipped"]);
}

#[tokio::test(start_paused = true)]
async fn a_killed_runs_lease_is_waited_out() {
    let mut world = World::new(2, Faults::new(0)).await;
    world.options.deadline = Some(100 * SECOND);
    world.dead_run(20 * SECOND).await;
    let finished = world.run().await;
    assert_eq!(finished.report.outcome, Outcome::Success);
    assert!(finished.report.duration >= 20 * SECOND);
    assert!(finished.report.duration <= 22 * SECOND, "{:?}", finished.report.duration);
    assert_eq!(world.keys(), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_lease_given_back_while_we_wait_means_that_the_work_is_done() {
    let gate = Gate::new();
    let hold = Fault::Hold(gate.clone());
    let world = World::new(2, faults([(Method::Commit, When::Call(1), hold)])).await;
    let first = spawned(&world).await;
    gate.reached().await;
    let second = spawned(&world).await;
    gate.open();
    assert_eq!(first.await.unwrap().report.outcome, Outcome::Success);
    assert_eq!(second.await.unwrap().report.outcome, Outcome::Skipped);
    assert_eq!(world.keys(), [1, 2]);
}

/// The claim finds the lease held, the look at it finds it given back: nothing is waited for.
#[tokio::test(start_paused = true)]
async fn a_lease_given_back_while_we_look_means_that_the_work_is_done() {
    let mut skipped = 0;
    for millis in (0..2_000).step_by(50) {
        let gate = Gate::new();
        let hold = Fault::Hold(gate.clone());
        let world = World::new(2, faults([(Method::Commit, When::Call(2), hold)])).await;
        world.target.network().change(Conditions { work: 2 * SECOND, ..Conditions::default() });
        let first = spawned(&world).await;
        gate.reached().await;
        let mut pipeline = world.pipeline();
        let second = tokio::spawn(async move { pipeline.run(&CancellationToken::new()).await });
        tokio::time::sleep(Duration::from_millis(millis)).await;
        gate.open();
        assert_eq!(first.await.unwrap().report.outcome, Outcome::Success);
        let second = tokio::time::timeout(600 * SECOND, second).await.expect("it ends").unwrap();
        skipped += u32::from(second.report.outcome == Outcome::Skipped);
        assert_eq!(world.keys(), [1, 2], "{millis} ms");
    }
    assert!(skipped > 0);
}

#[tokio::test(start_paused = true)]
async fn skipping_for_too_long_is_a_temporary_failure() {
    let slow = Fault::Slow(1_000_000 * SECOND);
    let mut world = World::new(2, faults([(Method::Batch, When::Call(1), slow)])).await;
    world.options.max_skip = 300 * SECOND;
    let stuck = spawned(&world).await;
    for (minutes, code) in [(0, 0), (3, 0), (3, 75), (1, 75)] {
        tokio::time::sleep(minutes * 60 * SECOND).await;
        let finished = world.run().await;
        assert_eq!(finished.report.outcome, Outcome::Skipped);
        assert_eq!(finished.exit_code(), code, "skipped for {:?}", finished.skipped_for);
    }
    // Not longer than it may be: the first look tells of no time at all.
    let mut world = World::new(2, Faults::new(0)).await;
    world.dead_run(1_000 * SECOND).await;
    (world.options.max_skip, world.options.deadline) = (Duration::ZERO, Some(Duration::ZERO));
    let finished = world.run().await;
    assert_eq!((finished.skipped_for, finished.exit_code()), (Some(Duration::ZERO), 0));
    stuck.abort();
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_the_waiting_for_a_lease() {
    let mut world = World::new(2, Faults::new(0)).await;
    world.dead_run(1_000 * SECOND).await;
    world.options.deadline = Some(5 * SECOND);
    let finished = world.run().await;
    assert_eq!((finished.report.outcome, finished.exit_code()), (Outcome::Skipped, 0));
    assert!(finished.report.duration <= 6 * SECOND, "{:?}", finished.report.duration);
}

#[tokio::test(start_paused = true)]
async fn the_lease_is_renewed_during_a_long_read() {
    let slow = Fault::Slow(100 * SECOND);
    let mut world = World::new(2, faults([(Method::Batch, When::Call(1), slow)])).await;
    world.options.lease_ttl = 9 * SECOND;
    let run = spawned(&world).await;
    for _ in 0..6 {
        tokio::time::sleep(10 * SECOND).await;
        let mut other = world.pipeline();
        let skipped = other.run(&CancellationToken::new()).await;
        assert_eq!(skipped.report.outcome, Outcome::Skipped);
    }
    assert_eq!(run.await.unwrap().report.outcome, Outcome::Success);
    let renewals = world.faults.calls(Method::Renew);
    assert!((30..=35).contains(&renewals), "renewed {renewals} times in 100 s");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_cannot_be_renewed_ends_no_run() {
    let world = World::new(
        2,
        faults([
            (Method::Batch, When::Call(1), Fault::Slow(100 * SECOND)),
            (Method::Renew, When::Always, Fault::Refuse(crate::Class::Transient)),
        ]),
    )
    .await;
    let finished = world.run().await;
    assert_eq!(finished.report.outcome, Outcome::Success, "{:?}", finished.error);
    assert_eq!(world.keys(), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_lost_the_pipeline_stops_reading() {
    let slow = Fault::Slow(1_000 * SECOND);
    let world = World::new(2, faults([(Method::Batch, When::Call(1), slow)])).await;
    let run = spawned(&world).await;
    world.target.change(StateChange::Position(None)).await.unwrap();
    let finished = run.await.unwrap();
    assert_eq!((finished.report.outcome, finished.exit_code()), (Outcome::Fenced, 75));
    assert!(finished.report.duration <= world.options.lease_ttl / 2);
    assert!(world.keys().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_commit_after_a_takeover_writes_nothing() {
    let gate = Gate::new();
    let hold = Fault::Hold(gate.clone());
    let world = World::new(3, faults([(Method::Commit, When::Call(2), hold)])).await;
    let zombie = spawned(&world).await;
    gate.reached().await;
    tokio::time::sleep(world.options.lease_ttl).await;
    let second = world.run().await;
    assert_eq!(second.report.outcome, Outcome::Success);
    gate.open();
    assert_eq!(zombie.await.unwrap().report.outcome, Outcome::Fenced);
    assert_eq!(world.keys(), [1, 2, 3]);
}
