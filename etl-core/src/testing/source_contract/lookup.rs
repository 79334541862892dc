//! Single rows by their keys. A source that cannot look up passes all of these.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::batch::Batch;
use crate::connector::{FilterExit, Mode};
use crate::error::{Class, Error, Result};
use crate::position::Position;
use crate::quarantine::RowKey;
use crate::source::{Found, Source};
use crate::testing::case::{Check, Failure, check, check_class, check_eq};
use crate::testing::row::{CanonicalRow, Row};

use super::Change;
use super::world::{Applied, WIDE, World, end, ids, rows, sweep};

/// What [`Found`] says about each key.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Row,
    Delete,
    Gone,
}

type Answer = BTreeMap<i64, Said>;

fn keys(ids: impl IntoIterator<Item = i64>) -> Result<Vec<RowKey>> {
    ids.into_iter().map(|id| RowKey::from_text(format!("[\"{id}\"]"))).collect()
}

async fn found(
    source: &Arc<dyn Source>,
    wanted: impl IntoIterator<Item = i64>,
    reached: &Position,
) -> Result<Option<Found>, Failure> {
    let Some(lookup) = source.lookup() else { return Ok(None) };
    Ok(Some(lookup.rows(&keys(wanted)?, reached).await?))
}

fn answer(found: &Found) -> Result<Answer, Failure> {
    check!(found.rejected.is_empty(), "rows were rejected: {:?}", found.rejected);
    let changes = ids(&found.changes)?.into_iter().enumerate().map(|(index, id)| {
        (id, if found.changes.is_delete(index) { Said::Delete } else { Said::Row })
    });
    let gone = found.gone.iter().map(|key| {
        let id = key.parts()?.first().and_then(|id| id.parse().ok());
        id.map(|id| (id, Said::Gone)).ok_or_else(|| Error::internal("a key that was not asked for"))
    });
    let mut answer = Answer::new();
    for said in changes.map(Ok).chain(gone) {
        let (id, said) = said?;
        check!(answer.insert(id, said).is_none(), "two answers for key {id}");
    }
    Ok(answer)
}

/// The answer to a lookup; `None` if the source cannot look up.
async fn look(
    source: &Arc<dyn Source>,
    wanted: impl IntoIterator<Item = i64>,
    batches: &[Batch],
) -> Result<Option<Answer>, Failure> {
    let reached = reached(batches)?;
    found(source, wanted, &reached).await?.as_ref().map(answer).transpose()
}

fn reached(batches: &[Batch]) -> Result<Position, Failure> {
    end(batches)?.ok_or_else(|| Failure::new("a sweep without a batch"))
}

/// Rows `1..=count`, and then one row more, so that a sweep passes all but that one.
async fn fill(world: &World, count: i64) -> Result<()> {
    world.fill(count).await?;
    world.insert([count + 1]).await?;
    world.fixture.settle().await
}

pub(super) async fn rows_are_found_as_a_sweep_yields_them(world: &World) -> Check {
    let source = world.source().await?;
    fill(world, 230).await?;
    let batches = sweep(&source, None, WIDE).await?;
    // Some twice, and one that was never there.
    let wanted = (1..=230).chain([7, 7, 999]);
    let Some(found) = found(&source, wanted, &reached(&batches)?).await? else { return Ok(()) };
    let said = answer(&found)?;
    let deletes: Vec<_> = said.iter().filter(|(_, said)| **said != Said::Row).collect();
    check_eq!(deletes, [(&999, &Said::Delete)], "what is not a row");
    let position = reached(&batches)?;
    let looked = Batch { changes: found.changes, position, ..batches[0].clone() };
    let mut swept: BTreeMap<i64, CanonicalRow> = Applied::of(&batches)?.rows;
    swept.remove(&231);
    check_eq!(Applied::of(&[looked])?.rows, swept, "the rows");
    Ok(())
}

pub(super) async fn a_row_that_a_later_sweep_reads_is_not_in_the_answer(world: &World) -> Check {
    let source = world.source().await?;
    fill(world, 6).await?;
    let first = sweep(&source, None, WIDE).await?;
    let changes = [Change::Update(Row::new(2).amount(7)), Change::Insert(Row::new(3_000))];
    world.fixture.write(&changes).await?;
    world.fixture.settle().await?;
    let Some(said) = look(&source, [1, 2, 3_000], &first).await? else { return Ok(()) };
    check_eq!(said, Answer::from([(1, Said::Row)]), "the answer before the next sweep");
    world.insert([3_001]).await?;
    world.fixture.settle().await?;
    let second = sweep(&source, end(&first)?, WIDE).await?;
    let carried = Applied::of(&second)?.upserts;
    check!(carried.contains_key(&2) && carried.contains_key(&3_000), "the sweep: {carried:?}");
    let said = look(&source, [1, 2, 3_000], &second).await?;
    let all = Answer::from([(1, Said::Row), (2, Said::Row), (3_000, Said::Row)]);
    check_eq!(said, Some(all), "the answer after it");
    Ok(())
}

