//! Every type of every source into every target, value by value: equal, or refused by name with
//! nothing written. The counts are published in `docs/measured/types.json`.
//!
//! Whether a value is equal is not asked of the product: values are literals of the source's SQL,
//! what they must show is written beside them, and the target is asked with a plain query.

mod back; // from Postgres to SQL Server and back, compared in Postgres
mod carry; // one type over one pair
mod cell; // the form of the tables
mod controls; // a defect in the mapping is found
mod keys; // lengths, blanks, letter case
mod mssql; // types of SQL Server
mod postgres; // types of Postgres
mod published; // docs/types.md
mod show; // what a target holds
mod special; // on_special
mod sqlite; // types of SQLite
mod surrogates; // texts that are no Unicode
mod tally; // the counts

use std::collections::BTreeMap;

use carry::Trial;
use cell::Case;
use tally::Tally;

use crate::support::side::Side;

const TARGETS: [&str; 3] = ["mssql", "postgres", "sqlite"];

/// Every case of one source into every target.
async fn every(from: &Side, cases: &[Case]) {
    let mut tallies = BTreeMap::<String, Tally>::new();
    for kind in TARGETS {
        let to = Side::of(kind).await;
        if let Side::Postgres(_) = to {
            to.execute("CREATE EXTENSION citext SCHEMA public").await;
        }
        let pair = format!("{} -> {kind}", from.kind());
        for (number, case) in cases.iter().enumerate() {
            let table = format!("t{number}");
            let trial = Trial::new(case, &table, from, &to).await;
            let mut found = trial.arrive(Vec::new()).await;
            if let (Side::Postgres(home), "mssql") = (from, kind) {
                let back = back::compare(&trial, home, &table).await;
                let pair = format!("{pair} -> postgres");
                tallies.entry(pair.clone()).or_default().add(&pair, &case.name(), back);
            }
            found.extend(trial.refuse().await);
            tallies.entry(pair.clone()).or_default().add(&pair, &case.name(), found);
        }
    }
    let wrong: Vec<_> = tallies.values().flat_map(|tally| tally.wrong.clone()).collect();
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    tally::publish(tallies.into_iter().map(|(pair, tally)| (pair, tally.counts)).collect()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_of_postgres_arrives_equal_or_is_refused_by_name() {
    let from = Side::of("postgres").await;
    from.execute(postgres::SETUP).await;
    every(&from, &postgres::cases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_of_sql_server_arrives_equal_or_is_refused_by_name() {
    let from = Side::of("mssql").await;
    let Side::Mssql(database) = &from else { panic!("not SQL Server") };
    // Otherwise a sweep reads what is settled, and never again what is older.
    database.snapshots().await.unwrap();
    every(&from, &mssql::cases().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_of_sqlite_arrives_equal_or_is_refused_by_name() {
    every(&Side::of("sqlite").await, sqlite::CASES).await;
}
