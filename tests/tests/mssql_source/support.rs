//! A table to read from.

use std::sync::Arc;

use etl_core::connector::Stream;
use etl_core::error::Result;
use etl_core::source::Source;
use etl_sql::mssql::Connection;
use etl_tests::mssql::Database;
use etl_tests::skips::not_run;
use serde_json::{Value, json};

pub(super) use crate::support::sweep::*;

/// What a server can be asked for; not every T-SQL server is Microsoft's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Abilities {
    /// `MIN_ACTIVE_ROWVERSION()`.
    pub(crate) versions: bool,
    /// Open transactions in `sys.dm_tran_…`, and period columns.
    pub(super) transactions: bool,
}

impl Abilities {
    pub(crate) async fn of(database: &Database) -> Self {
        let can = async |sql: &str| {
            let mut connection = database.connect().await;
            connection.batch(sql, "looking what the server can do").await.is_ok()
        };
        // Where it cannot be set, a statement sees one snapshot anyway.
        database.snapshots().await.ok();
        Self {
            versions: can("SELECT MIN_ACTIVE_ROWVERSION() AS [least];").await,
            transactions: can("SELECT COUNT(*) AS [n] FROM sys.dm_tran_active_transactions;").await,
        }
    }
}

/// A database in which a sweep reads one snapshot; `None` where the server cannot do what a test
/// needs, which it then says.
pub(super) async fn database(needed: impl FnOnce(Abilities) -> bool) -> Option<Database> {
    let database = Database::new().await;
    let abilities = Abilities::of(&database).await;
    if needed(abilities) {
        return Some(database);
    }
    not_run(&format!("this SQL Server can only {abilities:?}"));
    None
}

/// A table with a rowversion.
pub(super) struct Trial {
    pub(super) database: Database,
    pub(super) table: String,
}

impl Trial {
    /// Makes the table with these columns, `rv`, and an index on it.
    pub(super) async fn create(database: Database, table: &str, columns: &str) -> Self {
        database
            .run(&format!(
                "CREATE TABLE {table} ({columns}, rv rowversion NOT NULL); \
                 CREATE UNIQUE INDEX ix_rv ON {table} (rv);"
            ))
            .await;
        Self { database, table: table.to_owned() }
    }

    /// A table `dbo.orders` of `id` and `note`, if this server has rowversions.
    pub(super) async fn orders() -> Option<Self> {
        let database = database(|can| can.versions).await?;
        let columns = "id bigint NOT NULL PRIMARY KEY, note nvarchar(1000) NULL";
        Some(Self::create(database, "dbo.orders", columns).await)
    }

    pub(super) async fn execute(&self, sql: &str) {
        self.database.run(sql).await;
    }

    /// Inserts rows, of which many share a statement.
    pub(super) async fn insert(&self, ids: std::ops::RangeInclusive<i64>, note: &str) {
        let ids: Vec<_> = ids.collect();
        for ids in ids.chunks(500) {
            let rows: Vec<_> = ids.iter().map(|id| format!("({id}, N'{note}')")).collect();
            let sql = format!("INSERT INTO dbo.orders (id, note) VALUES {};", rows.join(", "));
            self.execute(&sql).await;
        }
    }

    /// A transaction in which these statements have run.
    pub(super) async fn begin(&self, sql: &str) -> Connection {
        let mut connection = self.database.connect().await;
        run(&mut connection, &format!("BEGIN TRANSACTION; {sql}")).await;
        connection
    }

    /// A source of `id`, `note` and `rv`, with `change` made to the stream's config.
    pub(super) fn source(&self, change: impl FnOnce(&mut Value)) -> Arc<dyn Source> {
        build(&self.database.section(), &stream(&self.table, change)).expect("a source")
    }
}

pub(super) async fn run(connection: &mut Connection, sql: &str) {
    connection.batch(sql, "a test's batch").await.expect("a batch");
}

/// The stream of `table` with `change` made to its config.
pub(super) fn stream(table: &str, change: impl FnOnce(&mut Value)) -> Stream {
    let mut config = json!({
        "object": "dbo.orders",
        "primary_key": ["id"],
        "cursor": { "column": "rv" },
        "select": ["id", "note", "rv"],
    });
    change(&mut config);
    let config = serde_json::from_value(config).expect("a stream's config");
    Stream { pipeline: "trial".to_owned(), name: table.to_owned(), config }
}

pub(super) fn build(section: &Value, stream: &Stream) -> Result<Arc<dyn Source>> {
    (etl_sources::find("mssql").expect("the registry's line").build)(section, stream)
}
