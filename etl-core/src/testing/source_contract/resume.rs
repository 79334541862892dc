//! Going on where a sink says that it is.

use crate::testing::case::{Check, check, check_eq};
use crate::testing::row::Row;

use super::Change;
use super::world::{Applied, WIDE, World, begin_sweep, end, ids, progress, rows, stored, sweep};

pub(super) async fn every_position_can_be_resumed_from(world: &World) -> Check {
    world.fill(11).await?;
    let source = world.source().await?;
    for size in [1, 2, 3, 4, 5, 11, 12] {
        let batches = sweep(&source, None, rows(size)).await?;
        for (index, batch) in batches.iter().enumerate() {
            let mut applied = Applied::of(&batches[..=index])?;
            // A process of its own, with other limits: only the position connects them.
            let resumed = world.source().await?;
            let rest = sweep(&resumed, Some(stored(&batch.position)?), rows(3)).await?;
            applied.apply(&rest)?;
            let found: Vec<_> = applied.rows.keys().copied().collect();
            let all: Vec<_> = (1..=11).collect();
            check_eq!(found, all, "rows of a sweep by {size} resumed after batch {index}");
        }
    }
    Ok(())
}

pub(super) async fn whatever_is_written_between_batches_arrives(world: &World) -> Check {
    let mut table: Vec<_> = (1..=9).map(Row::new).collect();
    world.fill(9).await?;
    for count in 1..=5 {
        let source = world.source().await?;
        let begun = begin_sweep(&source, None, rows(2), count).await?;
        let mut applied = Applied::of(&begun)?;
        let read: Vec<i64> =
            begun.iter().map(|batch| ids(&batch.changes)).collect::<Result<Vec<_>, _>>()?.concat();
        // One row that was read, one that was not, and a new one.
        let new = Row::new(100 + i64::try_from(count).unwrap_or(0));
        let is_read = |row: &&mut Row| read.contains(&row.id);
        let old = table.iter_mut().find(is_read).into_iter();
        let mut changes: Vec<_> = old.map(|row| renamed(row, count)).collect();
        let unread = table.iter_mut().find(|row| !is_read(row)).into_iter();
        changes.extend(unread.map(|row| renamed(row, count)));
        changes.push(Change::Insert(new.clone()));
        table.push(new);
        world.fixture.write(&changes).await?;

        let rest = sweep(&source, end(&begun)?, rows(2)).await?;
        applied.apply(&rest)?;
        world.fixture.settle().await?;
        let next = sweep(&source, end(&rest)?, rows(2)).await?;
        applied.apply(&next)?;
        check_eq!(applied.rows, World::expect(&table)?, "rows, changed after batch {count}");
    }
    Ok(())
}

fn renamed(row: &mut Row, version: usize) -> Change {
    row.name = Some(format!("version {version}"));
    Change::Update(row.clone())
}

pub(super) async fn a_sweep_after_a_change_yields_the_change(world: &World) -> Check {
    world.fill(6).await?;
    let source = world.source().await?;
    let first = sweep(&source, None, rows(4)).await?;
    let mut applied = Applied::of(&first)?;
    let changed = Row::new(3).name(Some("changed")).amount(0);
    world.fixture.write(&[Change::Update(changed.clone())]).await?;
    world.fixture.settle().await?;
    let second = sweep(&source, end(&first)?, rows(4)).await?;
    applied.apply(&second)?;
    let mut all: Vec<_> = (1..=6).map(Row::new).collect();
    all[2] = changed;
    check_eq!(applied.rows, World::expect(&all)?, "rows");
    let upserts = Applied::of(&second)?.upserts;
    check!(upserts.contains_key(&3), "the second sweep yielded {upserts:?}, not row 3");
    Ok(())
}

pub(super) async fn rows_read_again_are_counted(world: &World) -> Check {
    world.fill(6).await?;
    let source = world.source().await?;
    let mut batches = sweep(&source, None, WIDE).await?;
    check_eq!(progress(&batches), (6, 0), "rows read and read again by the first sweep");
    for round in 0..2 {
        batches = sweep(&source, end(&batches)?, WIDE).await?;
        let (read, reread) = progress(&batches);
        check_eq!(reread, read, "rows read again by idle sweep {round}");
    }
    world.fixture.write(&[Change::Update(Row::new(2).amount(0))]).await?;
    world.fixture.settle().await?;
    batches = sweep(&source, end(&batches)?, WIDE).await?;
    let (read, reread) = progress(&batches);
    check!(read > reread, "a changed row is not counted as new: {read} read, {reread} again");
    Ok(())
}

pub(super) async fn a_row_deleted_half_way_breaks_nothing(world: &World) -> Check {
    world.fill(8).await?;
    let source = world.source().await?;
    let begun = begin_sweep(&source, None, rows(2), 2).await?;
    let mut applied = Applied::of(&begun)?;
    // The row at the position itself, and one behind it.
    let at = ids(&begun[1].changes)?[1];
    let behind = (1..=8).find(|id| !applied.rows.contains_key(id)).unwrap_or(8);
    world.fixture.write(&[Change::Delete(at), Change::Delete(behind)]).await?;
    let rest = sweep(&source, end(&begun)?, rows(2)).await?;
    applied.apply(&rest)?;
    let found: Vec<_> = applied.rows.keys().copied().collect();
    let left: Vec<_> = (1..=8).filter(|id| *id != behind).collect();
    check_eq!(found, left, "rows");
    Ok(())
}
