//! A process that is killed in the middle of a commit.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use crate::quarantine::RowKey;
use crate::sink::Phase;
use crate::testing::case::{Check, Failure, check, check_eq};
use crate::testing::row::Row;

use super::quarantine::{key, rejected};
use super::session::{Target, batch, expected, position};

/// More steps than a commit has on any database we know.
const MOST_POLLS: usize = 400;

pub(super) async fn a_commit_dropped_anywhere_leaves_all_or_nothing(target: &Target) -> Check {
    let run = target.session().await?.fence.run;
    let mut committed: Vec<Row> = Vec::new();
    let mut steps: Vec<RowKey> = Vec::new();
    let mut before = target.checkpoint().await?.position;
    let mut polls = 0;
    while polls < MOST_POLLS {
        // Every point at first, then fewer: a commit over a network has hundreds.
        polls += 1 + polls / 8;
        let step = i64::try_from(polls).map_err(|_| Failure::new("too many polls"))?;
        let rows = [Row::new(2 * step), Row::new(2 * step + 1)];
        let mut session = target.run(run, target.ttl() * 20).await?;
        let finished = {
            let mut batch = batch(step, &rows, &[])?;
            batch.aside.put = vec![rejected(step)?];
            batch.aside.clear = steps.last().cloned().into_iter().collect();
            dropped_after(polls, session.sink.commit(&batch, &session.fence)).await
        };
        let acknowledged = finished.transpose()?.is_some();
        drop(session);
        // The claim waits for what is still being committed, and fences what has yet to arrive.
        let next = target.run(run, target.ttl() * 20).await?;
        let reached = next.claimed.position;
        if reached == Some(position(step)?) {
            committed.extend(rows);
            // The last one was cleared.
            steps.pop();
            steps.push(key(step)?);
        } else {
            check!(!acknowledged, "a commit said Ok after {polls} polls, but left no position");
            check_eq!(reached, before, "position after {polls} polls");
        }
        check_eq!(
            target.rows().await?,
            expected(&committed)?,
            "rows of a commit dropped after {polls} polls ({})",
            target.mode().as_str()
        );
        let lying = target.quarantined().await?.into_iter().map(|entry| entry.rejected.key);
        let lying: Vec<_> = lying.collect();
        check_eq!(lying, steps, "keys put aside by a commit dropped after {polls} polls");
        before = reached;
        if acknowledged {
            return Ok(());
        }
    }
    Err(Failure::new(format!("a commit of two rows took more than {MOST_POLLS} polls")))
}

pub(super) async fn an_apply_dropped_anywhere_leaves_all_or_nothing(target: &Target) -> Check {
    let mut session = target.session().await?;
    let run = session.fence.run;
    let row = |amount: i64| Row::new(2).amount(i128::from(amount));
    let mut standing = vec![Row::new(1), row(0), Row::new(3)];
    session.replace(1, &standing).await?;
    drop(session);
    let (mut polls, mut left) = (0, vec![3]);
    while polls < MOST_POLLS {
        polls += 1 + polls / 8;
        let step = i64::try_from(polls).map_err(|_| Failure::new("too many polls"))?;
        let mut session = target.run(run, target.ttl() * 20).await?;
        // One row leaves, one differs, one is new.
        let wanted = vec![Row::new(1), row(step), Row::new(3 + step)];
        session.commit(&batch(step + 1, &wanted, &left)?).await?;
        left.push(3 + step);
        let fence = session.fence.clone();
        let finished = dropped_after(polls, session.sink.apply(&session.fence)).await;
        let acknowledged = finished.transpose()?.is_some();
        drop(session);
        let next = target.run(run, target.ttl() * 20).await?;
        if next.claimed.phase == Phase::Idle {
            check_eq!(next.claimed.generation, fence.generation, "generation after an apply");
            standing = wanted;
        } else {
            check!(!acknowledged, "an apply said Ok after {polls} polls, but left a load");
        }
        let found = target.rows().await?;
        check_eq!(found, expected(&standing)?, "rows of an apply dropped after {polls} polls");
        if acknowledged {
            return Ok(());
        }
    }
    Err(Failure::new(format!("an apply of three rows took more than {MOST_POLLS} polls")))
}

/// Polls `future` at most `polls` times and drops it.
async fn dropped_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => {
            left -= 1;
            if left == 0 { Poll::Ready(None) } else { Poll::Pending }
        }
    })
    .await
}
