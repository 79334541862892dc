//! What was put aside, tried again, in a target without a key: what lands twice is there twice.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{SECOND, World};
use crate::MaxRejected;
use crate::connector::Mode;
use crate::error::Class;
use crate::pipeline::Finished;
use crate::sink::Outcome;
use crate::testing::Row;
use crate::testing::fault::{Fault, Faults, Method, When};
use crate::testing::memory_source::SourceDefect;
use crate::testing::memory_target::Constraints;
use crate::testing::source_contract::Change;

/// Rows 1, 2 and 3, of which the target refused the first, and 4, so that sweeps have passed the others.
async fn put_aside(faults: Faults) -> World {
    let mut world = World::of(Mode::Append, 0, faults).await;
    let poisoned = Constraints {
        refused: Some(|row| row["status"].as_deref() == Some("poison")),
        unique: None,
    };
    world.target = world.target.constrained(poisoned);
    world.options.max_rejected = MaxRejected::Rows(10);
    let rows = [Row::new(1).status("poison"), Row::new(2), Row::new(3)].map(Change::Insert);
    world.table.write(&rows).unwrap();
    tokio::time::sleep(10 * SECOND).await;
    world.table.write(&[Change::Insert(Row::new(4))]).unwrap();
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(world.run().await.report.outcome, Outcome::Success);
    assert_eq!((world.keys(), world.target.quarantined().len()), (vec![2, 3, 4], 1));
    world
}

async fn replay(world: &World, defect: Option<SourceDefect>) -> Finished {
    let source = world.source();
    let source = match defect {
        Some(defect) => source.with_defect(defect),
        None => source,
    };
    world.pipeline_from(Arc::new(source)).replay(&CancellationToken::new()).await
}

/// The row is corrected, and replayed before the next run: how often it is there in the end.
async fn corrected(defect: Option<SourceDefect>) -> Vec<i64> {
    let world = put_aside(Faults::new(0)).await;
    world.table.write(&[Change::Update(Row::new(1).amount(7))]).unwrap();
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(replay(&world, defect).await.report.outcome, Outcome::Replayed);
    assert_eq!(world.run().await.report.outcome, Outcome::Success);
    assert!(world.target.quarantined().is_empty());
    world.keys()
}

#[tokio::test(start_paused = true)]
async fn a_row_that_was_corrected_is_appended_by_the_next_run_alone() {
    assert_eq!(corrected(None).await, [1, 2, 3, 4]);
}

/// The safeguard taken out: the lookup also answers for what a sweep reads again.
#[tokio::test(start_paused = true)]
async fn control_a_lookup_without_its_bound_doubles_a_row() {
    assert_eq!(corrected(Some(SourceDefect::LookupUnsettled)).await, [1, 1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_replay_lands_what_the_target_now_takes_once_whatever_fails() {
    for (method, fault) in [
        (Method::Lookup, Fault::Refuse(Class::Transient)),
        (Method::Commit, Fault::Refuse(Class::Transient)),
        (Method::Commit, Fault::LoseAnswer),
        (Method::Claim, Fault::LoseAnswer),
    ] {
        let mut world = put_aside(Faults::new(0)).await;
        world.target = world.target.constrained(Constraints { refused: None, unique: None });
        world.faults = Faults::new(0).with(method, When::First(2), fault.clone());
        let finished = replay(&world, None).await;
        let told = format!("{method:?} {fault:?}: {:?}", finished.error);
        assert_eq!(finished.report.outcome, Outcome::Replayed, "{told}");
        assert_eq!((finished.report.read, finished.report.written), (1, 1), "{told}");
        assert_eq!(finished.report.checkpoint_to, finished.report.checkpoint_from, "{told}");
        assert_eq!(world.keys(), [1, 2, 3, 4], "{told}");
        assert!(world.target.quarantined().is_empty(), "{told}");
        let again = replay(&world, None).await;
        assert_eq!((again.report.outcome, again.report.read), (Outcome::Replayed, 0), "{told}");
        assert_eq!(world.run().await.report.outcome, Outcome::Success, "{told}");
        assert_eq!(world.keys(), [1, 2, 3, 4], "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_that_is_gone_leaves_the_quarantine() {
    let world = put_aside(Faults::new(0)).await;
    world.table.write(&[Change::Delete(1)]).unwrap();
    let finished = replay(&world, None).await;
    assert_eq!((finished.report.outcome, finished.report.deleted), (Outcome::Replayed, 0));
    assert!(world.target.quarantined().is_empty());
    assert_eq!(world.keys(), [2, 3, 4]);
}
