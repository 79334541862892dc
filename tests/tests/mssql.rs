//! The SQL Server sink, on whatever server this run has.

use std::time::Duration;

use async_trait::async_trait;
use etl_core::sink::{Sink, SinkAdmin};
use etl_core::testing::CanonicalRow;
use etl_core::testing::{LedgerRow, SinkFixture, TargetSpec, sink_contract};
use etl_core::{Error, Result};
use etl_tests::mssql::{Database, Kind};

/// A case's target in the database of this test.
struct Fixture {
    database: Database,
    spec: TargetSpec,
    short_lease: Duration,
}

#[async_trait]
impl SinkFixture for Fixture {
    async fn sink(&self) -> Result<Box<dyn Sink>> {
        (etl_sinks::find("mssql")?.build)(&self.database.section(), &self.spec.stream)
    }

    async fn admin(&self) -> Result<Box<dyn SinkAdmin>> {
        (etl_sinks::find("mssql")?.admin)(&self.database.section(), &self.spec.stream)
    }

    async fn rows(&self) -> Result<Vec<CanonicalRow>> {
        let names = self.spec.columns();
        let object = &self.spec.stream.config.object;
        let sql = format!("SELECT [{}] FROM [dbo].[{object}];", names.join("], ["));
        let rows = self.database.rows(&sql).await;
        let named = |row: Vec<_>| names.iter().map(ToString::to_string).zip(row).collect();
        Ok(rows.into_iter().map(named).collect())
    }

    async fn ledger(&self) -> Result<Vec<LedgerRow>> {
        let sql = format!(
            "SELECT [run_id], [outcome], [rows_read], [rows_written], [rows_deleted],
                    [rows_unchanged], [source_horizon], [error_class]
               FROM [etl].[run] WHERE [pipeline] = N'{}';",
            self.spec.schema.name
        );
        self.database.rows(&sql).await.into_iter().map(ledger_row).collect()
    }

    async fn beside(&self, spec: TargetSpec) -> Result<Box<dyn SinkFixture>> {
        let (database, short_lease) = (self.database.clone(), self.short_lease);
        Ok(Box::new(Self { database, spec, short_lease }))
    }

    fn short_lease(&self) -> Duration {
        self.short_lease
    }
}

fn ledger_row(row: Vec<Option<String>>) -> Result<LedgerRow> {
    let cell = |index: usize| {
        row[index].clone().ok_or_else(|| Error::internal("a ledger row lacks a value"))
    };
    let number = |index| cell(index).map(|text| text.parse().expect("a count"));
    Ok(LedgerRow {
        run: cell(0)?.parse().expect("an id"),
        outcome: cell(1)?,
        read: number(2)?,
        written: number(3)?,
        deleted: number(4)?,
        unchanged: number(5)?,
        horizon_micros: row[6].as_deref().map(|text| {
            let at = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f");
            at.expect("a timestamp").and_utc().timestamp_micros()
        }),
        error_class: row[7].clone(),
    })
}

#[tokio::test]
async fn the_sink_keeps_the_contract() {
    let database = Database::new().await;
    let started = std::time::Instant::now();
    drop(database.connect().await);
    // A server elsewhere may be busy with others; the double is not.
    let least = if etl_tests::mssql::kind().await == Kind::Double { 2 } else { 10 };
    let short_lease = Duration::from_secs(least) + started.elapsed() * 20;
    sink_contract(|spec| {
        let database = database.clone();
        async move { Ok(Box::new(Fixture { database, spec, short_lease }) as Box<dyn SinkFixture>) }
    })
    .await;
}

#[tokio::test]
async fn every_text_comes_back_from_its_literal() {
    let database = Database::new().await;
    let mut connection = database.connect().await;
    let mut random = fastrand::Rng::with_seed(7);
    let alphabet: Vec<char> = "a'\"[]]\\;-- \n\t%_é漢🚚".chars().collect();
    for _ in 0..200 {
        let count = random.usize(0..12);
        let text: String = (0..count).map(|_| alphabet[random.usize(0..alphabet.len())]).collect();
        let literal = etl_sql::mssql::quote::text(&text);
        let rows = connection.batch(&format!("SELECT {literal} AS [t];"), "a test").await.unwrap();
        let cell = rows.into_iter().flatten().next().unwrap();
        assert_eq!(etl_tests::mssql::cell_text(&cell).as_deref(), Some(text.as_str()));
    }
}

#[tokio::test]
async fn a_pooled_connection_is_replaced_after_an_error() {
    let database = Database::new().await;
    let manager = etl_sql::mssql::pool::MssqlManager::new(database.owner.clone());
    let pool =
        bb8::Pool::builder().max_size(1).retry_connection(false).build(manager).await.unwrap();
    let spid = async |sql: &'static str| {
        let mut shared = pool.get().await.unwrap();
        shared
            .with(async |connection: &mut etl_sql::mssql::Connection| {
                let rows = connection.batch(sql, "a test").await?;
                Ok(rows.len())
            })
            .await
    };
    assert_eq!(spid("SELECT 1 AS [a];").await.unwrap(), 1);
    assert!(spid("SELECT [a] FROM [dbo].[missing];").await.is_err());
    assert_eq!(pool.state().connections, 0, "the broken connection is still in the pool");
    assert_eq!(spid("SELECT 1 AS [a] UNION ALL SELECT 2;").await.unwrap(), 2);
}
