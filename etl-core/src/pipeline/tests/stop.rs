use tokio_util::sync::CancellationToken;

use super::{SECOND, World, faults};
use crate::sink::Outcome;
use crate::testing::fault::{Fault, Faults, Method, When};

#[tokio::test(start_paused = true)]
async fn the_deadline_stops_between_batches_and_the_next_run_goes_on() {
    let slow = Fault::Slow(2 * SECOND);
    let mut world = World::new(6, faults([(Method::Batch, When::Always, slow)])).await;
    world.options.deadline = Some(5 * SECOND);
    let first = world.run().await;
    assert_eq!((first.report.outcome, first.exit_code()), (Outcome::Stopped, 0));
    assert_eq!(first.report.batches, 2);
    assert_eq!(first.report.duration, 5 * SECOND);
    assert_eq!(world.keys(), [1, 2]);
    world.options.deadline = None;
    let second = world.run().await;
    assert_eq!(second.report.outcome, Outcome::Success);
    assert_eq!(second.report.checkpoint_from, first.report.checkpoint_to);
    assert_eq!(world.keys(), [1, 2, 3, 4, 5, 6]);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_before_the_first_batch_is_a_temporary_failure() {
    let slow = Fault::Slow(60 * SECOND);
    let mut world = World::new(2, faults([(Method::Batch, When::Always, slow)])).await;
    world.options.deadline = Some(5 * SECOND);
    let finished = world.run().await;
    assert_eq!((finished.report.outcome, finished.exit_code()), (Outcome::Stopped, 75));
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_run_behind_the_batch_under_way() {
    let world = World::new(6, Faults::new(0)).await;
    let stop = CancellationToken::new();
    let stopper = stop.clone();
    let stop_at_two = move |report: &crate::RunReport| {
        if report.batches == 2 {
            stopper.cancel();
        }
    };
    let mut pipeline = world.pipeline().with_observer(Box::new(stop_at_two));
    let finished = pipeline.run(&stop).await;
    assert_eq!((finished.report.outcome, finished.exit_code()), (Outcome::Stopped, 0));
    assert!(finished.report.asked_to_stop);
    assert_eq!(world.keys(), [1, 2]);
    // The lease was given back: nobody waits.
    let next = world.run().await;
    assert_eq!(next.report.outcome, Outcome::Success);
    assert_eq!(next.report.duration, std::time::Duration::ZERO);
    assert_eq!(world.keys(), [1, 2, 3, 4, 5, 6]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_before_anything_is_no_failure() {
    let world = World::new(6, Faults::new(0)).await;
    let stop = CancellationToken::new();
    stop.cancel();
    let finished = world.pipeline().run(&stop).await;
    assert_eq!((finished.report.outcome, finished.exit_code()), (Outcome::Stopped, 0));
    assert!(world.keys().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_the_source() {
    let slow = Fault::Slow(1_000 * SECOND);
    let world = World::new(6, faults([(Method::Batch, When::Always, slow)])).await;
    let stop = CancellationToken::new();
    let stopper = stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(7 * SECOND).await;
        stopper.cancel();
    });
    let finished = world.pipeline().run(&stop).await;
    assert_eq!(finished.report.outcome, Outcome::Stopped);
    assert!(finished.report.duration <= 8 * SECOND, "{:?}", finished.report.duration);
}
