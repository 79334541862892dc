//! Rows and position: together, once, and only at the right fence.

use uuid::Uuid;

use crate::error::Class;
use crate::sink::Fence;
use crate::testing::case::{Check, check, check_class, check_eq};
use crate::testing::row::Row;

use super::session::{Target, batch, expected, position};

pub(super) async fn batch_and_position_become_durable_together(target: &Target) -> Check {
    let mut session = target.session().await?;
    session.put(1, &[Row::new(1), Row::new(2)]).await?;
    drop(session);
    check_eq!(target.rows().await?, expected(&[Row::new(1), Row::new(2)])?, "rows");
    let checkpoint = target.checkpoint().await?;
    check_eq!(checkpoint.position, Some(position(1)?), "position");
    check_eq!(checkpoint.rows_total, 2, "rows_total");
    Ok(())
}

pub(super) async fn the_same_commit_again_changes_nothing(target: &Target) -> Check {
    let mut session = target.session().await?;
    session.put(1, &[Row::new(1)]).await?;
    let fence = session.fence.clone();
    let rows = batch(2, &[Row::new(2), Row::new(3)], &[])?;
    session.commit(&rows).await?;
    let before = target.checkpoint().await?;
    // The answer was lost: the engine does not know, and asks again with the same fence.
    session.sink.commit(&rows, &fence).await?;
    let mut anew = target.open().await?;
    anew.commit(&rows, &fence).await?;
    let after = target.checkpoint().await?;
    check_eq!(after.sequence, before.sequence, "sequence");
    check_eq!(after.rows_total, before.rows_total, "rows_total");
    let all = [Row::new(1), Row::new(2), Row::new(3)];
    check_eq!(target.rows().await?, expected(&all)?, "rows");
    session.put(3, &[Row::new(4)]).await?;
    Ok(())
}

pub(super) async fn a_commit_again_does_not_undo_a_later_one(target: &Target) -> Check {
    let mut session = target.session().await?;
    let fence = session.fence.clone();
    let old = batch(1, &[Row::new(1).name(Some("old"))], &[])?;
    session.commit(&old).await?;
    session.put(2, &[Row::new(1).name(Some("new"))]).await?;
    let late = session.sink.commit(&old, &fence).await;
    check_class!(late, Class::Fenced, "a commit of two batches ago");
    check_eq!(target.rows().await?, expected(&[Row::new(1).name(Some("new"))])?, "rows");
    check_eq!(target.checkpoint().await?.position, Some(position(2)?), "position");
    Ok(())
}

pub(super) async fn a_late_claim_of_the_same_run_is_not_taken_for_a_commit(
    target: &Target,
) -> Check {
    let mut session = target.session().await?;
    session.put(1, &[Row::new(1)]).await?;
    // The first claim's answer was lost, the second was answered, and now the first arrives: the
    // sequence is one further and the run is ours, but nothing was committed.
    let late = target.run(session.fence.run, target.ttl() * 10).await?;
    check_eq!(late.claimed.sequence, session.fence.sequence + 1, "sequence after the late claim");
    let answer = session.put(2, &[Row::new(2)]).await;
    check_class!(answer, Class::Fenced, "a commit after a late claim of the same run");
    check_eq!(target.rows().await?, expected(&[Row::new(1)])?, "rows");
    check_eq!(target.checkpoint().await?.position, Some(position(1)?), "position");
    Ok(())
}

pub(super) async fn a_stale_fence_is_refused(target: &Target) -> Check {
    let mut session = target.session().await?;
    for step in 1..=3 {
        session.put(step, &[Row::new(step)]).await?;
    }
    let fence = session.fence.clone();
    let wrong = [
        ("a sequence of long ago", Fence { sequence: fence.sequence - 3, ..fence.clone() }),
        ("a sequence to come", Fence { sequence: fence.sequence + 1, ..fence.clone() }),
        ("another run's id", Fence { run: Uuid::new_v4(), ..fence.clone() }),
        (
            "another run's id, one sequence ago",
            Fence { run: Uuid::new_v4(), sequence: fence.sequence - 1, ..fence.clone() },
        ),
    ];
    for (what, wrong) in wrong {
        let refused = session.sink.commit(&batch(9, &[Row::new(9)], &[])?, &wrong).await;
        check_class!(refused, Class::Fenced, "{what}");
    }
    let three = [Row::new(1), Row::new(2), Row::new(3)];
    check_eq!(target.rows().await?, expected(&three)?, "rows");
    check_eq!(target.checkpoint().await?.position, Some(position(3)?), "position");
    session.put(4, &[Row::new(4)]).await?;
    Ok(())
}

pub(super) async fn a_batch_without_rows_moves_the_position(target: &Target) -> Check {
    let mut session = target.session().await?;
    session.put(1, &[]).await?;
    let before = target.checkpoint().await?;
    check_eq!(before.position, Some(position(1)?), "position of a first batch without rows");
    session.put(2, &[Row::new(1)]).await?;
    let counts = session.put(3, &[]).await?;
    check_eq!(counts, crate::Counts::default(), "counts");
    check_eq!(target.checkpoint().await?.position, Some(position(3)?), "position");
    check_eq!(target.rows().await?, expected(&[Row::new(1)])?, "rows");
    Ok(())
}

pub(super) async fn the_definition_is_stored_and_given_back(target: &Target) -> Check {
    let mut session = target.session().await?;
    session.put(1, &[Row::new(1)]).await?;
    let stored = target.checkpoint().await?.definition;
    let text = stored.map(|definition| definition.to_text()).transpose()?;
    check_eq!(text.as_ref(), Some(&session.fence.definition), "definition in the checkpoint");
    let again = target.run(session.fence.run, target.ttl()).await?;
    let text = again.claimed.definition.map(|definition| definition.to_text()).transpose()?;
    check_eq!(text.as_ref(), Some(&session.fence.definition), "definition given by the claim");
    check_eq!(again.claimed.position, Some(position(1)?), "position given by the claim");
    Ok(())
}

pub(super) async fn the_sequence_never_decreases(target: &Target) -> Check {
    let mut session = target.session().await?;
    let mut last = session.claimed.sequence;
    for step in 1..=3 {
        session.put(step, &[Row::new(step)]).await?;
        let now = target.checkpoint().await?.sequence;
        check_eq!(now, last + 1, "sequence after a commit");
        last = now;
    }
    session.sink.renew(&session.fence).await?;
    let report = target.report(session.fence.run, crate::Outcome::Success);
    session.sink.finish(&report).await?;
    let change = crate::sink::StateChange::Position(None);
    target.fixture.admin().await?.change(change).await?;
    let reset = target.checkpoint().await?.sequence;
    check!(reset > last, "a reset took the sequence from {last} to {reset}");
    let next = target.session().await?;
    check!(next.claimed.sequence > reset, "a claim left the sequence at {reset}");
    Ok(())
}
