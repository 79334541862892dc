//! One run at a time, by the target's clock.

use std::time::Duration;

use uuid::Uuid;

use crate::error::Class;
use crate::sink::{Outcome, Run};
use crate::testing::case::{Check, check, check_class, check_eq};
use crate::testing::row::Row;

use super::session::{Target, batch, busy, claimed, expected, position};

pub(super) async fn a_fresh_target_has_no_position(target: &Target) -> Check {
    let session = target.session().await?;
    check_eq!(session.claimed.position, None, "position");
    check_eq!(session.claimed.definition, None, "definition");
    check_eq!(session.claimed.rows_total, 0, "rows_total");
    Ok(())
}

pub(super) async fn a_second_run_is_busy_until_the_lease_expires(target: &Target) -> Check {
    let first = target.short_session().await?;
    let lease = busy(target.claim(false).await?)?;
    check_eq!(lease.holder, Some(first.fence.run), "holder");
    check!(lease.remaining <= target.ttl(), "{:?} remain of {:?}", lease.remaining, target.ttl());
    check!(!lease.token.is_empty(), "the lease has no token");
    target.outlive().await;
    let checkpoint = claimed(target.claim(false).await?)?;
    check!(checkpoint.sequence > first.fence.sequence, "the takeover left the sequence");
    Ok(())
}

pub(super) async fn the_old_run_is_fenced_after_a_takeover(target: &Target) -> Check {
    let mut old = target.short_session().await?;
    old.put(1, &[Row::new(1)]).await?;
    target.outlive().await;
    let mut new = target.run(Uuid::new_v4(), target.ttl() * 10).await?;
    check_eq!(new.claimed.position, Some(position(1)?), "the new run's position");
    let late = old.put(2, &[Row::new(2)]).await;
    check_class!(late, Class::Fenced, "the old run's commit");
    let again = old.put(2, &[Row::new(2)]).await;
    check_class!(again, Class::Fenced, "the old run's second commit");
    check_eq!(target.rows().await?, expected(&[Row::new(1)])?, "rows");
    new.put(3, &[Row::new(3)]).await?;
    let late = old.put(2, &[Row::new(2)]).await;
    check_class!(late, Class::Fenced, "the old run's commit after the new run's");
    check_eq!(target.rows().await?, expected(&[Row::new(1), Row::new(3)])?, "rows");
    check_eq!(target.checkpoint().await?.position, Some(position(3)?), "position");
    Ok(())
}

pub(super) async fn the_same_run_may_claim_again_after_a_lost_answer(target: &Target) -> Check {
    let mut first = target.session().await?;
    let run = Run { id: first.fence.run, ttl: target.ttl(), waited: false };
    let mut again = target.open().await?;
    let second = claimed(again.claim(&run).await?)?;
    check!(second.sequence > first.claimed.sequence, "the second claim left the sequence");
    let waited = Run { waited: true, ..run };
    let third = claimed(first.sink.claim(&waited).await?)?;
    check!(third.sequence > second.sequence, "the third claim left the sequence");
    first.fence.sequence = third.sequence;
    first.put(1, &[Row::new(1)]).await?;
    Ok(())
}

pub(super) async fn a_lease_given_back_is_not_taken_by_who_waited(target: &Target) -> Check {
    let mut first = target.session().await?;
    first.put(1, &[Row::new(1)]).await?;
    let seen = busy(target.claim(false).await?)?;
    first.sink.finish(&target.report(first.fence.run, Outcome::Success)).await?;
    let lease = busy(target.claim(true).await?)?;
    check!(lease.token.is_empty(), "the token of a lease given back is \"{}\"", lease.token);
    check!(lease.token != seen.token, "the token stayed");
    claimed(target.claim(false).await?)?;
    Ok(())
}

pub(super) async fn an_expired_lease_is_taken_by_who_waited(target: &Target) -> Check {
    let first = target.short_session().await?;
    let seen = busy(target.claim(false).await?)?;
    let still = busy(target.claim(true).await?)?;
    check_eq!(still.token, seen.token, "the token of a lease that nobody renewed");
    target.outlive().await;
    let checkpoint = claimed(target.claim(true).await?)?;
    check!(checkpoint.sequence > first.fence.sequence, "the takeover left the sequence");
    Ok(())
}

pub(super) async fn renewing_extends_the_lease(target: &Target) -> Check {
    let mut session = target.short_session().await?;
    for _ in 0..2 {
        target.fixture.pass(target.ttl() * 2 / 3).await;
        session.sink.renew(&session.fence).await?;
    }
    busy(target.claim(false).await?)?;
    // Renewing moves nothing that a commit compares.
    session.put(1, &[Row::new(1)]).await?;
    Ok(())
}

pub(super) async fn committing_extends_the_lease(target: &Target) -> Check {
    let mut session = target.short_session().await?;
    for step in 1..=2 {
        target.fixture.pass(target.ttl() * 2 / 3).await;
        session.put(step, &[Row::new(step)]).await?;
    }
    busy(target.claim(false).await?)?;
    Ok(())
}

pub(super) async fn renewing_after_a_takeover_is_fenced(target: &Target) -> Check {
    let mut old = target.short_session().await?;
    target.outlive().await;
    let mut new = target.run(Uuid::new_v4(), target.ttl() * 10).await?;
    let renewed = old.sink.renew(&old.fence).await;
    check_class!(renewed, Class::Fenced, "renewing after a takeover");
    new.sink.renew(&new.fence).await?;
    Ok(())
}

