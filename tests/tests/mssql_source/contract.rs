//! The suite that every source runs.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use etl_core::connector::Stream;
use etl_core::error::Result;
use etl_core::source::Source;
use etl_core::testing::{Change, OpenTransaction, Row, SourceFixture, SourceSpec, source_contract};
use etl_sql::mssql::Connection;
use etl_tests::mssql::Database;
use serde_json::json;

use super::support;

/// Which column says what changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A rowversion, bounded by the least active one.
    Version,
    /// A period's beginning, which is when the writing transaction began.
    Period,
    /// A time that the writer sets, and an overlap that is read again.
    Lookback,
}

struct Fixture {
    database: Database,
    table: String,
    kind: Kind,
}

struct Transaction(Connection, String, Kind);

async fn contract(kind: Kind, database: Database) {
    source_contract(|spec: SourceSpec| {
        let database = database.clone();
        async move {
            let table = format!("dbo.{}", spec.table);
            let cursor = match kind {
                Kind::Version => "updated_at rowversion NOT NULL",
                Kind::Period => {
                    "updated_at datetime2(6) GENERATED ALWAYS AS ROW START NOT NULL, \
                     ended_at datetime2(6) GENERATED ALWAYS AS ROW END NOT NULL, \
                     PERIOD FOR SYSTEM_TIME (updated_at, ended_at)"
                }
                Kind::Lookback => "updated_at datetime2(6) NOT NULL DEFAULT SYSUTCDATETIME()",
            };
            database
                .run(&format!(
                    "CREATE TABLE {table} (id bigint NOT NULL PRIMARY KEY, name nvarchar(40) NULL, \
                     status varchar(20) COLLATE Latin1_General_100_BIN2 NOT NULL, \
                     amount decimal(18,2) NULL, active bit NULL, {cursor}); \
                     CREATE INDEX ix ON {table} (updated_at, id);"
                ))
                .await;
            Ok(Box::new(Fixture { database, table, kind }) as Box<dyn SourceFixture>)
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mssql_source_keeps_the_contract_with_a_rowversion() {
    let Some(database) = support::database(|can| can.versions).await else { return };
    contract(Kind::Version, database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mssql_source_keeps_the_contract_with_a_time_that_the_server_sets() {
    let Some(database) = support::database(|can| can.transactions).await else { return };
    contract(Kind::Period, database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mssql_source_keeps_the_contract_with_a_lookback_but_for_late_commits() {
    let Some(database) = support::database(|_| true).await else { return };
    contract(Kind::Lookback, database).await;
}

#[async_trait]
impl SourceFixture for Fixture {
    async fn source(&self, mut stream: Stream) -> Result<Arc<dyn Source>> {
        let cursor = match self.kind {
            Kind::Version | Kind::Period => json!({ "column": "updated_at", "guard": "1s" }),
            Kind::Lookback => json!({
                "column": "updated_at", "utc_offset": "+00:00",
                "set_by": "application", "safety": { "lookback": "1s" },
            }),
        };
        stream.config.cursor = serde_json::from_value(cursor).expect("a cursor");
        stream.name.clone_from(&self.table);
        support::build(&self.database.section(), &stream)
    }

    async fn write(&self, changes: &[Change]) -> Result<()> {
        let mut connection = self.database.connect().await;
        support::run(&mut connection, "BEGIN TRANSACTION;").await;
        support::run(&mut connection, &statements(&self.table, self.kind, changes)).await;
        support::run(&mut connection, "COMMIT TRANSACTION;").await;
        Ok(())
    }

    async fn begin(&self) -> Result<Option<Box<dyn OpenTransaction>>> {
        if self.kind == Kind::Lookback {
            // What commits later than the overlap is what a lookback misses.
            return Ok(None);
        }
        let mut connection = self.database.connect().await;
        support::run(&mut connection, "BEGIN TRANSACTION;").await;
        Ok(Some(Box::new(Transaction(connection, self.table.clone(), self.kind))))
    }

    async fn settle(&self) -> Result<()> {
        // No horizon of a time is nearer to the clock than two seconds; rowversions need none.
        let millis = if self.kind == Kind::Version { 20 } else { 2_050 };
        tokio::time::sleep(Duration::from_millis(millis)).await;
        Ok(())
    }
}

#[async_trait]
impl OpenTransaction for Transaction {
    async fn write(&mut self, changes: &[Change]) -> Result<()> {
        support::run(&mut self.0, &statements(&self.1, self.2, changes)).await;
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        support::run(&mut self.0, "COMMIT TRANSACTION;").await;
        Ok(())
    }

    async fn rollback(mut self: Box<Self>) -> Result<()> {
        support::run(&mut self.0, "ROLLBACK TRANSACTION;").await;
        Ok(())
    }
}

fn statements(table: &str, kind: Kind, changes: &[Change]) -> String {
    let text = |text: Option<&str>| {
        text.map_or_else(|| "NULL".to_owned(), |text| format!("N'{}'", text.replace('\'', "''")))
    };
    let values = |row: &Row| {
        [
            row.id.to_string(),
            text(row.name.as_deref()),
            text(row.status.as_deref()),
            row.amount_text().unwrap_or_else(|| "NULL".to_owned()),
            row.active.map_or_else(|| "NULL".to_owned(), |active| u8::from(active).to_string()),
        ]
    };
    let columns = ["id", "name", "status", "amount", "active"];
    let statement = |change: &Change| match change {
        Change::Insert(row) => {
            let (columns, values) = (columns.join(", "), values(row).join(", "));
            format!("INSERT INTO {table} ({columns}) VALUES ({values});")
        }
        Change::Update(row) => {
            let mut sets: Vec<_> = columns
                .iter()
                .zip(values(row))
                .skip(1)
                .map(|(column, value)| format!("{column} = {value}"))
                .collect();
            if kind == Kind::Lookback {
                sets.push("updated_at = SYSUTCDATETIME()".to_owned());
            }
            format!("UPDATE {table} SET {} WHERE id = {};", sets.join(", "), row.id)
        }
        Change::Delete(id) => format!("DELETE FROM {table} WHERE id = {id};"),
    };
    changes.iter().map(statement).collect::<Vec<_>>().join(" ")
}
