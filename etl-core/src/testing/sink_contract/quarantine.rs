//! Rows that are put aside: entered, renewed and cleared with a commit; and probes.

use crate::batch::Batch;
use crate::error::{Class, Result};
use crate::quarantine::{Entry, Rejected, RowKey};
use crate::sink::Fence;
use crate::testing::case::{Check, Failure, check, check_class, check_eq};
use crate::testing::row::Row;

use super::TargetSpec;
use super::session::{Session, Target, batch, expected, position};

/// The key of a row.
pub(super) fn key(id: i64) -> Result<RowKey> {
    let keys = RowKey::of(&Row::records(&[Row::new(id)])?, &["id".to_owned()])?;
    keys.into_iter().next().ok_or_else(|| crate::Error::internal("one row gave no key"))
}

/// A row that is put aside for its name.
pub(super) fn rejected(id: i64) -> Result<Rejected> {
    Ok(Rejected {
        key: key(id)?,
        column: Some("name".to_owned()),
        reason: format!("row {id} is refused, it's \"näme\" 🚚"),
        code: Some("42".to_owned()),
    })
}

/// A batch of upserts at `step` that puts rows aside and clears others.
fn aside(step: i64, upserts: &[Row], put: &[i64], clear: &[i64]) -> Result<Batch> {
    let mut batch = batch(step, upserts, &[])?;
    batch.aside.put = put.iter().map(|id| rejected(*id)).collect::<Result<_>>()?;
    batch.aside.clear = clear.iter().map(|id| key(*id)).collect::<Result<_>>()?;
    Ok(batch)
}

impl Target {
    pub(super) async fn quarantined(&self) -> Result<Vec<Entry>> {
        self.fixture.admin().await?.quarantined().await
    }

    /// The keys that lie in the quarantine, in order, and how often rows were put there.
    async fn lying(&self) -> Result<(Vec<RowKey>, u64, u64), Failure> {
        let mut keys: Vec<_> =
            self.quarantined().await?.into_iter().map(|entry| entry.rejected.key).collect();
        keys.sort();
        let ledger = self.fixture.admin().await?.ledger().await?.unwrap_or_default();
        Ok((keys, ledger.quarantined, ledger.rows.quarantined))
    }
}

fn keys(ids: &[i64]) -> Result<Vec<RowKey>> {
    let mut keys = ids.iter().map(|id| key(*id)).collect::<Result<Vec<_>>>()?;
    keys.sort();
    Ok(keys)
}

pub(super) async fn a_row_that_is_put_aside_is_entered_with_its_reason(target: &Target) -> Check {
    check_eq!(target.quarantined().await?, [], "entries before preparing");
    let mut session = target.session().await?;
    check_eq!(session.sink.quarantined().await?, [], "entries of a fresh target");
    session.commit(&aside(1, &[Row::new(1)], &[2], &[])?).await?;
    let found = target.quarantined().await?;
    let [entry] = found.as_slice() else {
        return Err(Failure::new(format!("expected one entry, found {found:?}")));
    };
    check_eq!(entry.rejected, rejected(2)?, "the entry");
    check_eq!(entry.attempts, 1, "attempts");
    check_eq!(entry.first_seen_micros, entry.last_seen_micros, "when it was seen");
    let now = target.fixture.admin().await?.ledger().await?.unwrap_or_default().now_micros;
    let age = now - entry.first_seen_micros;
    check!((0..60_000_000).contains(&age), "an entry just made is {age} us old");
    check_eq!(session.sink.quarantined().await?, [rejected(2)?], "what the sink is told");
    // Without a column, a code or any other row.
    let mut bare = aside(2, &[], &[3], &[])?;
    (bare.aside.put[0].column, bare.aside.put[0].code) = (None, None);
    session.commit(&bare).await?;
    let found: Vec<_> = target.quarantined().await?.into_iter().map(|one| one.rejected).collect();
    check_eq!(found, [rejected(2)?, bare.aside.put[0].clone()], "entries, the oldest first");
    check_eq!(target.lying().await?, (keys(&[2, 3])?, 2, 2), "keys, entries, rows counted");
    check_eq!(target.checkpoint().await?.position, Some(position(2)?), "position");
    Ok(())
}

pub(super) async fn a_reason_of_any_length_is_kept_as_far_as_there_is_room(
    target: &Target,
) -> Check {
    let mut session = target.session().await?;
    let mut long = aside(1, &[], &[2], &[])?;
    long.aside.put[0].reason = "🚚".repeat(3_000);
    long.aside.put[0].code = Some("9".repeat(60));
    session.commit(&long).await?;
    let found = session.sink.quarantined().await?;
    check_eq!(found.len(), 1, "entries");
    check!(found[0].reason.starts_with("🚚🚚🚚"), "the reason is {:?}", found[0].reason);
    Ok(())
}

