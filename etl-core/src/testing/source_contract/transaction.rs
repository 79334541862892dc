//! Writers whose commits come late.

use crate::connector::Mode;
use crate::testing::case::{Check, check, check_eq};
use crate::testing::row::Row;

use super::Change;
use super::world::{Applied, World, end, rows, sweep};

pub(super) async fn rows_of_an_open_transaction_arrive_after_it_commits(world: &World) -> Check {
    world.fill(3).await?;
    let source = world.source().await?;
    let mut batches = sweep(&source, None, rows(2)).await?;
    let mut applied = Applied::of(&batches)?;
    let Some(mut open) = world.fixture.begin().await? else { return Ok(()) };
    let late = [Change::Insert(Row::new(100)), Change::Update(Row::new(1).name(Some("late")))];
    open.write(&late).await?;
    // Later rows are committed earlier, and old enough to be below any other horizon.
    world.insert([101, 102]).await?;
    world.fixture.settle().await?;
    for _ in 0..2 {
        batches = sweep(&source, end(&batches)?, rows(2)).await?;
        applied.apply(&batches)?;
    }
    check!(!applied.rows.contains_key(&100), "a row came that was not committed");
    open.commit().await?;
    world.fixture.settle().await?;
    batches = sweep(&source, end(&batches)?, rows(2)).await?;
    applied.apply(&batches)?;
    let mut all: Vec<_> = [1, 2, 3, 100, 101, 102].map(Row::new).into();
    all[0] = Row::new(1).name(Some("late"));
    check_eq!(applied.rows, World::expect(&all)?, "rows");
    Ok(())
}

pub(super) async fn rows_rolled_back_never_arrive(world: &World) -> Check {
    world.fill(3).await?;
    let source = world.source().await?;
    let Some(mut open) = world.fixture.begin().await? else { return Ok(()) };
    open.write(&[Change::Insert(Row::new(100))]).await?;
    let first = sweep(&source, None, rows(2)).await?;
    open.rollback().await?;
    world.fixture.settle().await?;
    let mut applied = Applied::of(&first)?;
    applied.apply(&sweep(&source, end(&first)?, rows(2)).await?)?;
    let found: Vec<_> = applied.rows.keys().copied().collect();
    check_eq!(found, [1, 2, 3], "rows");
    Ok(())
}

pub(super) async fn append_yields_every_settled_version_once(world: &World) -> Check {
    world.insert(1..=5).await?;
    let source = world.fixture.source(world.stream(Mode::Append, None, None)?).await?;
    let mut batches = sweep(&source, None, rows(2)).await?;
    let mut applied = Applied::of(&batches)?;
    let open = world.fixture.begin().await?;
    if let Some(mut open) = open {
        open.write(&[Change::Insert(Row::new(100))]).await?;
        world.insert([6]).await?;
        world.fixture.settle().await?;
        for _ in 0..2 {
            batches = sweep(&source, end(&batches)?, rows(2)).await?;
            applied.apply(&batches)?;
        }
        open.commit().await?;
    } else {
        world.insert([100, 6]).await?;
    }
    for _ in 0..3 {
        world.fixture.settle().await?;
        batches = sweep(&source, end(&batches)?, rows(2)).await?;
        applied.apply(&batches)?;
    }
    let found: Vec<_> = applied.upserts.iter().map(|(id, times)| (*id, *times)).collect();
    let once: Vec<_> = [1, 2, 3, 4, 5, 6, 100].map(|id| (id, 1)).into();
    check_eq!(found, once, "keys and how often they came");
    world.fixture.write(&[Change::Update(Row::new(2).amount(0))]).await?;
    world.fixture.settle().await?;
    batches = sweep(&source, end(&batches)?, rows(2)).await?;
    applied.apply(&batches)?;
    check_eq!(applied.upserts.get(&2), Some(&2), "how often row 2 came, once changed");
    check!(applied.deletes.is_empty(), "deletes came: {:?}", applied.deletes);
    Ok(())
}
