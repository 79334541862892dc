//! A stage, and what it does to the target.

use uuid::Uuid;

use crate::error::Class;
use crate::sink::{Counts, Fence, Outcome, Phase, StateChange};
use crate::testing::case::{Check, check, check_class, check_eq};
use crate::testing::row::Row;

use super::session::{Target, batch, expected, position};

pub(super) async fn a_load_shows_nothing_until_it_is_applied(target: &Target) -> Check {
    let mut session = target.session().await?;
    let counts = session.put(1, &[Row::new(1)]).await?;
    check_eq!(counts, Counts::default(), "counts of a load");
    session.put(2, &[Row::new(2)]).await?;
    check!(target.rows().await?.is_empty(), "the load is seen in the target");
    let loading = target.checkpoint().await?;
    check_eq!(loading.phase, Phase::Loading, "phase while loading");
    check_eq!(loading.generation, session.fence.generation, "generation while loading");
    check_eq!(loading.rows_total, 0, "rows_total while loading");
    let counts = session.apply().await?;
    check_eq!(counts, Counts { inserted: 2, ..Counts::default() }, "counts of the apply");
    check_eq!(target.rows().await?, expected(&[Row::new(1), Row::new(2)])?, "rows");
    let applied = target.checkpoint().await?;
    check_eq!(applied.phase, Phase::Idle, "phase after the apply");
    check_eq!(applied.generation, session.fence.generation, "generation after the apply");
    check_eq!(applied.sequence, session.fence.sequence, "sequence after the apply");
    check_eq!(applied.position, Some(position(2)?), "position after the apply");
    check_eq!(applied.rows_total, 2, "rows_total after the apply");
    Ok(())
}

pub(super) async fn an_apply_makes_the_difference_and_counts_it(target: &Target) -> Check {
    let mut session = target.session().await?;
    let first = [Row::new(1), Row::new(2).name(Some("a")), Row::new(3), Row::new(4)];
    session.replace(1, &first).await?;
    // One has another case, one is gone, one is new, two are equal.
    let second = [Row::new(1), Row::new(2).name(Some("A")), Row::new(4), Row::new(5)];
    let counts = session.replace(2, &second).await?;
    check_eq!(counts, Counts { inserted: 1, updated: 1, deleted: 1, unchanged: 2 }, "counts");
    check_eq!(target.rows().await?, expected(&second)?, "rows");
    let counts = session.replace(3, &second).await?;
    check_eq!(counts, Counts { unchanged: 4, ..Counts::default() }, "counts of the same again");
    check_eq!(target.checkpoint().await?.rows_total, 4 + 3, "rows_total");
    let report = target.report(session.fence.run, Outcome::Success);
    session.sink.finish(&report).await?;
    let ledger = target.ledger(session.fence.run).await?;
    let told: Vec<_> =
        ledger.iter().map(|row| (row.read, row.written, row.deleted, row.unchanged)).collect();
    check_eq!(told, vec![(12, 4 + 2, 1, 2 + 4)], "read, written, deleted, unchanged in the ledger");
    Ok(())
}

pub(super) async fn an_interrupted_load_goes_on(target: &Target) -> Check {
    let mut session = target.session().await?;
    session.put(1, &[Row::new(1), Row::new(2)]).await?;
    let killed = session.fence.clone();
    drop(session);
    let mut next = target.run(killed.run, killed.ttl).await?;
    check_eq!(next.claimed.phase, Phase::Loading, "phase found");
    check_eq!(next.claimed.generation, killed.generation, "generation found");
    check_eq!(next.claimed.position, Some(position(1)?), "position found");
    // The second row has changed meanwhile, and one has left the filter.
    next.commit(&batch(2, &[Row::new(2).amount(7), Row::new(3)], &[1])?).await?;
    next.apply().await?;
    check_eq!(target.rows().await?, expected(&[Row::new(2).amount(7), Row::new(3)])?, "rows");
    Ok(())
}

pub(super) async fn rows_of_a_load_that_was_given_up_never_arrive(target: &Target) -> Check {
    let mut session = target.session().await?;
    session.put(1, &[Row::new(1), Row::new(2)]).await?;
    session.fence.generation += 1;
    session.put(1, &[Row::new(3)]).await?;
    session.apply().await?;
    check_eq!(target.rows().await?, expected(&[Row::new(3)])?, "rows");
    // The stage still has the rows that were applied.
    session.fence.generation += 1;
    session.put(1, &[Row::new(4)]).await?;
    session.apply().await?;
    check_eq!(target.rows().await?, expected(&[Row::new(4)])?, "rows of the next load");
    Ok(())
}

