//! The suite that every sink runs.

use async_trait::async_trait;
use etl_core::sink::{Sink, SinkAdmin};
use etl_core::testing::{CanonicalRow, LedgerRow, SinkFixture, TargetSpec, sink_contract};
use etl_core::{Error, Result};
use etl_tests::postgres::Database;
use etl_tests::postgres_proxy::{Proxy, Rules};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgRow, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Row as _};

/// A case's target in the database of this test.
struct Fixture {
    database: Database,
    section: Value,
    spec: TargetSpec,
}

fn failed(cause: sqlx::Error) -> Error {
    Error::internal("a fixture's statement").with_source(cause)
}

impl Fixture {
    async fn query(&self, sql: String) -> Result<Vec<PgRow>> {
        let mut connection = self.database.connect().await;
        sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection).await.map_err(failed)
    }
}

#[async_trait]
impl SinkFixture for Fixture {
    async fn sink(&self) -> Result<Box<dyn Sink>> {
        (etl_sinks::find("postgres")?.build)(&self.section, &self.spec.stream)
    }

    async fn admin(&self) -> Result<Box<dyn SinkAdmin>> {
        (etl_sinks::find("postgres")?.admin)(&self.section, &self.spec.stream)
    }

    async fn rows(&self) -> Result<Vec<CanonicalRow>> {
        let mark = self.spec.stream.config.mark().map(|mark| format!("\"{mark}\""));
        let sql = format!(
            "SELECT id::text, name, status, amount::text, active::text, {} AS updated_at {} FROM public.{}",
            instant("updated_at"),
            mark.map(|mark| format!(", {} AS {mark}", instant(&mark))).unwrap_or_default(),
            self.spec.stream.config.object
        );
        let names = self.spec.columns();
        let canonical = |row: &PgRow| {
            let cell = |name: &str| Ok((name.to_owned(), row.try_get(name).map_err(failed)?));
            names.iter().copied().map(cell).collect()
        };
        self.query(sql).await?.iter().map(canonical).collect()
    }

    async fn ledger(&self) -> Result<Vec<LedgerRow>> {
        let sql = format!(
            "SELECT run_id::text, outcome, rows_read, rows_written, rows_deleted, rows_unchanged, \
             (extract(epoch FROM source_horizon) * 1000000)::int8 AS horizon, error_class \
             FROM etl.run WHERE pipeline = '{}'",
            self.spec.schema.name
        );
        self.query(sql).await?.iter().map(|row| ledger_row(row).map_err(failed)).collect()
    }

    async fn beside(&self, spec: TargetSpec) -> Result<Box<dyn SinkFixture>> {
        let (database, section) = (self.database.clone(), self.section.clone());
        Ok(Box::new(Self { database, section, spec }))
    }
}

/// The text of a `timestamptz` as the suites write it.
pub(super) fn instant(column: &str) -> String {
    format!(r#"to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"#)
}

fn ledger_row(row: &PgRow) -> Result<LedgerRow, sqlx::Error> {
    let count = |name| row.try_get(name).map(|count: i64| u64::try_from(count).expect("a count"));
    Ok(LedgerRow {
        run: row.try_get::<String, _>("run_id")?.parse().expect("an id"),
        outcome: row.try_get("outcome")?,
        read: count("rows_read")?,
        written: count("rows_written")?,
        deleted: count("rows_deleted")?,
        unchanged: count("rows_unchanged")?,
        horizon_micros: row.try_get("horizon")?,
        error_class: row.try_get("error_class")?,
    })
}

async fn contract(database: Database, section: Value) {
    sink_contract(|spec| {
        let (database, section) = (database.clone(), section.clone());
        async move { Ok(Box::new(Fixture { database, section, spec }) as Box<dyn SinkFixture>) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_postgres_sink_keeps_the_contract() {
    let database = Database::new().await;
    let section = database.section();
    contract(database, section).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds_where_each_transaction_gets_another_server_session() {
    let database = Database::new().await;
    let rules = Rules { sessions: 3, ..Rules::default() };
    let proxy = Proxy::start(&database.url(), rules).await;
    let mut section = database.section();
    section["url"] = json!(proxy.url(&database.url()));
    // The proxy does what a pooler does, or this proves nothing.
    let options: PgConnectOptions = proxy.url(&database.url()).parse().unwrap();
    let mut connection = options.ssl_mode(PgSslMode::Disable).connect().await.unwrap();
    let mut pids = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let pid = sqlx::raw_sql("SELECT pg_backend_pid()").fetch_one(&mut connection).await;
        pids.insert(pid.unwrap().get::<i32, _>(0));
    }
    assert_eq!(pids.len(), 3, "{pids:?}");
    contract(database, section).await;
}
