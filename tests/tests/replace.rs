//! Mode `replace`, in every target and from every source: the target becomes what the source holds,
//! and nobody sees it half-way.

mod catching_up; // what changes while a load is under way
mod older; // state tables of the version before

use std::collections::BTreeMap;

use etl_core::connector::Stream;
use etl_core::testing::{CanonicalRow, Row};
use etl_core::{Class, Outcome, Phase, Pipeline, PipelineOptions};
use etl_sinks::postgres::replace::Replace;
use etl_sql::postgres::target::Target;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::matrix::{TARGETS, insert, prepared, run, sources};
use crate::support::side::Side;

type Rows = BTreeMap<String, CanonicalRow>;

const CONFIRMED: &str = "status = 'confirmed'";

/// A pair whose target is replaced, and its stream.
async fn replacing(from: &str, to: &str, more: Value) -> (Side, Side, Stream) {
    let mut config = json!({ "mode": "replace" });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let (source, target, stream) = prepared(from, to, config).await;
    if let Side::Mssql(database) = &source {
        database.snapshots().await.unwrap();
    }
    (source, target, stream)
}

async fn equal(source: &Side, target: &Side, what: &str) {
    let (wanted, found) = (source.rows(CONFIRMED).await, target.rows("1 = 1").await);
    assert!(!wanted.is_empty());
    assert_eq!(found.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>(), "{what}");
    for (id, wanted) in &wanted {
        assert_eq!(found.get(id), Some(wanted), "{what}: row {id}");
    }
}

/// Some rows leave the filter, some are deleted, some differ, some are new.
async fn change(source: &Side) {
    for change in [
        "UPDATE orders SET status = 'cancelled' WHERE id IN (3, 6, 9, 1000)",
        "DELETE FROM orders WHERE id IN (21, 24, 1001)",
        "UPDATE orders SET id = 30000 WHERE id = 30",
        "UPDATE orders SET name = upper(name), amount = NULL WHERE id IN (12, 15)",
        "UPDATE orders SET status = 'confirmed' WHERE id IN (1, 2)",
        &insert(source.kind(), &[Row::new(2000), Row::new(2001).status("pending")]),
    ] {
        source.execute(change).await;
    }
}

async fn pair(from: &str, to: &str) {
    let (source, target, stream) = replacing(from, to, json!({})).await;
    let what = |step: &str| format!("{from} to {to}, {step}");
    let first = run(&source, &target, &stream).await;
    assert_eq!((first.written, first.deleted), (166 + 6, 0), "{}", what("the first load"));
    equal(&source, &target, &what("the first load")).await;
    let versions = row_versions(&target).await;

    let second = run(&source, &target, &stream).await;
    assert_eq!((second.written, second.deleted), (0, 0), "{}", what("nothing changed"));
    assert_eq!(second.unchanged, 166 + 6, "{}", what("nothing changed"));
    assert_eq!(row_versions(&target).await, versions, "{}", what("a row was written"));

    change(&source).await;
    let third = run(&source, &target, &stream).await;
    // Four left, three are gone, one has another key; two differ, two came back, one is new.
    assert_eq!((third.deleted, third.written), (8, 2 + 1 + 2 + 1), "{}", what("changes"));
    equal(&source, &target, &what("changes")).await;
    let checkpoint = target.admin(&stream).checkpoint().await.unwrap().unwrap();
    assert_eq!((checkpoint.generation, checkpoint.phase), (3, Phase::Idle), "{from} to {to}");
}

