//! One sweep over a table that nobody writes to.

use std::time::Duration;

use crate::batch::BatchLimits;
use crate::connector::Mode;
use crate::testing::case::{Check, Failure, check, check_eq};
use crate::testing::row::Row;

use super::Change;
use super::world::{Applied, WIDE, World, begin_sweep, end, rows, sweep};

pub(super) async fn the_check_finds_nothing_wrong(world: &World) -> Check {
    let findings = world.source().await?.check().await?;
    check!(!findings.is_empty(), "the check looked at nothing");
    for finding in findings {
        check!(finding.ok, "{finding}");
    }
    Ok(())
}

pub(super) async fn the_schema_is_stable_and_is_what_is_read(world: &World) -> Check {
    world.fill(3).await?;
    let source = world.source().await?;
    let schema = source.schema().await?;
    let again = world.source().await?.schema().await?;
    check_eq!(schema.schema, again.schema, "columns");
    check_eq!(schema.definition, again.definition, "definition");
    check_eq!(schema.key, ["id"], "key");
    let names: Vec<_> = schema.schema.fields().iter().map(|f| f.name().clone()).collect();
    check_eq!(names, ["id", "name", "status", "amount", "active", "updated_at"], "columns");
    let key = schema.schema.field(schema.key_indices()?[0]);
    check!(!key.is_nullable(), "the key column is nullable");
    for batch in sweep(&source, None, WIDE).await? {
        let found = batch.changes.records().schema();
        for (found, promised) in found.fields().iter().zip(schema.schema.fields()) {
            check_eq!(found.name(), promised.name(), "a column of a batch");
            check_eq!(found.data_type(), promised.data_type(), "type of {}", found.name());
        }
        check_eq!(found.fields().len(), names.len(), "columns of a batch");
    }
    let filtered = world.stream(Mode::Upsert, Some("status = 'confirmed'"), None)?;
    let filtered = world.fixture.source(filtered).await?.schema().await?;
    let changes = filtered.definition.changes_since(&schema.definition);
    check!(!changes.is_empty(), "another filter gives the same definition");
    Ok(())
}

pub(super) async fn a_full_sweep_yields_every_row_once(world: &World) -> Check {
    let written = vec![
        Row::new(1),
        Row::new(i64::MIN).name(None),
        Row::new(i64::MAX).name(Some("")),
        Row { amount: None, active: None, ..Row::new(2) },
        Row::new(3).amount(-999_999_999_999_999_999).name(Some("it's \"Ω\" 🦀 \\ \n")),
        Row { active: Some(false), ..Row::new(4) }.amount(5),
    ];
    let inserts: Vec<_> = written.iter().cloned().map(Change::Insert).collect();
    world.fixture.write(&inserts).await?;
    world.fixture.settle().await?;
    let source = world.source().await?;
    for limits in [WIDE, rows(1), rows(4)] {
        let applied = Applied::of(&sweep(&source, None, limits).await?)?;
        check_eq!(applied.rows, World::expect(&written)?, "rows in batches of {}", limits.rows);
        let twice = applied.upserts.values().any(|times| *times != 1);
        check!(!twice, "rows came more than once: {:?}", applied.upserts);
    }
    Ok(())
}

pub(super) async fn an_empty_table_gives_a_position(world: &World) -> Check {
    let source = world.source().await?;
    let first = sweep(&source, None, WIDE).await?;
    check_eq!(Applied::of(&first)?.rows.len(), 0, "rows of an empty table");
    let second = sweep(&source, end(&first)?, WIDE).await?;
    world.insert([1]).await?;
    world.fixture.settle().await?;
    let third = sweep(&source, end(&second)?, WIDE).await?;
    check_eq!(Applied::of(&third)?.rows, World::expect(&[Row::new(1)])?, "rows");
    Ok(())
}

pub(super) async fn batches_keep_to_their_limits(world: &World) -> Check {
    world.fill(20).await?;
    let source = world.source().await?;
    // `sweep` checks each batch's rows.
    check!(sweep(&source, None, rows(7)).await?.len() >= 3, "20 rows in fewer than 3 batches");
    let narrow = sweep(&source, None, BatchLimits { bytes: 1, ..WIDE }).await?;
    check_eq!(Applied::of(&narrow)?.rows.len(), 20, "rows in batches of one byte");
    let most = narrow.iter().map(|batch| batch.changes.len()).max();
    check!(most <= Some(2), "{most:?} rows in a batch that may have one byte");
    Ok(())
}

pub(super) async fn the_last_batch_carries_the_horizon(world: &World) -> Check {
    world.fill(3).await?;
    let source = world.source().await?;
    let mut after = None;
    let mut horizons = Vec::new();
    for _ in 0..2 {
        let batches = sweep(&source, after, WIDE).await?;
        after = end(&batches)?;
        let horizon = batches.last().and_then(|batch| batch.progress.horizon_micros);
        horizons.push(horizon.ok_or_else(|| Failure::new("the last batch has no horizon"))?);
        tokio::time::sleep(Duration::from_millis(2_500)).await;
    }
    check!(horizons[1] > horizons[0], "the horizon of an idle source stands still: {horizons:?}");
    Ok(())
}

pub(super) async fn a_stream_dropped_half_way_leaves_nothing_behind(world: &World) -> Check {
    world.fill(12).await?;
    let source = world.source().await?;
    for count in (0..60).map(|round| round % 4) {
        let begun = begin_sweep(&source, None, rows(2), count).await?;
        check_eq!(begun.len(), count, "batches");
    }
    let applied = Applied::of(&sweep(&source, None, rows(2)).await?)?;
    check_eq!(applied.rows.len(), 12, "rows");
    Ok(())
}