pub(super) async fn an_empty_load_is_refused_and_changes_nothing(target: &Target) -> Check {
    let mut session = target.session().await?;
    session.put(1, &[]).await?;
    let counts = session.apply().await?;
    check_eq!(counts, Counts::default(), "counts of nothing into an empty target");
    session.fence.generation += 1;
    session.replace(2, &[Row::new(1)]).await?;
    session.put(3, &[]).await?;
    let before = target.checkpoint().await?;
    check_class!(session.apply().await, Class::Data, "an apply of no row");
    check_eq!(target.rows().await?, expected(&[Row::new(1)])?, "rows");
    check_eq!(target.checkpoint().await?.sequence, before.sequence, "sequence");
    // What was deleted again while loading is no row either, nor is what another load had left.
    session.commit(&batch(4, &[Row::new(2)], &[])?).await?;
    session.commit(&batch(5, &[], &[2])?).await?;
    check_class!(session.apply().await, Class::Data, "an apply of a row that was deleted");
    session.fence.generation += 1;
    check_class!(session.apply().await, Class::Data, "an apply of a load that has not begun");
    session.replace(6, &[Row::new(3)]).await?;
    check_eq!(target.rows().await?, expected(&[Row::new(3)])?, "rows after the refusals");
    Ok(())
}

pub(super) async fn an_empty_load_empties_the_target_where_that_is_allowed(
    target: &Target,
) -> Check {
    let mut session = target.session().await?;
    session.replace(1, &[Row::new(1), Row::new(2)]).await?;
    // Without any batch: a source may have nothing to say at all.
    let counts = session.apply().await?;
    check_eq!(counts, Counts { deleted: 2, ..Counts::default() }, "counts");
    check!(target.rows().await?.is_empty(), "rows are left");
    Ok(())
}

pub(super) async fn the_same_load_and_apply_again_change_nothing(target: &Target) -> Check {
    let mut session = target.session().await?;
    session.replace(1, &[Row::new(9)]).await?;
    // The first batch of a load: again, it must not empty the stage twice, nor count twice.
    let fence = session.fence.clone();
    let rows = batch(2, &[Row::new(1), Row::new(2)], &[])?;
    session.commit(&rows).await?;
    session.sink.commit(&rows, &fence).await?;
    target.open().await?.commit(&rows, &fence).await?;
    session.put(3, &[Row::new(3)]).await?;
    let late = session.sink.commit(&rows, &fence).await;
    check_class!(late, Class::Fenced, "a load of two batches ago");
    let fence = session.fence.clone();
    let told = session.apply().await?;
    check_eq!(told, Counts { inserted: 3, deleted: 1, ..Counts::default() }, "counts");
    let before = target.checkpoint().await?;
    session.sink.apply(&fence).await?;
    target.open().await?.apply(&fence).await?;
    let after = target.checkpoint().await?;
    check_eq!(after.sequence, before.sequence, "sequence");
    check_eq!(after.rows_total, before.rows_total, "rows_total");
    let all = [Row::new(1), Row::new(2), Row::new(3)];
    check_eq!(target.rows().await?, expected(&all)?, "rows");
    let report = target.report(session.fence.run, Outcome::Success);
    session.sink.finish(&report).await?;
    let ledger = target.ledger(session.fence.run).await?;
    let told: Vec<_> = ledger.iter().map(|row| (row.read, row.written, row.deleted)).collect();
    check_eq!(told, vec![(4, 4, 1)], "read, written, deleted in the ledger");
    Ok(())
}

pub(super) async fn a_late_claim_is_taken_neither_for_a_load_nor_for_an_apply(
    target: &Target,
) -> Check {
    let mut session = target.session().await?;
    session.replace(1, &[Row::new(1)]).await?;
    session.put(1, &[Row::new(2)]).await?;
    // The first claim's answer was lost, the second was answered, and now the first arrives.
    let late = target.run(session.fence.run, target.ttl() * 10).await?;
    check_eq!(late.claimed.sequence, session.fence.sequence + 1, "sequence after the late claim");
    let applied = session.apply().await;
    check_class!(applied, Class::Fenced, "an apply after a late claim of the same run");
    session.fence.generation += 1;
    // At the position that the load before had reached: only the generation tells them apart.
    let loaded = session.put(1, &[Row::new(3)]).await;
    check_class!(loaded, Class::Fenced, "a first load after a late claim of the same run");
    check_eq!(target.rows().await?, expected(&[Row::new(1)])?, "rows");
    check_eq!(target.checkpoint().await?.phase, Phase::Loading, "phase");
    Ok(())
}