pub(super) async fn a_row_that_is_put_aside_again_counts_and_keeps_its_first_time(
    target: &Target,
) -> Check {
    let mut session = target.session().await?;
    session.commit(&aside(1, &[], &[2, 3], &[])?).await?;
    let before = target.quarantined().await?;
    target.fixture.pass(std::time::Duration::from_millis(50)).await;
    let mut again = aside(2, &[], &[2], &[])?;
    again.aside.put[0].column = Some("status".to_owned());
    again.aside.put[0].reason = "another one".to_owned();
    session.commit(&again).await?;
    let after = target.quarantined().await?;
    check_eq!(after.len(), 2, "entries: one for each key");
    let of = |entries: &[Entry], id: i64| -> Result<Entry, Failure> {
        let key = key(id)?;
        let found = entries.iter().find(|entry| entry.rejected.key == key).cloned();
        found.ok_or_else(|| Failure::new(format!("key {id} is not there")))
    };
    let (old, new) = (of(&before, 2)?, of(&after, 2)?);
    check_eq!(new.rejected, again.aside.put[0], "what is known of it");
    check_eq!(new.attempts, 2, "attempts");
    check_eq!(new.first_seen_micros, old.first_seen_micros, "when it was first seen");
    check!(new.last_seen_micros > old.last_seen_micros, "when it was last seen did not move");
    check_eq!(of(&after, 3)?, of(&before, 3)?, "the other entry");
    check_eq!(target.lying().await?, (keys(&[2, 3])?, 2, 3), "keys, entries, rows counted");
    Ok(())
}

pub(super) async fn what_landed_or_left_is_cleared(target: &Target) -> Check {
    let mut session = target.session().await?;
    session.commit(&aside(1, &[], &[1, 2, 3, 4], &[])?).await?;
    // One lands while another is put aside, one was deleted, one is not carried any more.
    session.commit(&aside(2, &[Row::new(1)], &[5], &[1])?).await?;
    check_eq!(target.lying().await?.0, keys(&[2, 3, 4, 5])?, "keys after one landed");
    let mut gone = batch(3, &[], &[2])?;
    gone.aside.clear = keys(&[2, 3])?;
    session.commit(&gone).await?;
    check_eq!(target.lying().await?.0, keys(&[4, 5])?, "keys after one was deleted");
    // What is not there is cleared as well as it can be.
    session.commit(&aside(4, &[], &[], &[2])?).await?;
    check_eq!(target.lying().await?, (keys(&[4, 5])?, 2, 5), "keys, entries, rows counted");
    Ok(())
}

pub(super) async fn an_apply_clears_what_its_load_did_not_put_aside(target: &Target) -> Check {
    let mut session = target.session().await?;
    session.commit(&aside(1, &[Row::new(1)], &[2, 3, 4], &[])?).await?;
    session.apply().await?;
    check_eq!(target.lying().await?, (keys(&[2, 3, 4])?, 3, 3), "keys, entries, rows counted");
    session.fence.generation += 1;
    session.commit(&aside(2, &[Row::new(1)], &[2], &[])?).await?;
    let killed = session.fence.run;
    drop(session);
    // The load goes on, with another row; the fourth is gone at the source.
    let mut next = target.run(killed, target.ttl()).await?;
    next.commit(&aside(3, &[Row::new(5)], &[3], &[])?).await?;
    check_eq!(target.lying().await?, (keys(&[2, 3, 4])?, 3, 5), "keys, entries, rows counted");
    next.apply().await?;
    check_eq!(target.lying().await?, (keys(&[2, 3])?, 2, 5), "keys, entries, rows counted");
    Ok(())
}

pub(super) async fn the_quarantine_of_another_stream_is_left_alone(target: &Target) -> Check {
    let spec = TargetSpec::unique(target.mode(), None, false)?;
    let other = Target::new(target.fixture.beside(spec.clone()).await?, spec);
    let mut there = other.session().await?;
    there.commit(&aside(1, &[], &[1, 2], &[])?).await?;
    let before = other.quarantined().await?;
    let mut session = target.session().await?;
    check_eq!(target.quarantined().await?, [], "entries of a fresh target");
    session.commit(&aside(1, &[], &[2], &[])?).await?;
    session.commit(&aside(2, &[Row::new(1)], &[2], &[1])?).await?;
    check_eq!(other.quarantined().await?, before, "entries of the other stream");
    check_eq!(target.lying().await?, (keys(&[2])?, 1, 2), "keys, entries, rows counted");
    Ok(())
}

