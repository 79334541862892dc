//! Preparing, checking, and what operators change.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};

use crate::error::Class;
use crate::schema::Definition;
use crate::sink::StateChange;
use crate::testing::case::{Check, check, check_class, check_eq};
use crate::testing::row::Row;

use super::session::{Target, claimed, expected, position};

pub(super) async fn an_unprepared_pipeline_has_no_checkpoint_and_cannot_be_opened(
    target: &Target,
) -> Check {
    let found = target.fixture.admin().await?.checkpoint().await?;
    check!(found.is_none(), "a checkpoint before preparing: {found:?}");
    let mut sink = target.fixture.sink().await?;
    check_class!(sink.open(&target.spec.schema).await, Class::Config, "open before preparing");
    let change = StateChange::Position(None);
    let changed = target.fixture.admin().await?.change(change).await;
    check_class!(changed, Class::Config, "a state change before preparing");
    Ok(())
}

pub(super) async fn preparing_twice_changes_nothing(target: &Target) -> Check {
    let mut session = target.session().await?;
    session.put(1, &[Row::new(1)]).await?;
    let before = target.checkpoint().await?;
    target.prepare().await?;
    let after = target.checkpoint().await?;
    check_eq!(after.sequence, before.sequence, "sequence");
    check_eq!(after.position, before.position, "position");
    check_eq!(target.rows().await?, expected(&[Row::new(1)])?, "rows");
    session.put(2, &[Row::new(2)]).await?;
    Ok(())
}

pub(super) async fn preparing_four_times_at_once_works(target: &Target) -> Check {
    let all = tokio::join!(target.prepare(), target.prepare(), target.prepare(), target.prepare());
    for one in [all.0, all.1, all.2, all.3] {
        one?;
    }
    check_eq!(target.checkpoint().await?.position, None, "position");
    target.session().await?.put(1, &[Row::new(1)]).await?;
    Ok(())
}

pub(super) async fn the_check_finds_nothing_wrong_after_preparing(target: &Target) -> Check {
    target.prepare().await?;
    let mut admin = target.fixture.admin().await?;
    let findings = admin.check(&target.spec.schema).await?;
    check!(!findings.is_empty(), "the check looked at nothing");
    for finding in findings {
        check!(finding.ok, "{finding}");
    }
    check!(target.rows().await?.is_empty(), "the check left a row behind");
    let plan = admin.plan(&target.spec.schema)?;
    check!(!plan.is_empty(), "the plan is empty");
    Ok(())
}

pub(super) async fn a_target_with_other_columns_is_refused_by_open(target: &Target) -> Check {
    target.prepare().await?;
    let fields = &target.spec.schema.schema.fields;
    let more = fields
        .iter()
        .map(|field| field.as_ref().clone())
        .chain([Field::new("extra", DataType::Int64, true)])
        .collect::<Vec<_>>();
    let other = fields
        .iter()
        .map(|field| match field.name().as_str() {
            "active" => field.as_ref().clone().with_data_type(DataType::Date32),
            _ => field.as_ref().clone(),
        })
        .collect::<Vec<_>>();
    for (what, column, fields) in
        [("one more column", "extra", more), ("another type", "active", other)]
    {
        let mut schema = target.spec.schema.clone();
        schema.schema = Arc::new(Schema::new(fields));
        let opened = target.fixture.sink().await?.open(&schema).await;
        let error = check_class!(opened, Class::Schema, "open with {what}");
        check!(error.to_string().contains(column), "the message names no column: {error}");
    }
    Ok(())
}

pub(super) async fn a_state_change_bumps_the_sequence_and_fences_the_run(target: &Target) -> Check {
    let mut session = target.session().await?;
    session.put(1, &[Row::new(1)]).await?;
    let before = target.checkpoint().await?;
    let mut admin = target.fixture.admin().await?;
    let told = admin.change(StateChange::Position(Some(position(7)?))).await?;
    check_eq!(told.sequence, before.sequence, "the checkpoint before the change");
    check_eq!(told.position, before.position, "the checkpoint before the change");
    let after = target.checkpoint().await?;
    check!(after.sequence > before.sequence, "sequence {} stayed", after.sequence);
    let late = session.put(2, &[Row::new(2)]).await;
    check_class!(late, Class::Fenced, "a commit after a state change");
    let renewed = session.sink.renew(&session.fence).await;
    check_class!(renewed, Class::Fenced, "renewing after a state change");
    check_eq!(target.rows().await?, expected(&[Row::new(1)])?, "rows");
    check_eq!(target.checkpoint().await?.position, Some(position(7)?), "position");
    Ok(())
}

pub(super) async fn a_changed_position_is_where_the_next_run_begins(target: &Target) -> Check {
    target.prepare().await?;
    for step in [Some(7), None] {
        let position = step.map(position).transpose()?;
        let change = StateChange::Position(position.clone());
        target.fixture.admin().await?.change(change).await?;
        let checkpoint = claimed(target.claim(false).await?)?;
        check_eq!(checkpoint.position, position, "position");
    }
    Ok(())
}

pub(super) async fn an_adopted_definition_is_stored(target: &Target) -> Check {
    target.session().await?.put(1, &[Row::new(1)]).await?;
    let definition = Definition::default().with("where", "status = 'Ω'").with("mode", "upsert");
    let change = StateChange::Definition(definition.clone());
    target.fixture.admin().await?.change(change).await?;
    let checkpoint = claimed(target.claim(false).await?)?;
    check_eq!(checkpoint.definition, Some(definition), "definition");
    check_eq!(checkpoint.position, Some(position(1)?), "position");
    Ok(())
}
