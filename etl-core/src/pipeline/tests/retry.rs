use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{SECOND, World, faults};
use crate::error::{Class, Error};
use crate::retry::{Retry, RetryPolicy};
use crate::sink::Outcome;
use crate::testing::fault::{Fault, Faults, Method, When};

#[tokio::test(start_paused = true)]
async fn each_wait_is_below_its_bound_and_they_differ() {
    fastrand::seed(1);
    let stop = CancellationToken::new();
    let policy = RetryPolicy { base: SECOND, cap: 5 * SECOND, tries: 100 };
    for (class, least) in [(Class::Transient, 0.0), (Class::Unknown, 0.0), (Class::Capacity, 0.5)] {
        // A deadline that is far away changes nothing.
        let deadline = Some(Instant::now() + 100_000 * SECOND);
        let mut retry = Retry::new(policy, deadline, &stop);
        let mut waits = Vec::new();
        for bound in [1, 2, 4].into_iter().chain([5; 37]) {
            let began = Instant::now();
            retry.wait(Error::new(class, "again")).await.unwrap();
            let (waited, bound) = (began.elapsed(), bound * SECOND);
            // Tokio's timer rounds up to a millisecond.
            assert!(waited <= bound + Duration::from_millis(1), "{waited:?} of {bound:?}");
            assert!(waited >= bound.mul_f64(least), "{waited:?} of {bound:?}");
            waits.push(waited);
        }
        waits.sort_unstable();
        waits.dedup();
        assert!(waits.len() >= 35, "hardly any jitter: {waits:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_success_makes_the_next_failure_a_first_one() {
    let stop = CancellationToken::new();
    let mut retry = Retry::new(RetryPolicy { tries: 3, ..RetryPolicy::default() }, None, &stop);
    for _ in 0..5 {
        retry.wait(Error::transient("x")).await.unwrap();
        retry.wait(Error::transient("x")).await.unwrap();
        retry.reset();
    }
    retry.wait(Error::transient("x")).await.unwrap();
    retry.wait(Error::transient("x")).await.unwrap();
    retry.wait(Error::transient("x")).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn what_may_be_a_wrong_setting_is_one_if_it_lasts() {
    let stop = CancellationToken::new();
    let mut retry = Retry::new(RetryPolicy::default(), None, &stop);
    let doubtful = || Error::transient("x").if_it_lasts(3, Class::Config);
    // Three in a row, not three of all.
    for error in [doubtful(), doubtful(), Error::transient("y"), doubtful(), doubtful()] {
        retry.wait(error).await.unwrap();
    }
    let error = retry.wait(doubtful()).await.unwrap_err();
    assert_eq!(error.class(), Class::Config);
    assert_eq!(error.to_string(), "tried 3 times: x");
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_failed_for_a_moment_is_tried_again() {
    let refuse = Fault::Refuse(Class::Transient);
    let world = World::new(3, faults([(Method::Commit, When::First(3), refuse)])).await;
    let finished = world.run().await;
    assert_eq!(finished.report.outcome, Outcome::Success, "{:?}", finished.error);
    assert_eq!(world.keys(), [1, 2, 3]);
    assert_eq!(world.faults.calls(Method::Commit), 3 + finished.report.batches);
    assert!(finished.report.duration <= 8 * SECOND, "waited {:?}", finished.report.duration);
}

#[tokio::test(start_paused = true)]
async fn tries_come_to_an_end() {
    for method in [Method::Schema, Method::Open, Method::Claim, Method::Read, Method::Commit] {
        let refuse = Fault::Refuse(Class::Transient);
        let mut world = World::new(3, faults([(method, When::Always, refuse)])).await;
        world.options.retry.tries = 4;
        let finished = world.run().await;
        assert_eq!(finished.report.outcome, Outcome::Failed);
        assert_eq!(finished.exit_code(), 75);
        assert_eq!(world.faults.calls(method), 4, "{method:?}");
        let text = finished.error.unwrap().to_string();
        assert!(text.contains("tried 4 times"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_will_not_pass_by_itself_is_tried_once() {
    for class in Class::ALL.into_iter().filter(|class| !class.is_retryable()) {
        for method in [Method::Schema, Method::Open, Method::Claim, Method::Read, Method::Commit] {
            let world = World::new(3, faults([(method, When::Always, Fault::Refuse(class))])).await;
            let finished = world.run().await;
            assert_eq!(world.faults.calls(method), 1, "{class} of {method:?}");
            assert_eq!(finished.error.as_ref().map(Error::class), Some(class));
            assert_eq!(finished.exit_code(), class.exit_code());
            assert!(world.keys().is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_the_tries() {
    let refuse = Fault::Refuse(Class::Transient);
    let mut world = World::new(3, faults([(Method::Commit, When::Always, refuse)])).await;
    world.options.retry.tries = 1_000;
    world.options.deadline = Some(100 * SECOND);
    let finished = world.run().await;
    assert!(finished.report.duration <= 100 * SECOND, "{:?}", finished.report.duration);
    let text = finished.error.unwrap().to_string();
    assert!(text.contains("until the run's deadline"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_waiting_between_tries() {
    let refuse = Fault::Refuse(Class::Transient);
    let mut world = World::new(3, faults([(Method::Read, When::Always, refuse)])).await;
    world.options.retry = RetryPolicy { base: 1_000 * SECOND, cap: 10_000 * SECOND, tries: 1_000 };
    let stop = CancellationToken::new();
    let stopper = stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(5 * SECOND).await;
        stopper.cancel();
    });
    let mut pipeline = world.pipeline();
    let finished = pipeline.run(&stop).await;
    assert!(finished.report.duration <= 6 * SECOND, "{:?}", finished.report.duration);
}

#[tokio::test(start_paused = true)]
async fn want_of_capacity_halves_the_batch() {
    let refuse = Fault::Refuse(Class::Capacity);
    let mut world = World::new(16, faults([(Method::Commit, When::First(2), refuse)])).await;
    world.options.limits.rows = 8;
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&sizes);
    let mut pipeline = world
        .pipeline()
        .with_observer(Box::new(move |report| seen.lock().unwrap().push(report.read)));
    let finished = pipeline.run(&CancellationToken::new()).await;
    assert_eq!(finished.report.outcome, Outcome::Success, "{:?}", finished.error);
    assert_eq!(*sizes.lock().unwrap(), [2, 4, 6, 8, 10, 12, 14, 16]);
    assert_eq!(world.keys(), (1..=16).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn smaller_batches_begin_behind_what_had_committed_unknown_to_us() {
    // The first try commits and its answer is lost; the second finds the server short of disk.
    let world = World::new(
        8,
        faults([
            (Method::Commit, When::Call(1), Fault::LoseAnswer),
            (Method::Commit, When::Call(2), Fault::Refuse(Class::Capacity)),
        ]),
    )
    .await;
    let world = World { options: options_of(&world, 4), ..world };
    let finished = world.run().await;
    assert_eq!(finished.report.outcome, Outcome::Success, "{:?}", finished.error);
    assert_eq!(world.keys(), (1..=8).collect::<Vec<_>>());
}

fn options_of(world: &World, rows: usize) -> crate::PipelineOptions {
    let mut options = world.options.clone();
    options.limits.rows = rows;
    options
}

#[tokio::test(start_paused = true)]
async fn after_the_last_try_no_other_batch_follows() {
    let world = World::new(
        4,
        faults([
            (Method::Commit, When::Call(1), Fault::LoseAnswer),
            (Method::Commit, When::First(3), Fault::Refuse(Class::Transient)),
        ]),
    )
    .await;
    let mut world = World { options: options_of(&world, 2), ..world };
    world.options.retry.tries = 3;
    let finished = world.run().await;
    assert_eq!(finished.report.outcome, Outcome::Failed);
    assert_eq!(world.faults.calls(Method::Commit), 3);
    assert_eq!(world.keys(), [1, 2], "what the lost answer was about");
    assert_eq!(world.run().await.report.outcome, Outcome::Success);
    assert_eq!(world.keys(), [1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_lost_changes_nothing() {
    for method in [Method::Open, Method::Claim, Method::Commit, Method::Finish] {
        let world = World::new(5, faults([(method, When::First(2), Fault::LoseAnswer)])).await;
        let finished = world.run().await;
        assert_eq!(finished.report.outcome, Outcome::Success, "{method:?} {:?}", finished.error);
        assert_eq!(world.keys(), [1, 2, 3, 4, 5], "{method:?}");
        assert_eq!(world.target.ledger().len(), 1, "{method:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_that_broke_goes_on_behind_the_last_commit() {
    let refuse = Fault::Refuse(Class::Transient);
    let world = World::new(5, faults([(Method::Batch, When::Call(3), refuse)])).await;
    let finished = world.run().await;
    assert_eq!(finished.report.outcome, Outcome::Success, "{:?}", finished.error);
    assert_eq!(world.keys(), [1, 2, 3, 4, 5]);
    assert_eq!(finished.report.read, 5);
    assert_eq!(world.faults.calls(Method::Read), 2);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_takes_no_note_stops_nothing() {
    let refuse = Fault::Refuse(Class::Internal);
    let world = World::new(3, Faults::new(0).with(Method::Committed, When::Always, refuse)).await;
    assert_eq!(world.run().await.report.outcome, Outcome::Success);
    assert_eq!(world.keys(), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn progress_makes_the_next_failure_a_first_one() {
    // Every second read fails, far more often than one thing is tried.
    let refuse = Fault::Refuse(Class::Transient);
    let second = (1..=20).map(|n| (Method::Batch, When::Call(2 * n), refuse.clone()));
    let mut world = World::new(20, faults(second)).await;
    world.options.retry.tries = 2;
    let finished = world.run().await;
    assert_eq!(finished.report.outcome, Outcome::Success, "{:?}", finished.error);
    assert_eq!(world.keys(), (1..=20).collect::<Vec<_>>());
}
