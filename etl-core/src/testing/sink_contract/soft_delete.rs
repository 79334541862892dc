//! Rows that leave are marked: they stay, with the time.

use std::time::Duration;

use crate::sink::Counts;
use crate::testing::case::{Check, Failure, check, check_eq};
use crate::testing::row::{CanonicalRow, Row};

use super::session::{Session, Target, batch, expected};

fn counts(inserted: u64, updated: u64, deleted: u64, unchanged: u64) -> Counts {
    Counts { inserted, updated, deleted, unchanged }
}

impl Target {
    /// The time at which each row left, by key; only of rows that did.
    async fn marks(&self) -> Result<Vec<(String, i64)>, Failure> {
        let mut marks = Vec::new();
        for row in self.rows().await? {
            let mark = self.mark().and_then(|column| row.get(column)).and_then(Option::as_ref);
            let id = row.get("id").cloned().flatten().unwrap_or_default();
            marks.extend(mark.map(|text| Ok::<_, Failure>((id, micros(text)?))).transpose()?);
        }
        Ok(marks)
    }

    /// The rows as they are, their marks aside.
    async fn without_marks(&self) -> Result<Vec<CanonicalRow>, Failure> {
        let mut rows = self.rows().await?;
        if let Some(mark) = self.mark() {
            rows.iter_mut().for_each(|row| drop(row.remove(mark)));
            rows.sort();
        }
        Ok(rows)
    }

    /// The target's clock.
    async fn now(&self) -> Result<i64, Failure> {
        let ledger = self.fixture.admin().await?.ledger().await?;
        Ok(ledger.ok_or_else(|| Failure::new("a prepared pipeline has no ledger"))?.now_micros)
    }

    /// Lets the target's clock go on by more than its marks' resolution.
    async fn tick(&self) {
        self.fixture.pass(Duration::from_millis(40)).await;
    }
}

/// Microseconds since 1970 UTC; a column without a zone holds UTC.
fn micros(text: &str) -> Result<i64, Failure> {
    let time =
        chrono::NaiveDateTime::parse_from_str(text.trim_end_matches('Z'), "%Y-%m-%dT%H:%M:%S%.f");
    let time = time.map_err(|_| Failure::new(format!("a mark is no time: {text}")))?;
    Ok(time.and_utc().timestamp_micros())
}

/// Deletes rows.
async fn leave(session: &mut Session, step: i64, ids: &[i64]) -> Result<Counts, Failure> {
    Ok(session.commit(&batch(step, &[], ids)?).await?)
}

pub(super) async fn a_row_that_leaves_stays_and_shows_the_targets_time(target: &Target) -> Check {
    let rows = [Row::new(1), Row::new(2), Row::new(3)];
    let mut session = target.session().await?;
    session.put(1, &rows).await?;
    check_eq!(target.marks().await?, [], "marks of new rows");
    // A mark may have only milliseconds.
    let before = target.now().await? / 1_000 * 1_000;
    let mixed = batch(2, &[Row::new(2), Row::new(4)], &[1, 3, 99])?;
    check_eq!(session.commit(&mixed).await?, counts(1, 0, 2, 1), "two marked, one unknown");
    let after = target.now().await?;
    let all = [Row::new(1), Row::new(2), Row::new(3), Row::new(4)];
    check_eq!(target.without_marks().await?, expected(&all)?, "rows");
    let marks = target.marks().await?;
    let marked: Vec<_> = marks.iter().map(|(id, _)| id.as_str()).collect();
    check_eq!(marked, ["1", "3"], "keys of marked rows");
    check_eq!(marks[0].1, marks[1].1, "the times of one batch");
    let at = marks[0].1;
    check!((before..=after).contains(&at), "the mark is {at}, the commit {before} to {after}");
    Ok(())
}

pub(super) async fn a_delete_delivered_again_keeps_the_first_time(target: &Target) -> Check {
    let mut session = target.session().await?;
    session.put(1, &[Row::new(1), Row::new(2)]).await?;
    check_eq!(leave(&mut session, 2, &[1]).await?, counts(0, 0, 1, 0), "the first time");
    let first = target.marks().await?;
    target.tick().await;
    check_eq!(leave(&mut session, 3, &[1]).await?, counts(0, 0, 0, 0), "the same again");
    check_eq!(target.marks().await?, first, "marks after the same again");
    target.tick().await;
    check_eq!(leave(&mut session, 4, &[1, 2]).await?, counts(0, 0, 1, 0), "with another one");
    let marks = target.marks().await?;
    check_eq!(marks[0], first[0], "the mark of the row that had left");
    check!(marks[1].1 > first[0].1, "a later row has no later mark: {marks:?}");
    Ok(())
}

pub(super) async fn a_row_that_comes_back_is_unmarked_and_counts_as_updated(
    target: &Target,
) -> Check {
    let mut session = target.session().await?;
    session.put(1, &[Row::new(1), Row::new(2)]).await?;
    leave(&mut session, 2, &[1]).await?;
    let first = target.marks().await?;
    check_eq!(session.put(3, &[Row::new(1)]).await?, counts(0, 1, 0, 0), "back, and equal");
    check_eq!(target.rows().await?, expected(&[Row::new(1), Row::new(2)])?, "rows");
    check_eq!(session.put(4, &[Row::new(1)]).await?, counts(0, 0, 0, 1), "the same once more");
    target.tick().await;
    check_eq!(leave(&mut session, 5, &[1]).await?, counts(0, 0, 1, 0), "gone again");
    let second = target.marks().await?;
    check!(second[0].1 > first[0].1, "gone at {first:?}, back, and gone again at {second:?}");
    let back = Row::new(1).name(None);
    check_eq!(
        session.put(6, std::slice::from_ref(&back)).await?,
        counts(0, 1, 0, 0),
        "back, changed"
    );
    check_eq!(target.rows().await?, expected(&[back, Row::new(2)])?, "rows");
    Ok(())
}

pub(super) async fn the_same_commit_marks_once(target: &Target) -> Check {
    let mut session = target.session().await?;
    session.put(1, &[Row::new(1), Row::new(2)]).await?;
    let batch = batch(2, &[Row::new(2).amount(1)], &[1])?;
    let first = session.sink.commit(&batch, &session.fence).await?;
    let marks = target.marks().await?;
    target.tick().await;
    // Its answer was lost: it comes again, with the same fence.
    let again = session.sink.commit(&batch, &session.fence).await?;
    check_eq!(first, counts(0, 1, 1, 0), "the first time");
    check_eq!((again.inserted, marks.len()), (0, 1), "rows made, and marks");
    check_eq!(target.marks().await?, marks, "marks");
    Ok(())
}
