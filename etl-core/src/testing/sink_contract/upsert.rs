//! Inserting what is new, updating what differs, deleting what left.

use crate::sink::Counts;
use crate::testing::case::{Check, check_eq};
use crate::testing::row::Row;

use super::session::{Target, batch, expected};

fn counts(inserted: u64, updated: u64, deleted: u64, unchanged: u64) -> Counts {
    Counts { inserted, updated, deleted, unchanged }
}

pub(super) async fn counts_are_exact(target: &Target) -> Check {
    let mut session = target.session().await?;
    let first = session.put(1, &[Row::new(1), Row::new(2), Row::new(3)]).await?;
    check_eq!(first, counts(3, 0, 0, 0), "three new rows");
    let changed = Row::new(2).amount(1);
    let mixed = batch(2, &[Row::new(1), changed.clone(), Row::new(4)], &[3, 99])?;
    let second = session.commit(&mixed).await?;
    check_eq!(second, counts(1, 1, 1, 1), "one of each kind, and a delete of an absent row");
    check_eq!(target.rows().await?, expected(&[Row::new(1), changed, Row::new(4)])?, "rows");
    Ok(())
}

/// Writes `from`, then `to`: one update, and `to` is what stands there.
async fn differs(target: &Target, from: Row, to: Row) -> Check {
    let mut session = target.session().await?;
    session.put(1, &[from]).await?;
    let update = session.put(2, std::slice::from_ref(&to)).await?;
    check_eq!(update, counts(0, 1, 0, 0), "counts");
    check_eq!(target.rows().await?, expected(&[to])?, "rows");
    session.sink.finish(&target.report(session.fence.run, crate::Outcome::Success)).await?;
    Ok(())
}

pub(super) async fn a_change_of_letter_case_only_is_an_update(target: &Target) -> Check {
    let named = |name| Row::new(1).name(Some(name));
    differs(target, named("straße"), named("Straße")).await
}

pub(super) async fn a_trailing_blank_only_is_an_update(target: &Target) -> Check {
    let named = |name| Row::new(1).name(Some(name));
    differs(target, named("a"), named("a ")).await
}

pub(super) async fn null_and_empty_are_different_values(target: &Target) -> Check {
    let with = |name| Row::new(1).name(name);
    let mut session = target.session().await?;
    session.put(1, &[with(None)]).await?;
    for (step, name) in
        [(2, Some("")), (3, None), (4, Some("a")), (5, None), (6, Some("b")), (7, Some(""))]
    {
        let update = session.put(step, &[with(name)]).await?;
        check_eq!(update, counts(0, 1, 0, 0), "name becomes {name:?}");
        check_eq!(target.rows().await?, expected(&[with(name)])?, "rows");
    }
    for (step, amount, active) in [(8, None, None), (9, Some(1), Some(false))] {
        let row = Row { amount, active, ..with(Some("")) };
        let update = session.put(step, std::slice::from_ref(&row)).await?;
        check_eq!(update, counts(0, 1, 0, 0), "amount and active become {amount:?}, {active:?}");
        check_eq!(target.rows().await?, expected(&[row])?, "rows");
    }
    Ok(())
}

pub(super) async fn equal_rows_are_left_alone(target: &Target) -> Check {
    let mut session = target.session().await?;
    let null = Row { name: None, amount: None, active: None, ..Row::new(2) };
    let rows = [Row::new(1), null, Row::new(3).name(Some(""))];
    session.put(1, &rows).await?;
    let again = session.put(2, &rows).await?;
    check_eq!(again, counts(0, 0, 0, 3), "counts");
    check_eq!(target.rows().await?, expected(&rows)?, "rows");
    Ok(())
}

pub(super) async fn deleting_an_absent_row_does_no_harm(target: &Target) -> Check {
    let mut session = target.session().await?;
    let deleted = session.commit(&batch(1, &[], &[1, 2])?).await?;
    check_eq!(deleted, counts(0, 0, 0, 0), "counts");
    session.put(2, &[Row::new(1)]).await?;
    session.commit(&batch(3, &[], &[2])?).await?;
    check_eq!(target.rows().await?, expected(&[Row::new(1)])?, "rows");
    Ok(())
}

pub(super) async fn a_deleted_row_may_come_back(target: &Target) -> Check {
    let mut session = target.session().await?;
    session.put(1, &[Row::new(1)]).await?;
    check_eq!(session.commit(&batch(2, &[], &[1])?).await?, counts(0, 0, 1, 0), "the delete");
    check_eq!(target.rows().await?, expected(&[])?, "rows");
    let back = Row::new(1).name(Some("back"));
    let counted = session.put(3, std::slice::from_ref(&back)).await?;
    check_eq!(counted, counts(1, 0, 0, 0), "the insert");
    check_eq!(target.rows().await?, expected(&[back])?, "rows");
    Ok(())
}
