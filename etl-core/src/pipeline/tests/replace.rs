use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{World, faults};
use crate::connector::Mode;
use crate::error::{Class, Error};
use crate::pipeline::replace::loaded;
use crate::pipeline::{Finished, MaxRejected};
use crate::position::Position;
use crate::sink::{Checkpoint, Fence, Outcome, Phase, RunReport};
use crate::testing::fault::{Fault, Faults, Method, When};

/// A run that is asked to stop behind so many batches.
async fn stopped(world: &World, batches: u64) -> Finished {
    let stop = CancellationToken::new();
    let stopper = stop.clone();
    let observer = move |report: &RunReport| {
        if report.batches == batches {
            stopper.cancel();
        }
    };
    world.pipeline().with_observer(Box::new(observer)).run(&stop).await
}

/// The load that the checkpoint tells of.
fn load(world: &World) -> (i64, Phase) {
    let found = world.target.checkpoint().unwrap().unwrap();
    (found.generation, found.phase)
}

#[tokio::test(start_paused = true)]
async fn each_run_reads_once_and_applies_once() {
    let world = World::of(Mode::Replace, 6, Faults::new(0)).await;
    for run in 1..=2 {
        let finished = world.run().await;
        assert_eq!(finished.report.outcome, Outcome::Success, "{:?}", finished.error);
        assert_eq!(world.keys(), [1, 2, 3, 4, 5, 6]);
        assert_eq!(load(&world), (run, Phase::Idle));
        let calls = [Method::Read, Method::Apply].map(|method| world.faults.calls(method));
        assert_eq!(calls, [run.unsigned_abs(); 2]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_load_that_was_stopped_goes_on_and_what_changed_meanwhile_is_read_again() {
    let world = World::of(Mode::Replace, 6, Faults::new(0)).await;
    assert_eq!(stopped(&world, 2).await.report.outcome, Outcome::Stopped);
    assert_eq!((load(&world), world.keys()), ((1, Phase::Loading), vec![]));
    let second = world.run().await;
    assert_eq!(second.report.outcome, Outcome::Success, "{:?}", second.error);
    assert_eq!((load(&world), world.keys()), ((1, Phase::Idle), vec![1, 2, 3, 4, 5, 6]));
    // The rest, and then from there, since the two pieces are of two snapshots.
    assert_eq!(world.faults.calls(Method::Read), 1 + 2);
}

#[tokio::test(start_paused = true)]
async fn a_load_of_another_definition_or_one_that_is_refreshed_is_begun_anew() {
    for refresh in [true, false] {
        let mut world = World::of(Mode::Replace, 6, Faults::new(0)).await;
        stopped(&world, 2).await;
        world.options.full_refresh = refresh;
        world.filter = (!refresh).then_some("id <> 1");
        let finished = world.run().await;
        assert_eq!(finished.report.outcome, Outcome::Success, "{:?}", finished.error);
        assert_eq!(load(&world), (2, Phase::Idle));
        assert_eq!(world.keys().len(), if refresh { 6 } else { 5 });
        assert_eq!(world.faults.calls(Method::Read), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_load_whose_read_broke_is_followed_by_a_whole_read() {
    let refuse = Fault::Refuse(Class::Transient);
    let rules = faults([(Method::Batch, When::Call(3), refuse)]);
    let world = World::of(Mode::Replace, 6, rules).await;
    let finished = world.run().await;
    assert_eq!(finished.report.outcome, Outcome::Success, "{:?}", finished.error);
    assert_eq!((load(&world), world.keys()), ((1, Phase::Idle), vec![1, 2, 3, 4, 5, 6]));
    assert_eq!(world.faults.calls(Method::Read), 3);
}

#[tokio::test(start_paused = true)]
async fn smaller_batches_go_on_behind_what_was_loaded_unknown_to_us() {
    let rules = faults([
        (Method::Commit, When::Call(1), Fault::LoseAnswer),
        (Method::Commit, When::Call(2), Fault::Refuse(Class::Capacity)),
    ]);
    let mut world = World::of(Mode::Replace, 8, rules).await;
    world.options.limits.rows = 4;
    let finished = world.run().await;
    assert_eq!(finished.report.outcome, Outcome::Success, "{:?}", finished.error);
    assert_eq!((load(&world), world.keys()), ((1, Phase::Idle), (1..=8).collect()));
    // The first four were loaded, whatever the answer was.
    assert_eq!(finished.report.read - finished.report.reread, 4);
}

#[tokio::test(start_paused = true)]
async fn an_apply_whose_answer_was_lost_is_asked_for_again() {
    let rules = faults([(Method::Apply, When::Call(1), Fault::LoseAnswer)]);
    let world = World::of(Mode::Replace, 3, rules).await;
    let finished = world.run().await;
    assert_eq!(finished.report.outcome, Outcome::Success, "{:?}", finished.error);
    assert_eq!(world.faults.calls(Method::Apply), 2);
    assert_eq!((finished.report.written, world.keys()), (3, vec![1, 2, 3]));
}

/// Whom `max_rejected` makes expect that a row is put aside is told why none was.
#[tokio::test(start_paused = true)]
async fn an_apply_that_is_refused_puts_no_row_aside() {
    let told = async |class, max_rejected| {
        let rules = faults([(Method::Apply, When::Call(1), Fault::Refuse(class))]);
        let mut world = World::of(Mode::Replace, 3, rules).await;
        world.options.max_rejected = max_rejected;
        let finished = world.run().await;
        (finished.error.map(|error| error.to_string()), world.keys().len())
    };
    let why = |(error, rows): (Option<String>, usize)| {
        (error.map(|text| text.contains("no row of a load can be put aside")), rows)
    };
    let (none, some) = (MaxRejected::default(), MaxRejected::Rows(9));
    assert_eq!(why(told(Class::Data, some).await), (Some(true), 0));
    assert_eq!(why(told(Class::Data, none).await), (Some(false), 0));
    for max_rejected in [none, some] {
        assert_eq!(why(told(Class::Schema, max_rejected).await), (Some(false), 0));
        assert_eq!(why(told(Class::Transient, max_rejected).await), (None, 3));
    }
}

#[test]
fn a_load_is_ours_until_it_was_applied_or_given_up() {
    let position = Position::from_text("7").unwrap();
    let run = uuid::Uuid::nil();
    let fence =
        Fence { run, sequence: 1, definition: String::new(), ttl: Duration::ZERO, generation: 3 };
    let found = |generation, phase| {
        let position = Some(position.clone());
        let checkpoint = Checkpoint { generation, phase, position, ..Checkpoint::default() };
        loaded(&checkpoint, &fence).map_err(|error| Error::class(&error))
    };
    assert_eq!(found(3, Phase::Loading), Ok(Some(position.clone())));
    assert_eq!(found(3, Phase::Idle), Err(Class::Fenced), "it was applied");
    for phase in [Phase::Loading, Phase::Idle] {
        assert_eq!(found(2, phase), Ok(None), "ours was not begun");
        assert_eq!(found(4, phase), Err(Class::Fenced), "another run began the next");
    }
}
