//! Rows that are put aside: found by probes, bounded, cleared, renewed.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{SECOND, World, faults};
use crate::MaxRejected;
use crate::connector::Mode;
use crate::error::Class;
use crate::pipeline::Finished;
use crate::quarantine::Entry;
use crate::sink::Outcome;
use crate::testing::fault::{Fault, Faults, Method, When};
use crate::testing::memory_target::Constraints;
use crate::testing::network::Conditions;
use crate::testing::source_contract::Change;
use crate::testing::{CanonicalRow, Row};

/// A status that the target refuses.
const POISON: &str = "poison";

fn poisoned(row: &CanonicalRow) -> bool {
    row["status"].as_deref() == Some(POISON)
}

impl World {
    /// Rows `1..=count` in one batch, of which `bad` cannot be stored.
    async fn with_poison(count: i64, bad: &BTreeSet<i64>, faults: Faults) -> Self {
        let mut world = Self::of(Mode::Upsert, 0, faults).await;
        world.target =
            world.target.constrained(Constraints { refused: Some(poisoned), unique: None });
        world.options.limits.rows = 10_000;
        world.options.max_rejected = MaxRejected::Rows(10_000);
        let status = |id| if bad.contains(&id) { POISON } else { "confirmed" };
        let rows = (1..=count).map(|id| Change::Insert(Row::new(id).status(status(id))));
        world.write(&rows.collect::<Vec<_>>()).await;
        world
    }

    async fn write(&self, changes: &[Change]) {
        self.table.write(changes).unwrap();
        tokio::time::sleep(10 * SECOND).await;
    }

    fn aside(&self) -> BTreeSet<i64> {
        let id = |entry: Entry| entry.rejected.key.parts().unwrap()[0].parse().unwrap();
        self.target.quarantined().into_iter().map(id).collect()
    }
}

/// Bad rows spread over `1..=count`.
fn spread(bad: i64, count: i64) -> BTreeSet<i64> {
    let mut random = fastrand::Rng::with_seed(11);
    let mut chosen = BTreeSet::new();
    while chosen.len() < usize::try_from(bad).unwrap() {
        chosen.insert(random.i64(1..=count));
    }
    chosen
}