/// What a lookup gives is never read again, whichever position it was asked at: appended twice, it
/// would be there twice.
pub(super) async fn no_row_is_both_found_and_appended(world: &World) -> Check {
    let source = world.fixture.source(world.stream(Mode::Append, None, None)?).await?;
    fill(world, 9).await?;
    let mut batches = sweep(&source, None, rows(2)).await?;
    world.fixture.write(&[Change::Update(Row::new(4).amount(7))]).await?;
    world.insert([11]).await?;
    world.fixture.settle().await?;
    batches.extend(sweep(&source, end(&batches)?, rows(2)).await?);
    for index in 0..batches.len() {
        let (before, after) = batches.split_at(index + 1);
        let Some(said) = look(&source, 1..=11, before).await? else { return Ok(()) };
        let found: BTreeSet<_> = said.into_keys().collect();
        let coming: BTreeSet<_> = Applied::of(after)?.upserts.into_keys().collect();
        let both: Vec<_> = found.intersection(&coming).collect();
        check!(both.is_empty(), "after batch {index} found, and still to come: {both:?}");
    }
    let said = look(&source, 1..=10, &batches).await?.unwrap_or_default();
    check_eq!(said.len(), 10, "rows found at the end");
    Ok(())
}

pub(super) async fn a_row_that_is_gone_is_a_delete_where_the_stream_deletes(
    world: &World,
) -> Check {
    fill(world, 8).await?;
    let cases = [
        (Mode::Upsert, Some(FilterExit::Delete), Said::Delete),
        (Mode::Upsert, Some(FilterExit::SoftDelete), Said::Delete),
        (Mode::Upsert, Some(FilterExit::Keep), Said::Gone),
        (Mode::Append, None, Said::Gone),
    ];
    for ((mode, exit, left), lost) in cases.into_iter().zip(3..) {
        let source = world.fixture.source(world.stream(mode, None, exit)?).await?;
        let batches = sweep(&source, None, WIDE).await?;
        world.fixture.write(&[Change::Delete(lost)]).await?;
        let Some(said) = look(&source, [2, lost], &batches).await? else { return Ok(()) };
        let expected = Answer::from([(2, Said::Row), (lost, left)]);
        check_eq!(said, expected, "the answer in mode {mode:?}, {exit:?}");
    }
    Ok(())
}

pub(super) async fn a_row_outside_of_the_filter_is_no_row(world: &World) -> Check {
    world.insert([1]).await?;
    let others = [Row::new(2).status("cancelled"), Row::new(3).name(None)];
    world.fixture.write(&others.map(Change::Insert)).await?;
    world.fixture.settle().await?;
    world.insert([4]).await?;
    world.fixture.settle().await?;
    let filter = "status = 'confirmed' AND name <> 'x'";
    for (exit, left) in [(FilterExit::Delete, Said::Delete), (FilterExit::Keep, Said::Gone)] {
        let stream = world.stream(Mode::Upsert, Some(filter), Some(exit))?;
        let source = world.fixture.source(stream).await?;
        let batches = sweep(&source, None, WIDE).await?;
        let Some(found) = found(&source, [1, 2, 3], &reached(&batches)?).await? else {
            return Ok(());
        };
        let said = answer(&found)?;
        let rows: Vec<_> = said.iter().filter(|(_, said)| **said == Said::Row).collect();
        check_eq!(rows, [(&1, &Said::Row)], "rows with {exit:?}");
        check!(said.get(&2) == Some(&left) && said.get(&3) == Some(&left), "{exit:?}: {said:?}");
    }
    Ok(())
}

pub(super) async fn a_key_or_a_position_of_something_else_is_refused(world: &World) -> Check {
    let source = world.source().await?;
    world.fill(2).await?;
    let batches = sweep(&source, None, WIDE).await?;
    let (own, reached) = (keys([1])?, reached(&batches)?);
    let Some(lookup) = source.lookup() else { return Ok(()) };
    for text in [r#"["x"]"#, r#"["1' OR '1'='1"]"#, r#"["1","2"]"#, "[]", r#"["01"]"#] {
        let other = RowKey::from_text(text)?;
        check_class!(lookup.rows(&[other], &reached).await, Class::Data, "key {text}");
    }
    for text in ["42", "{}", "{\"v\":99}"] {
        let other = Position::from_text(text)?;
        check_class!(lookup.rows(&own, &other).await, Class::Config, "position {text}");
    }
    let none = lookup.rows(&[], &reached).await?;
    check!(none.changes.is_empty() && none.gone.is_empty(), "no key: {none:?}");
    Ok(())
}