pub(super) async fn a_commit_that_is_refused_enters_and_clears_nothing(target: &Target) -> Check {
    let mut session = target.session().await?;
    session.commit(&aside(1, &[Row::new(9)], &[1], &[])?).await?;
    let before = target.quarantined().await?;
    let counted = target.lying().await?;
    let change = aside(2, &[Row::new(1)], &[2], &[1])?;
    let stale = Fence { sequence: session.fence.sequence - 1, ..session.fence.clone() };
    let refused = session.sink.commit(&change, &stale).await;
    check_class!(refused, Class::Fenced, "a commit at a stale fence");
    check_eq!(target.quarantined().await?, before, "entries after a fenced commit");
    let long = aside(2, &[Row::new(1).name(Some(&"x".repeat(41)))], &[2], &[1])?;
    check_class!(session.commit(&long).await, Class::Data, "a commit of a bad row");
    check_eq!(target.quarantined().await?, before, "entries after a commit of a bad row");
    check_eq!(target.lying().await?, counted, "what is counted");
    session.commit(&change).await?;
    check_eq!(target.lying().await?.0, keys(&[2])?, "keys after the commit");
    Ok(())
}

pub(super) async fn the_same_commit_puts_aside_once(target: &Target) -> Check {
    let mut session = target.session().await?;
    session.commit(&aside(1, &[], &[1, 2], &[])?).await?;
    let fence = session.fence.clone();
    let change = aside(2, &[Row::new(1)], &[2, 3], &[1])?;
    session.commit(&change).await?;
    let before = target.quarantined().await?;
    // The answer was lost: the engine does not know, and asks again with the same fence.
    session.sink.commit(&change, &fence).await?;
    target.open().await?.commit(&change, &fence).await?;
    check_eq!(target.quarantined().await?, before, "entries");
    check_eq!(target.lying().await?, (keys(&[2, 3])?, 2, 4), "keys, entries, rows counted");
    Ok(())
}

/// Everything that a probe must leave as it is.
async fn seen(target: &Target) -> Result<String, Failure> {
    let mut ledger = target.fixture.admin().await?.ledger().await?.unwrap_or_default();
    ledger.now_micros = 0;
    let checkpoint = target.checkpoint().await?;
    let checkpoint = (checkpoint.sequence, checkpoint.position, checkpoint.phase);
    let rows = target.rows().await?;
    Ok(format!("{rows:?} {checkpoint:?} {:?} {ledger:?}", target.quarantined().await?))
}

pub(super) async fn a_probe_changes_nothing(target: &Target) -> Check {
    let mut session = target.session().await?;
    session.commit(&aside(1, &[Row::new(1), Row::new(2)], &[3], &[])?).await?;
    let before = seen(target).await?;
    let changes = probed(target, &[Row::new(1).amount(7), Row::new(3)])?;
    session.sink.probe(&changes, &session.fence).await?;
    target.open().await?.probe(&changes, &session.fence).await?;
    check_eq!(seen(target).await?, before, "rows, checkpoint, quarantine and ledger");
    session.commit(&batch(2, &[Row::new(1).amount(7), Row::new(3)], &[])?).await?;
    check_eq!(target.checkpoint().await?.position, Some(position(2)?), "position");
    Ok(())
}

/// Rows to try, with a delete where rows leave.
fn probed(target: &Target, rows: &[Row]) -> Result<crate::Changes> {
    let leave: &[i64] = if target.mode().is_keyed() { &[2] } else { &[] };
    Ok(batch(2, rows, leave)?.changes)
}

async fn refused(session: &mut Session, changes: &crate::Changes) -> Check {
    let answer = session.sink.probe(changes, &session.fence).await;
    let error = check_class!(answer, Class::Data, "a probe of a bad row");
    check_eq!(error.column(), Some("name"), "the column that the error is about");
    check!(error.to_string().contains("4711"), "the error does not name the key: {error}");
    Ok(())
}

pub(super) async fn a_probe_finds_what_a_commit_would(target: &Target) -> Check {
    let mut session = target.session().await?;
    session.put(1, &[Row::new(1), Row::new(2)]).await?;
    let before = seen(target).await?;
    let long = Row::new(4711).name(Some(&"x".repeat(41)));
    let bad = probed(target, &[Row::new(5), long, Row::new(6)])?;
    refused(&mut session, &bad).await?;
    let good = probed(target, &[Row::new(5), Row::new(6)])?;
    session.sink.probe(&good, &session.fence).await?;
    refused(&mut session, &bad).await?;
    check_eq!(seen(target).await?, before, "rows, checkpoint, quarantine and ledger");
    let stale = Fence { sequence: session.fence.sequence - 1, ..session.fence.clone() };
    let answer = session.sink.probe(&good, &stale).await;
    check_class!(answer, Class::Fenced, "a probe at a stale fence");
    session.put(2, &[Row::new(5)]).await?;
    if target.mode().is_keyed() && !session.sink.replaces() {
        let rows = [Row::new(1), Row::new(2), Row::new(5)];
        check_eq!(target.rows().await?, expected(&rows)?, "rows");
    }
    Ok(())
}
