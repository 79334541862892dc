use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{Canned, World, faults};
use crate::connector::Mode;
use crate::error::{Class, Error};
use crate::sink::Outcome;
use crate::testing::Row;
use crate::testing::fault::{Fault, Faults, Method, When};

#[tokio::test(start_paused = true)]
async fn every_class_has_its_exit_code() {
    for (class, code) in [
        (Class::Transient, 75),
        (Class::Unknown, 75),
        (Class::Capacity, 75),
        (Class::Data, 65),
        (Class::Schema, 65),
        (Class::Config, 64),
        (Class::Permission, 77),
        (Class::Fenced, 75),
        (Class::Internal, 70),
    ] {
        let refuse = Fault::Refuse(class);
        let mut world = World::new(1, faults([(Method::Commit, When::Always, refuse)])).await;
        world.options.retry.tries = 1;
        let finished = world.run().await;
        assert_eq!(finished.exit_code(), code, "{class}");
        let expected = if class == Class::Fenced { Outcome::Fenced } else { Outcome::Failed };
        assert_eq!(finished.report.outcome, expected, "{class}");
        let ledger = world.target.ledger();
        assert_eq!(ledger.len(), 1, "{class}");
        assert_eq!(ledger[0].outcome, expected.as_str(), "{class}");
        assert_eq!(ledger[0].error_class.as_deref(), Some(class.as_str()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_success_tells_what_it_did() {
    let world = World::of(Mode::Upsert, 3, Faults::new(0)).await;
    let finished = world.run().await;
    let report = finished.report;
    assert_eq!((report.outcome, report.read, report.written), (Outcome::Success, 3, 3));
    assert!(report.horizon_micros.is_some());
    assert_eq!(report.checkpoint_from, None);
    assert_eq!(report.checkpoint_to, world.target.checkpoint().unwrap().unwrap().position);
    let again = world.run().await.report;
    assert_eq!((again.written, again.read, again.reread), (0, 3, 3));
    assert_eq!(again.unchanged, 3);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_panics_is_a_defect_and_no_end() {
    let world = World::new(3, faults([(Method::Batch, When::Call(2), Fault::Panic)])).await;
    let finished = world.run().await;
    assert_eq!((finished.report.outcome, finished.exit_code()), (Outcome::Failed, 70));
    assert_eq!(finished.error.map(|error| error.class()), Some(Class::Internal));
    assert_eq!(world.keys(), [1]);
    assert_eq!(world.run().await.report.outcome, Outcome::Success);
    assert_eq!(world.keys(), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_panics_is_a_defect_in_the_ledger() {
    for method in [Method::Open, Method::Claim, Method::Commit] {
        let world = World::new(3, faults([(method, When::Always, Fault::Panic)])).await;
        let finished = world.run().await;
        assert_eq!((finished.report.outcome, finished.exit_code()), (Outcome::Failed, 70));
        assert_eq!(world.target.ledger()[0].error_class.as_deref(), Some("internal"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_the_ledger_is_written_does_not_hide_how_the_run_ended() {
    let world = World::new(3, faults([(Method::Finish, When::Call(1), Fault::Panic)])).await;
    let finished = world.run().await;
    assert_eq!((finished.report.outcome, finished.exit_code()), (Outcome::Success, 0));
    assert_eq!(world.keys(), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn who_is_not_let_in_does_not_knock_again() {
    let refuse = Fault::Refuse(Class::Permission);
    let world = World::new(3, faults([(Method::Open, When::Always, refuse)])).await;
    assert_eq!(world.run().await.exit_code(), 77);
    assert_eq!(world.faults.calls(Method::Finish), 0);
}

#[tokio::test(start_paused = true)]
async fn a_changed_definition_is_told_and_stops_the_run() {
    let mut world = World::of(Mode::Upsert, 3, Faults::new(0)).await;
    world.run().await;
    world.filter = Some("status = 'confirmed'");
    let finished = world.run().await;
    assert_eq!((finished.report.outcome, finished.exit_code()), (Outcome::Failed, 65));
    let text = finished.error.unwrap().to_string();
    for part in ["where", "\"status = 'confirmed'\"", "--full-refresh", "state adopt"] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    world.options.full_refresh = true;
    let refreshed = world.run().await;
    assert_eq!(refreshed.report.outcome, Outcome::Success, "{:?}", refreshed.error);
    assert_eq!(refreshed.report.unchanged, 3);
    world.options.full_refresh = false;
    assert_eq!(world.run().await.report.outcome, Outcome::Success);
}

#[tokio::test(start_paused = true)]
async fn two_rows_for_one_key_in_a_batch_are_refused() {
    let world = World::of(Mode::Upsert, 0, Faults::new(0)).await;
    let twice = vec![Row::new(1), Row::new(2), Row::new(1).amount(7)];
    let source = Arc::new(Canned::new(vec![vec![Row::new(9)], twice]));
    let finished = world.pipeline_from(source).run(&CancellationToken::new()).await;
    let error = finished.error.unwrap();
    assert_eq!(error.class(), Class::Internal);
    assert!(error.to_string().contains("two rows for one key (id)"), "{error}");
    assert_eq!(world.keys(), [9]);
}

#[tokio::test(start_paused = true)]
async fn positions_are_told_to_the_source_in_order_and_again_at_the_start() {
    let world = World::of(Mode::Upsert, 0, Faults::new(0)).await;
    let rows = (0..4).map(|id| vec![Row::new(id)]).collect();
    let source = Arc::new(Canned::new(rows));
    for told in [vec!["0", "1", "2", "3"], vec!["3", "0", "1", "2", "3"]] {
        let source = Arc::clone(&source);
        source.committed.lock().unwrap().clear();
        let run = world.pipeline_from(source.clone()).run(&CancellationToken::new()).await;
        assert_eq!(run.report.outcome, Outcome::Success);
        assert_eq!(*source.committed.lock().unwrap(), told);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_finish_leaves_the_outcome_as_it_is() {
    let refuse = Fault::Refuse(Class::Transient);
    let world = World::new(2, faults([(Method::Finish, When::Always, refuse)])).await;
    let finished = world.run().await;
    assert_eq!((finished.report.outcome, finished.exit_code()), (Outcome::Success, 0));
    assert_eq!(world.faults.calls(Method::Finish), 3);
    // The lease was not given back; the next run waits for its end.
    let next = world.run().await;
    assert_eq!(next.report.outcome, Outcome::Success);
    assert!(next.report.duration >= world.options.lease_ttl / 2);
}

#[test]
fn a_run_can_be_spawned() {
    fn send<T: Send>(_: impl FnOnce(&'static mut crate::Pipeline) -> T) {}
    send(|pipeline| async move { pipeline.run(&CancellationToken::new()).await });
    let _: fn(&Error) -> Class = Error::class;
}
