//! DDL that meets a batch half way: one of both waits for the other.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use etl_core::{Class, Outcome};
use etl_tests::postgres;
use etl_tests::torture::Recorder;
use tokio::time::sleep;

use super::border::Border;
use super::trial::{Orders, Trial, execute, somebody_waits};
use super::{Fate, Side, source};
use crate::faults::world::orders;
use crate::support::side::Side as Database;

/// The person sends the DDL while rows are being read, and ends nobody's session.
#[tokio::test(flavor = "multi_thread")]
async fn ddl_that_waits_for_a_read_leaves_it_as_it_began() {
    let record = Recorder::new("DDL at the source that waits for the read, Postgres to SQL Server");
    let tally = record.promise();
    for change in source::CHANGES.iter().filter(|change| !matches!(change.fate, Fate::GoesOn)) {
        let trial = Trial::new(&Orders::new().await, "mssql", change.mode).await;
        let (lane, sql) = (Arc::clone(&trial.lane), trial.text(Side::Source, change.sql[0]).await);
        let sent = Arc::new(Mutex::new(None));
        let handle = Arc::clone(&sent);
        let act = async move {
            let database = lane.world.source.clone();
            let ddl = tokio::spawn(async move { execute(&lane, Side::Source, sql).await });
            while !ddl.is_finished() && !somebody_waits(&database).await {
                sleep(Duration::from_millis(2)).await;
            }
            *handle.lock().unwrap() = Some(ddl);
        };
        let border = Border::new(trial.source(), 1, false, Box::pin(act));
        let finished = trial.run_while(border, &tally, change.what).await;
        assert_eq!(finished.report.outcome, Outcome::Success, "{}: {finished:?}", change.what);
        tally.compare(change.what, &trial.lane.world.wanted, &orders(&trial.lane.target).await);
        let ddl = sent.lock().unwrap().take().unwrap();
        ddl.await.unwrap();
    }
    record.end();
}

/// A commit has begun and waits for a transaction that alters the target.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_waited_for_ddl_sees_what_it_did() {
    let record = Recorder::new("DDL at the target in the middle of a commit, Postgres");
    let tally = record.promise();
    let trial = Trial::new(&Orders::new().await, "postgres", "append").await;
    let Database::Postgres(database) = &trial.lane.target else { unreachable!() };
    let database = database.clone();
    let narrower = "ALTER TABLE public.orders ALTER amount TYPE numeric(18,1)";
    let act = async move {
        let mut other = database.connect().await;
        postgres::run(&mut other, &format!("BEGIN; {narrower}")).await;
        tokio::spawn(async move {
            while !somebody_waits(&database).await {
                sleep(Duration::from_millis(2)).await;
            }
            postgres::run(&mut other, "COMMIT").await;
        });
    };
    let border = Border::new(trial.source(), 2, false, Box::pin(act));
    let finished = trial.run_while(border, &tally, "a commit waits").await;
    let error = finished.error.unwrap();
    assert_eq!(error.class(), Class::Schema, "{error:?}");
    for word in ["torture/public.orders", "column amount is numeric(18,1)", "the stream needs"] {
        assert!(error.to_string().contains(word), "no \"{word}\" in {error:?}");
    }
    trial.whole(&tally, "a commit waited").await;
    record.end();
}