#[tokio::test(start_paused = true)]
async fn the_bad_rows_are_found_with_few_probes() {
    for (bad, count) in [(1, 2_048), (100, 2_048), (128, 256), (256, 256)] {
        let chosen = spread(bad, count);
        let world = World::with_poison(count, &chosen, Faults::new(0)).await;
        let finished = world.run().await;
        assert_eq!(finished.report.outcome, Outcome::Success, "{:?}", finished.error);
        let good: Vec<i64> = (1..=count).filter(|id| !chosen.contains(id)).collect();
        assert_eq!((world.keys(), world.aside()), (good, chosen));
        assert_eq!(finished.report.quarantined, u64::try_from(bad).unwrap());
        assert_eq!(finished.report.batches, 1);
        let probes = world.faults.calls(Method::Probe);
        let (b, n) =
            (f64::from(i32::try_from(bad).unwrap()), f64::from(i32::try_from(count).unwrap()));
        let most = 2.0 * b * ((n / b).log2() + 1.0);
        println!("{bad} of {count}: {probes} probes, at most {most:.0}");
        assert!(
            f64::from(u32::try_from(probes).unwrap()) <= most,
            "{probes} probes for {bad} of {count}"
        );
        // One try of all, and one of the good ones.
        assert_eq!(world.faults.calls(Method::Commit), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn rows_that_are_bad_only_together_are_kept_apart() {
    let mut world = World::of(Mode::Upsert, 40, Faults::new(0)).await;
    let unique = Constraints { refused: None, unique: Some("name") };
    world.target = world.target.constrained(unique);
    world.options.limits.rows = 100;
    world.options.max_rejected = MaxRejected::Rows(10);
    // Two pairs, and one that the target has already.
    let named = |id: i64, name: &str| Change::Update(Row::new(id).name(Some(name)));
    world.write(&[named(3, "a"), named(31, "a"), named(17, "b"), named(18, "b")]).await;
    assert_eq!(world.run().await.report.outcome, Outcome::Success);
    assert_eq!(world.aside().len(), 2);
    assert_eq!(world.keys().len(), 38);
    world.write(&[Change::Insert(Row::new(50).name(Some("name 1")))]).await;
    assert_eq!(world.run().await.report.outcome, Outcome::Success);
    assert!(world.aside().contains(&50), "{:?}", world.aside());
    let (keys, aside) = (world.keys(), world.aside());
    assert!(keys.iter().all(|key| !aside.contains(key)), "{keys:?} {aside:?}");
    assert_eq!(keys.len() + aside.len(), 41);
}

fn error(finished: &Finished) -> String {
    assert_eq!((finished.report.outcome, finished.exit_code()), (Outcome::Failed, 65));
    format!("{:?}", finished.error)
}

#[tokio::test(start_paused = true)]
async fn without_leave_the_first_bad_row_stops_the_run_untried() {
    let mut world = World::with_poison(8, &spread(1, 8), Faults::new(0)).await;
    world.options.max_rejected = MaxRejected::default();
    let finished = world.run().await;
    assert!(error(&finished).contains("a check refuses a row"), "{finished:?}");
    assert_eq!(world.faults.calls(Method::Probe), 0);
    assert!(world.keys().is_empty() && world.aside().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_would_be_passed_stops_the_run_before_anything_is_written() {
    let bad = spread(5, 64);
    let mut world = World::with_poison(64, &bad, Faults::new(0)).await;
    world.options.max_rejected = MaxRejected::Rows(4);
    let finished = world.run().await;
    let text = error(&finished);
    for part in ["5 rows", "max_rows is 4", "a check refuses a row", "(code check)", "test/orders"]
    {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    assert!(world.keys().is_empty() && world.aside().is_empty());
    assert_eq!(finished.report.checkpoint_to, None);
    world.options.max_rejected = MaxRejected::Rows(5);
    assert_eq!(world.run().await.report.outcome, Outcome::Success);
    assert_eq!(world.aside(), bad);
    // They count for later runs too, as long as they lie there; read again, they are no more.
    assert_eq!(world.run().await.report.outcome, Outcome::Success);
    world.write(&[Change::Insert(Row::new(100).status(POISON))]).await;
    assert!(error(&world.run().await).contains("6 rows"));
    let first = *bad.first().unwrap();
    world.write(&[Change::Update(Row::new(first))]).await;
    assert_eq!(world.run().await.report.outcome, Outcome::Success);
    assert_eq!(world.aside().len(), 5);
    assert!(world.keys().contains(&first) && world.aside().contains(&100));
}

#[tokio::test(start_paused = true)]
async fn a_share_counts_what_this_run_has_read_and_put_aside() {
    let bad = spread(4, 40);
    let mut world = World::with_poison(40, &bad, Faults::new(0)).await;
    world.options.max_rejected = MaxRejected::Share(0.099);
    assert_eq!(world.run().await.report.outcome, Outcome::Success, "4 of 40, 3.96 rounded up");
    assert_eq!(world.aside(), bad);
    let mut world = World::with_poison(100, &spread(8, 100), Faults::new(0)).await;
    world.options.max_rejected = MaxRejected::Share(0.07);
    assert!(error(&world.run().await).contains("8 of 100 rows read"), "7 of 100 may");
    let mut world = World::with_poison(40, &bad, Faults::new(0)).await;
    world.options.max_rejected = MaxRejected::Share(0.07);
    assert!(error(&world.run().await).contains("4 of 40 rows read"));
    assert!(world.keys().is_empty() && world.aside().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_becomes_good_leaves_the_quarantine_with_any_limit() {
    let world = World::with_poison(8, &BTreeSet::from([2, 3]), Faults::new(0)).await;
    world.run().await;
    assert_eq!(world.aside(), BTreeSet::from([2, 3]));
    let mut world = world;
    world.options.max_rejected = MaxRejected::default();
    world.write(&[Change::Update(Row::new(2))]).await;
    let finished = world.run().await;
    // Row 3 is read again with the last of the former sweep and stops the run.
    if finished.report.outcome == Outcome::Failed {
        world.write(&[Change::Update(Row::new(3))]).await;
        assert_eq!(world.run().await.report.outcome, Outcome::Success);
        assert_eq!(world.aside(), BTreeSet::new());
    } else {
        assert_eq!(world.aside(), BTreeSet::from([3]));
    }
    assert!(world.keys().contains(&2));
}

#[tokio::test(start_paused = true)]
async fn attempts_are_counted_when_a_row_is_read_again() {
    let world = World::with_poison(3, &BTreeSet::from([2]), Faults::new(0)).await;
    for attempts in 1..=3 {
        world.run().await;
        assert_eq!(world.target.quarantined()[0].attempts, attempts);
        world.write(&[Change::Update(Row::new(2).status(POISON))]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_lease_is_kept_while_rows_are_tried() {
    let bad = spread(8, 64);
    let mut world = World::with_poison(64, &bad, Faults::new(0)).await;
    world.options.lease_ttl = 9 * SECOND;
    // Each probe takes as long as a commit.
    let slow = Conditions { work: 4 * SECOND, ..Conditions::default() };
    world.target.network().change(slow);
    let (mut first, mut other) = (world.pipeline(), world.pipeline());
    let (one, two) = (CancellationToken::new(), CancellationToken::new());
    let late = async {
        tokio::time::sleep(10 * SECOND).await;
        other.run(&two).await
    };
    let (carried, other) = tokio::join!(first.run(&one), late);
    assert_eq!(carried.report.outcome, Outcome::Success, "{:?}", carried.error);
    assert!(carried.report.duration > 30 * SECOND, "{:?}", carried.report.duration);
    assert_eq!(other.report.outcome, Outcome::Skipped);
    assert_eq!(world.aside(), bad);
}

#[tokio::test(start_paused = true)]
async fn a_stop_among_the_probes_leaves_the_batch_for_the_next_run() {
    let bad = spread(8, 64);
    let mut world =
        World::with_poison(64, &bad, faults([(Method::Probe, When::Always, Fault::Slow(SECOND))]))
            .await;
    world.options.deadline = Some(5 * SECOND);
    let stopped = world.run().await;
    assert_eq!(stopped.report.outcome, Outcome::Stopped, "{:?}", stopped.error);
    assert_eq!((stopped.report.batches, world.keys().len(), world.aside().len()), (0, 0, 0));
    world.options.deadline = None;
    assert_eq!(world.run().await.report.outcome, Outcome::Success);
    assert_eq!((world.keys().len(), world.aside()), (56, bad));
}

#[tokio::test(start_paused = true)]
async fn faults_among_the_probes_are_tried_again_and_change_nothing() {
    let refuse = |class| Fault::Refuse(class);
    for (when, fault) in [
        (When::Chance(0.2), refuse(Class::Transient)),
        (When::Chance(0.2), Fault::LoseAnswer),
        (When::Call(3), refuse(Class::Capacity)),
    ] {
        let bad = spread(8, 64);
        let mut world = World::with_poison(64, &bad, faults([(Method::Probe, when, fault)])).await;
        world.options.retry.base = Duration::from_millis(10);
        let finished = world.run().await;
        assert_eq!(finished.report.outcome, Outcome::Success, "{:?}", finished.error);
        assert_eq!((world.keys().len(), world.aside()), (56, bad));
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_arrives_although_its_answer_was_lost_is_not_sifted_again() {
    // The first answer is lost, and the second says that a row is bad: somebody else's, by now.
    let all = faults([
        (Method::Commit, When::Call(1), Fault::LoseAnswer),
        (Method::Commit, When::Call(2), Fault::Refuse(Class::Data)),
    ]);
    let world = World::with_poison(8, &BTreeSet::new(), all).await;
    let finished = world.run().await;
    assert_eq!(finished.report.outcome, Outcome::Success, "{:?}", finished.error);
    assert_eq!((world.keys().len(), world.faults.calls(Method::Probe)), (8, 0));
}

#[tokio::test(start_paused = true)]
async fn a_load_puts_aside_what_its_stage_refuses_and_forgets_what_is_gone() {
    let mut world = World::of(Mode::Replace, 8, Faults::new(0)).await;
    let refused = Constraints { refused: Some(poisoned), unique: None };
    world.target = world.target.constrained(refused);
    world.options.limits.rows = 3;
    world.options.max_rejected = MaxRejected::Rows(3);
    world.write(&[2, 5].map(|id| Change::Update(Row::new(id).status(POISON)))).await;
    let finished = world.run().await;
    assert_eq!(finished.report.outcome, Outcome::Success, "{:?}", finished.error);
    assert_eq!((world.keys(), world.aside()), (vec![1, 3, 4, 6, 7, 8], BTreeSet::from([2, 5])));
    // A row that is no longer at the source is in no batch that could clear it.
    world.write(&[Change::Delete(5), Change::Delete(8)]).await;
    assert_eq!(world.run().await.report.outcome, Outcome::Success);
    assert_eq!((world.keys(), world.aside()), (vec![1, 3, 4, 6, 7], BTreeSet::from([2])));
}
