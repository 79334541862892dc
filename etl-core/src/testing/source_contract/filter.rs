//! Rows that pass `where`, and rows that no longer do.

use std::sync::Arc;

use crate::connector::{FilterExit, Mode};
use crate::error::Result;
use crate::source::Source;
use crate::testing::case::{Check, check, check_eq};
use crate::testing::row::Row;

use super::Change;
use super::world::{Applied, World, end, rows, sweep};

const CONFIRMED: &str = "status = 'confirmed'";

async fn filtered(world: &World, filter: &str, exit: FilterExit) -> Result<Arc<dyn Source>> {
    world.fixture.source(world.stream(Mode::Upsert, Some(filter), Some(exit))?).await
}

pub(super) async fn a_row_that_leaves_the_filter_is_deleted_and_may_come_back(
    world: &World,
) -> Check {
    leaves_and_comes_back(world, FilterExit::Delete).await
}

/// Removing or marking is the sink's business.
pub(super) async fn a_row_to_be_marked_is_a_delete_as_well(world: &World) -> Check {
    leaves_and_comes_back(world, FilterExit::SoftDelete).await
}

async fn leaves_and_comes_back(world: &World, exit: FilterExit) -> Check {
    world.insert(1..=4).await?;
    world.fixture.write(&[Change::Insert(Row::new(5).status("cancelled"))]).await?;
    world.fixture.settle().await?;
    let source = filtered(world, CONFIRMED, exit).await?;
    let mut batches = sweep(&source, None, rows(2)).await?;
    let mut applied = Applied::of(&batches)?;
    let four: Vec<_> = (1..=4).map(Row::new).collect();
    check_eq!(applied.rows, World::expect(&four)?, "rows at first");
    for (status, present) in [("cancelled", false), ("confirmed", true), ("Confirmed", false)] {
        world.fixture.write(&[Change::Update(Row::new(2).status(status))]).await?;
        world.fixture.settle().await?;
        batches = sweep(&source, end(&batches)?, rows(2)).await?;
        applied.apply(&batches)?;
        let found = applied.rows.contains_key(&2);
        check_eq!(found, present, "whether row 2 is there once its status is {status}");
        check_eq!(applied.rows.len(), 3 + usize::from(present), "rows");
    }
    Ok(())
}

pub(super) async fn a_row_that_leaves_the_filter_stays_where_the_config_says_so(
    world: &World,
) -> Check {
    world.insert(1..=3).await?;
    world.fixture.settle().await?;
    let source = filtered(world, CONFIRMED, FilterExit::Keep).await?;
    let first = sweep(&source, None, rows(2)).await?;
    let mut applied = Applied::of(&first)?;
    world.fixture.write(&[Change::Update(Row::new(2).status("cancelled"))]).await?;
    world.fixture.settle().await?;
    applied.apply(&sweep(&source, end(&first)?, rows(2)).await?)?;
    let three: Vec<_> = (1..=3).map(Row::new).collect();
    check_eq!(applied.rows, World::expect(&three)?, "rows");
    check!(applied.deletes.is_empty(), "deletes came: {:?}", applied.deletes);
    Ok(())
}

pub(super) async fn a_row_for_which_the_filter_is_null_is_not_carried(world: &World) -> Check {
    let rows_written = [Row::new(1), Row::new(2).name(None), Row::new(3).name(Some("x"))];
    let inserts: Vec<_> = rows_written.iter().cloned().map(Change::Insert).collect();
    world.fixture.write(&inserts).await?;
    world.fixture.settle().await?;
    for filter in ["name <> 'x'", "NOT (name = 'x')"] {
        let source = filtered(world, filter, FilterExit::Delete).await?;
        let applied = Applied::of(&sweep(&source, None, rows(10)).await?)?;
        check_eq!(applied.rows, World::expect(&rows_written[..1])?, "rows where {filter}");
    }
    Ok(())
}