pub(super) async fn expiry_alone_fails_no_commit(target: &Target) -> Check {
    let mut session = target.short_session().await?;
    target.outlive().await;
    session.put(1, &[Row::new(1)]).await?;
    check_eq!(target.rows().await?, expected(&[Row::new(1)])?, "rows");
    Ok(())
}

pub(super) async fn a_renewed_lease_shows_another_token(target: &Target) -> Check {
    let mut session = target.session().await?;
    let first = busy(target.claim(false).await?)?;
    target.fixture.pass(Duration::from_millis(1100)).await;
    session.sink.renew(&session.fence).await?;
    let second = busy(target.claim(true).await?)?;
    check!(first.token != second.token, "renewing left the token");
    target.fixture.pass(Duration::from_millis(1100)).await;
    session.put(1, &[Row::new(1)]).await?;
    let third = busy(target.claim(true).await?)?;
    check!(third.token != second.token, "committing left the token");
    Ok(())
}

pub(super) async fn the_time_of_skipping_is_counted_and_ends_with_a_claim(
    target: &Target,
) -> Check {
    let mut first = target.session().await?;
    let mut skipped = target.open().await?;
    let run = Run { id: Uuid::new_v4(), ttl: target.ttl(), waited: false };
    busy(skipped.claim(&run).await?)?;
    skipped.finish(&target.report(run.id, Outcome::Skipped)).await?;
    target.fixture.pass(Duration::from_millis(2100)).await;
    let lease = busy(target.claim(false).await?)?;
    check!(
        lease.skipped_for >= Duration::from_secs(1),
        "busy for 2 s, but skipped_for is {:?}",
        lease.skipped_for
    );
    first.sink.finish(&target.report(first.fence.run, Outcome::Success)).await?;
    let second = target.session().await?;
    let lease = busy(target.claim(false).await?)?;
    check!(
        lease.skipped_for < Duration::from_secs(1),
        "a claim in between, but skipped_for is {:?}",
        lease.skipped_for
    );
    drop(second);
    Ok(())
}

pub(super) async fn finishing_frees_the_lease_and_writes_the_ledger(target: &Target) -> Check {
    let mut session = target.session().await?;
    session.put(1, &[Row::new(1), Row::new(2), Row::new(3)]).await?;
    session.commit(&batch(2, &[Row::new(1), Row::new(2).name(Some("other"))], &[3])?).await?;
    let before = target.checkpoint().await?;
    session.sink.finish(&target.report(session.fence.run, Outcome::Success)).await?;
    let rows = target.ledger(session.fence.run).await?;
    check_eq!(rows.len(), 1, "ledger rows");
    let row = &rows[0];
    check_eq!(row.outcome, "success", "outcome");
    // What the commits did, in their own transactions: a killed run's ledger is right as well.
    let numbers = (row.read, row.written, row.deleted, row.unchanged);
    check_eq!(numbers, (6, 4, 1, 1), "read, written, deleted, unchanged");
    check_eq!(row.horizon_micros, Some(1_700_000_000_000_000), "horizon");
    check_eq!(row.error_class, None, "error class");
    let next = claimed(target.claim(false).await?)?;
    check!(next.sequence >= before.sequence, "the sequence went back");
    check_eq!(next.position, Some(position(2)?), "position");
    Ok(())
}

pub(super) async fn a_skipped_run_is_in_the_ledger_and_frees_nothing(target: &Target) -> Check {
    let mut holder = target.session().await?;
    let mut skipped = target.open().await?;
    let run = Run { id: Uuid::new_v4(), ttl: target.ttl(), waited: false };
    busy(skipped.claim(&run).await?)?;
    skipped.finish(&target.report(run.id, Outcome::Skipped)).await?;
    let rows = target.ledger(run.id).await?;
    check_eq!(rows.len(), 1, "ledger rows");
    check_eq!(rows[0].outcome, "skipped", "outcome");
    busy(target.claim(false).await?)?;
    holder.put(1, &[Row::new(1)]).await?;
    Ok(())
}

pub(super) async fn a_failed_run_is_in_the_ledger_with_its_class(target: &Target) -> Check {
    let mut session = target.session().await?;
    let mut report = target.report(session.fence.run, Outcome::Failed);
    report.error_class = Some(Class::Data);
    report.error_code = Some("2628".to_owned());
    report.horizon_micros = None;
    session.sink.finish(&report).await?;
    let rows = target.ledger(session.fence.run).await?;
    check_eq!(rows.len(), 1, "ledger rows");
    check_eq!(rows[0].outcome, "failed", "outcome");
    check_eq!(rows[0].error_class.as_deref(), Some("data"), "error class");
    check_eq!(rows[0].horizon_micros, None, "horizon");
    claimed(target.claim(false).await?)?;
    Ok(())
}

pub(super) async fn finishing_again_writes_no_second_row(target: &Target) -> Check {
    let mut session = target.session().await?;
    let report = target.report(session.fence.run, Outcome::Success);
    session.sink.finish(&report).await?;
    session.sink.finish(&report).await?;
    let mut other = target.open().await?;
    other.finish(&report).await?;
    check_eq!(target.ledger(session.fence.run).await?.len(), 1, "ledger rows");
    Ok(())
}
