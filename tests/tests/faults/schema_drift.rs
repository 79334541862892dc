//! Tables that somebody alters while a run is at work: each kind of DDL, on either side, at every
//! border between two batches. A batch is in the target as a whole or not at all, the checkpoint
//! agrees with what is there, the error says what to change, and what is harmless stops nothing.

mod border;
mod source;
mod target;
mod trial;
mod waiting;

use std::sync::Arc;

use etl_core::{Class, Outcome};
use etl_tests::torture::{Recorder, Rows, Tally};
use etl_tests::wire::{Protocol, Proxy, Rewrite, Rules};
use tokio::task::JoinSet;

use border::Forgetful;
use trial::{Orders, Trial};

use super::broken;
use super::world::{Lane, Link, orders, postgres_rows};

/// Rows, rows of a batch, and the borders: before the first batch, and behind each but the last.
const ROWS: usize = 12;
const BATCH: usize = 3;
const BORDERS: std::ops::Range<usize> = 0..ROWS / BATCH;

/// What is done to a table, and what a person does then. Statements are for SQL Server and for
/// Postgres; an empty one says that the server, or the double, has no such thing.
struct Change {
    what: &'static str,
    mode: &'static str,
    sql: [&'static str; 2],
    fate: Fate,
    /// Brings the table back to a shape that fits.
    undo: [&'static str; 2],
    then: &'static [Step],
}

enum Fate {
    /// Everything arrives.
    GoesOn,
    /// The run goes on; what the table held is gone, as the person wanted it.
    Emptied,
    /// With an error of this class that says these words.
    Stops(Class, &'static [&'static str]),
}

/// What an error advises.
enum Step {
    /// SQL at the target.
    Target([&'static str; 2]),
    /// `state adopt`
    Adopt,
    /// `state reset`
    Reset,
    /// `run --full-refresh`
    Refresh,
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Source,
    Target,
}

/// One kind of DDL at one border, what the run says, and the runs after what it advises.
async fn at_border(mut trial: Trial, (side, change, at): (Side, &Change, usize), tally: &Tally) {
    let story = format!("{} at border {at}", change.what);
    let sql = change.sql[trial.kind];
    let run = (side, sql, at);
    let finished = trial.run(trial.source(), run, side == Side::Source, tally, &story).await;
    let mut wanted = trial.lane.world.wanted.clone();
    match change.fate {
        Fate::Stops(class, words) => {
            let error = finished.error.unwrap_or_else(|| panic!("{story}: nothing stopped it"));
            let text = format!("{story}: {error:?}");
            assert_eq!(error.class(), class, "{text}");
            for word in words.iter().chain(&["torture/public.orders"]) {
                assert!(error.to_string().contains(word), "no \"{word}\" in {text}");
            }
            trial.execute(side, change.undo[trial.kind]).await;
            let emptied = change.then.iter().any(|step| matches!(step, Step::Reset));
            if !emptied {
                trial.whole(tally, &story).await;
            }
            for step in change.then {
                trial.follow(step).await;
            }
            let again = Lane::run(trial.lane.pipeline(&trial.lane.sections), tally, &story).await;
            let again = again.unwrap();
            assert_eq!(again.report.outcome, Outcome::Success, "{story}, again: {again:?}");
            wanted = postgres_rows(&trial.lane.world.source).await;
        }
        Fate::GoesOn => {
            assert_eq!(finished.report.outcome, Outcome::Success, "{story}: {finished:?}");
            trial.whole(tally, &story).await;
        }
        Fate::Emptied => {
            assert_eq!(finished.report.outcome, Outcome::Success, "{story}: {finished:?}");
            wanted.retain(|row| (id(row) <= at * BATCH) == (side == Side::Source));
        }
    }
    tally.compare(&story, &wanted, &orders(&trial.lane.target).await);
    let last = Lane::run(trial.lane.pipeline(&trial.lane.sections), tally, &story).await.unwrap();
    assert_eq!(last.report.outcome, Outcome::Success, "{story}, once more: {last:?}");
    tally.compare(&story, &wanted, &orders(&trial.lane.target).await);
}

fn id(row: &[Option<String>]) -> usize {
    row[0].as_ref().unwrap().parse().unwrap()
}

/// Every kind at every border, two at a time.
async fn everything(
    kind: &'static str,
    name: &str,
    side: Side,
    changes: &'static [Change],
) -> Recorder {
    let record = Recorder::new(name);
    let place = usize::from(kind == "postgres");
    let changes = changes.iter().filter(|change| !change.sql[place].is_empty());
    assert!(changes.clone().count() >= 12);
    let (mut trials, mut failed) = (JoinSet::new(), 0);
    let orders = Orders::new().await;
    for (change, at) in changes.flat_map(|change| BORDERS.map(move |at| (change, at))) {
        let (tally, orders) = (record.promise(), orders.clone());
        trials.spawn(async move {
            // What nobody alters may be shared.
            let orders = if side == Side::Source { Orders::new().await } else { orders };
            let trial = Trial::new(&orders, kind, change.mode).await;
            at_border(trial, (side, change, at), &tally).await;
        });
        if trials.len() == 4 {
            failed += usize::from(trials.join_next().await.unwrap().is_err());
        }
    }
    while let Some(ended) = trials.join_next().await {
        failed += usize::from(ended.is_err());
    }
    assert_eq!(failed, 0, "changes that did not go as they should; see above");
    record
}

#[tokio::test(flavor = "multi_thread")]
async fn ddl_at_the_source_between_two_batches_tears_none() {
    let name = "DDL at the source at every border, Postgres to SQL Server";
    let record = everything("mssql", name, Side::Source, source::CHANGES).await;
    // The columns' names are swapped; a reader that looks anew and compares nothing goes on.
    let tally = record.control("the comparison of the table with what the run began with");
    let trial = Trial::new(&Orders::new().await, "mssql", "upsert").await;
    let schema = trial.source().schema().await.unwrap();
    let lane = Arc::clone(&trial.lane);
    let make = Box::new(move || lane.source(&lane.sections.0));
    let forgetful = Arc::new(Forgetful { schema, make });
    let run = (Side::Source, source::SWAP, 2);
    trial.run(forgetful, run, true, &tally, "names are swapped").await;
    tally.compare(
        "names are swapped",
        &postgres_rows(&trial.lane.world.source).await,
        &orders(&trial.lane.target).await,
    );
    record.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn ddl_at_sql_server_between_two_batches_tears_none() {
    let name = "DDL at the target at every border, SQL Server";
    let record = everything("mssql", name, Side::Target, target::CHANGES).await;
    torn(&record, "mssql", target::CHECK, "ALTER TABLE [dbo].[orders] DROP CONSTRAINT [small];")
        .await;

    let tally = record.control("the look at the table in the transaction that writes to it");
    let mut trial = Trial::new(&Orders::new().await, "mssql", "append").await;
    let thrown = "THROW 51006, N'the target was altered', 1;";
    let rewrites = vec![Rewrite::instead(thrown, "SET @lock = 0;")];
    let rules = Rules { rewrites, ..Rules::default() };
    let proxy = Proxy::start(Protocol::Tds, &trial.lane.server(Link::Target), rules).await;
    let sections = trial.lane.by_way_of(Link::Target, &proxy.address());
    Arc::get_mut(&mut trial.lane).unwrap().sections = sections;
    let run = (Side::Target, target::NARROWER, 2);
    trial.run(trial.source(), run, false, &tally, "a narrower type").await;
    assert!(proxy.rewritten() > 0, "the look is not sent");
    // The scale as it was: what the run itself wrote was bent, and stays so.
    let wider = "ALTER TABLE [dbo].[orders] ALTER COLUMN [amount] decimal(18,2) NULL;";
    trial.execute(Side::Target, wider).await;
    let behind = |mut rows: Rows| {
        rows.retain(|row| id(row) > 2 * BATCH);
        rows
    };
    let found = behind(orders(&trial.lane.target).await);
    tally.compare("a narrower type", &behind(trial.lane.world.wanted.clone()), &found);
    record.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn ddl_at_postgres_between_two_batches_tears_none() {
    let name = "DDL at the target at every border, Postgres";
    let record = everything("postgres", name, Side::Target, target::CHANGES).await;
    let check = "ALTER TABLE public.orders ADD CONSTRAINT small CHECK (id <> 11)";
    torn(&record, "postgres", check, "ALTER TABLE public.orders DROP CONSTRAINT small").await;
    record.end();
}

/// A sink that commits each batch in two parts, and a constraint that refuses the second of one.
async fn torn(record: &Recorder, kind: &str, check: &str, undo: &str) {
    let tally = record.control("one transaction for all rows of a batch");
    let trial = Trial::new(&Orders::new().await, kind, "append").await;
    trial.execute(Side::Target, check).await;
    let sink = broken::splits(trial.lane.sink(&trial.lane.sections.1));
    let run = Lane::run(trial.lane.pipeline_of(trial.source(), sink), &tally, "in two parts").await;
    assert_eq!(run.unwrap().report.outcome, Outcome::Failed);
    tally.faults(1);
    trial.execute(Side::Target, undo).await;
    trial.lane.settle(&tally, "in two parts").await;
}