/// What tells that a row was written anew, even with the same values.
async fn row_versions(target: &Side) -> Vec<Vec<Option<String>>> {
    match target {
        Side::Postgres(_) => target.cells("SELECT ctid::text, xmin::text FROM orders").await,
        _ => Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_replaces_follows_its_source_on_every_pair_by_content() {
    for from in sources().await {
        for to in TARGETS {
            pair(from, to).await;
        }
    }
}

/// Reads the target again and again, until it finds rows that are neither of the two.
async fn read_until_partial(target: &Side, before: &Rows, after: &Rows) -> String {
    loop {
        let found = target.rows("1 = 1").await;
        if found != *before && found != *after {
            return format!(
                "{} rows, of {} before and {} after",
                found.len(),
                before.len(),
                after.len()
            );
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_sees_the_target_before_or_after_and_nothing_between() {
    for to in TARGETS {
        let (source, target, stream) = replacing("sqlite", to, json!({})).await;
        if let Side::Mssql(database) = &target {
            // Without row versions a statement there may see two moments of any transaction.
            let name = &database.owner.database;
            let is_on = format!(
                "SELECT CAST([is_read_committed_snapshot_on] AS int) FROM sys.databases WHERE [name] = N'{name}';"
            );
            if database.number(&is_on).await == 0 {
                let on = format!("ALTER DATABASE [{name}] SET READ_COMMITTED_SNAPSHOT ON;");
                target.execute(&on).await;
            }
        }
        run(&source, &target, &stream).await;
        for step in 0..3 {
            source.execute(&format!("UPDATE orders SET name = 'step {step}'")).await;
            source.execute(&format!("DELETE FROM orders WHERE id % 7 = {step}")).await;
            let row = Row::new(5000 + step);
            source.execute(&insert("sqlite", &[row])).await;
            let (before, after) = (target.rows("1 = 1").await, source.rows(CONFIRMED).await);
            assert_ne!(before, after);
            tokio::select! {
                seen = read_until_partial(&target, &before, &after) => panic!("{to}: {seen}"),
                report = run(&source, &target, &stream) => assert!(report.deleted > 0),
            }
            assert_eq!(target.rows("1 = 1").await, after, "{to}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn control_without_one_transaction_a_reader_sees_the_target_half_replaced() {
    let (source, target, stream) = replacing("sqlite", "postgres", json!({})).await;
    run(&source, &target, &stream).await;
    let schema = source.schema(&stream).await;
    let planned = Target::planned(&stream.config, &schema).unwrap();
    let stage = planned.stage("etl").unwrap().unwrap();
    let statements = Replace::new(&planned, &stage).unwrap();
    // As if a load had just ended: one row is gone, all others differ.
    let table = stage.table.quoted().unwrap();
    target
        .execute(&format!("UPDATE {table} SET name = 'new'; DELETE FROM {table} WHERE id = 12"))
        .await;
    let before = target.rows("1 = 1").await;
    let mut after = before.clone();
    after.remove("12");
    for row in after.values_mut() {
        row.insert("name".to_owned(), Some("new".to_owned()));
    }
    let apart = async {
        for statement in [&statements.delete, statements.update.as_ref().unwrap()] {
            target.execute(statement).await;
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        }
        None
    };
    let seen = tokio::select! {
        seen = read_until_partial(&target, &before, &after) => Some(seen),
        nothing = apart => nothing,
    };
    assert!(seen.is_some(), "nobody saw the rows between two transactions");
}

/// A run that stops after so many batches, as at its deadline.
async fn stopped_after(batches: u64, source: &Side, target: &Side, stream: &Stream) {
    let limits = etl_core::BatchLimits { rows: 100, bytes: 1 << 20 };
    let options = PipelineOptions { limits, ..PipelineOptions::default() };
    let stop = CancellationToken::new();
    let token = stop.clone();
    let observer = Box::new(move |report: &etl_core::RunReport| {
        if report.batches == batches {
            token.cancel();
        }
    });
    let (from, to) = (source.built(stream), target.sink(stream));
    let mut pipeline =
        Pipeline::new(stream.full_name(), from, Vec::new(), to, options).with_observer(observer);
    let finished = pipeline.run(&stop).await;
    assert_eq!(finished.report.outcome, Outcome::Stopped, "{:?}", finished.error);
    assert_eq!((finished.report.written, finished.report.deleted), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_stopped_goes_on_and_one_of_another_definition_begins_anew() {
    for to in TARGETS {
        let (source, target, mut stream) = replacing("sqlite", to, json!({})).await;
        stopped_after(2, &source, &target, &stream).await;
        assert!(target.rows("1 = 1").await.is_empty(), "{to}: a load is seen");
        let loading = target.admin(&stream).checkpoint().await.unwrap().unwrap();
        assert_eq!((loading.generation, loading.phase), (1, Phase::Loading), "{to}");
        let rest = run(&source, &target, &stream).await;
        assert!(rest.read - rest.reread < 506, "{to}: all was read again: {rest:?}");
        equal(&source, &target, to).await;

        // Rows that only the old filter lets through are in the stage, and must not arrive.
        stream.config.filter = Some("status <> 'confirmed'".to_owned());
        stopped_after(3, &source, &target, &stream).await;
        stream.config.filter = Some(CONFIRMED.to_owned());
        run(&source, &target, &stream).await;
        equal(&source, &target, to).await;
        let idle = target.admin(&stream).checkpoint().await.unwrap().unwrap();
        assert_eq!((idle.generation, idle.phase), (3, Phase::Idle), "{to}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_is_no_position_of_another_mode() {
    let (source, target, mut stream) = replacing("sqlite", "sqlite", json!({})).await;
    stopped_after(2, &source, &target, &stream).await;
    stream.config.mode = etl_core::connector::Mode::Upsert;
    let (from, to) = (source.built(&stream), target.sink(&stream));
    let options = PipelineOptions::default();
    let mut pipeline = Pipeline::new(stream.full_name(), from, Vec::new(), to, options);
    let finished = pipeline.run(&CancellationToken::new()).await;
    let error = finished.error.unwrap();
    assert_eq!(error.class(), Class::Schema, "{error}");
    assert!(error.to_string().contains("--full-refresh"), "{error}");
    assert!(target.rows("1 = 1").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_source_is_refused_unless_it_may_be() {
    for to in TARGETS {
        let (source, target, mut stream) = replacing("sqlite", to, json!({})).await;
        run(&source, &target, &stream).await;
        source.execute("DELETE FROM orders").await;
        let (from, sink) = (source.built(&stream), target.sink(&stream));
        let options = PipelineOptions::default();
        let mut pipeline = Pipeline::new(stream.full_name(), from, Vec::new(), sink, options);
        let finished = pipeline.run(&CancellationToken::new()).await;
        assert_eq!(finished.exit_code(), 65, "{to}: {:?}", finished.error);
        let error = finished.error.unwrap().to_string();
        assert!(error.contains("allow_empty: true"), "{to}: {error}");
        assert_eq!(target.rows("1 = 1").await.len(), 172, "{to}");
        stream.config.allow_empty = true;
        let report = run(&source, &target, &stream).await;
        assert_eq!(report.deleted, 172, "{to}");
        assert!(target.rows("1 = 1").await.is_empty(), "{to}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_that_was_dropped_takes_its_load_with_it() {
    for to in TARGETS {
        let (source, target, stream) = replacing("sqlite", to, json!({})).await;
        run(&source, &target, &stream).await;
        stopped_after(4, &source, &target, &stream).await;
        let name = match *to {
            "sqlite" => {
                "SELECT name FROM sqlite_schema WHERE name LIKE 'etl_stage_%' AND type = 'table'"
            }
            "mssql" => {
                "SELECT t.[name] FROM sys.tables AS t INNER JOIN sys.schemas AS s ON s.[schema_id] = t.[schema_id] WHERE s.[name] = N'etl_stage';"
            }
            _ => {
                "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'etl_stage'"
            }
        };
        let name = target.cells(name).await[0][0].clone().unwrap();
        let table = if *to == "sqlite" { name } else { format!("etl_stage.{name}") };
        target.execute(&format!("DROP TABLE {table}")).await;
        let schema = source.schema(&stream).await;
        let error = target.sink(&stream).open(&schema).await.unwrap_err();
        assert_eq!(error.class(), Class::Config, "{to}: {error}");
        target.admin(&stream).prepare(&schema).await.unwrap();
        // Going on behind the four batches would delete their rows.
        run(&source, &target, &stream).await;
        equal(&source, &target, to).await;
    }
}