pub(super) async fn who_was_taken_over_neither_loads_nor_applies(target: &Target) -> Check {
    let mut old = target.short_session().await?;
    old.replace(1, &[Row::new(1)]).await?;
    old.put(2, &[Row::new(2)]).await?;
    target.outlive().await;
    let mut new = target.session().await?;
    check_eq!(new.fence.generation, old.fence.generation, "generation that goes on");
    check_class!(old.put(3, &[Row::new(8)]).await, Class::Fenced, "a load after a takeover");
    check_class!(old.apply().await, Class::Fenced, "an apply after a takeover");
    new.put(3, &[Row::new(3)]).await?;
    check_class!(old.apply().await, Class::Fenced, "an apply two sequences later");
    new.apply().await?;
    check_class!(old.apply().await, Class::Fenced, "an apply of what another run applied");
    check_class!(old.put(4, &[Row::new(9)]).await, Class::Fenced, "a load into an idle one");
    check_eq!(target.rows().await?, expected(&[Row::new(2), Row::new(3)])?, "rows");
    check_eq!(target.checkpoint().await?.phase, Phase::Idle, "phase");
    Ok(())
}

pub(super) async fn an_apply_at_a_stale_fence_is_refused(target: &Target) -> Check {
    let mut session = target.session().await?;
    session.replace(1, &[Row::new(1)]).await?;
    session.put(2, &[Row::new(2)]).await?;
    let fence = session.fence.clone();
    let wrong = [
        ("a sequence ago", Fence { sequence: fence.sequence - 1, ..fence.clone() }),
        ("a sequence of long ago", Fence { sequence: fence.sequence - 2, ..fence.clone() }),
        ("a sequence to come", Fence { sequence: fence.sequence + 1, ..fence.clone() }),
        ("another run's id", Fence { run: Uuid::new_v4(), ..fence.clone() }),
    ];
    for (what, wrong) in wrong {
        check_class!(session.sink.apply(&wrong).await, Class::Fenced, "{what}");
    }
    check_eq!(target.rows().await?, expected(&[Row::new(1)])?, "rows");
    session.apply().await?;
    check_eq!(target.rows().await?, expected(&[Row::new(2)])?, "rows");
    Ok(())
}

pub(super) async fn a_changed_position_gives_the_load_up(target: &Target) -> Check {
    let mut session = target.session().await?;
    session.put(1, &[Row::new(1)]).await?;
    let mut admin = target.fixture.admin().await?;
    let told = admin.change(StateChange::Position(None)).await?;
    check_eq!(told.phase, Phase::Loading, "phase before the change");
    check_class!(session.apply().await, Class::Fenced, "an apply after a state change");
    let next = target.session().await?;
    check_eq!(next.claimed.phase, Phase::Idle, "phase after the change");
    check_eq!(next.fence.generation, session.fence.generation + 1, "generation that begins");
    Ok(())
}

pub(super) async fn a_reader_sees_the_rows_before_or_the_rows_after(target: &Target) -> Check {
    let mut session = target.session().await?;
    let rows = |amount: i128| [Row::new(1), Row::new(2).amount(amount), Row::new(3)];
    session.replace(1, &rows(0)).await?;
    for step in 1..=3 {
        session.put(step, &rows(i128::from(step))).await?;
        let (before, after) =
            (expected(&rows(i128::from(step - 1)))?, expected(&rows(i128::from(step)))?);
        let read = async {
            loop {
                let found = target.rows().await?;
                // No key leaves or comes, so this holds at the weakest isolation as well.
                check!(found == before || found == after, "a reader saw {found:?}");
                tokio::time::sleep(std::time::Duration::from_micros(200)).await;
            }
        };
        tokio::select! {
            biased;
            seen = read => return seen,
            applied = session.apply() => applied.map(drop)?,
        }
        session.fence.generation += 1;
        check_eq!(target.rows().await?, after, "rows after the apply");
    }
    Ok(())
}
