//! The suite that every source runs.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use etl_core::connector::Stream;
use etl_core::error::Result;
use etl_core::source::Source;
use etl_core::testing::{Change, OpenTransaction, Row, SourceFixture, SourceSpec, source_contract};
use etl_tests::postgres::{Database, container, run};
use sqlx::postgres::PgConnection;

use super::support::{self, Trial};

struct Fixture {
    trial: Trial,
}

struct Transaction(PgConnection, String);

#[tokio::test(flavor = "multi_thread")]
async fn the_postgres_source_keeps_the_contract_of_sources() {
    source_contract(|spec| async move { fixture(Database::new().await, &spec).await }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_of_sources_holds_on_the_official_postgres_image() {
    if let Some(why) = container::missing() {
        // `scripts/test` says it, too, at its end.
        eprintln!("NOT RUN: the contract of sources on the official Postgres image ({why})");
        return;
    }
    source_contract(|spec| async move { fixture(container::database().await, &spec).await }).await;
}

async fn fixture(database: Database, spec: &SourceSpec) -> Result<Box<dyn SourceFixture>> {
    let columns = "id bigint PRIMARY KEY, name varchar(40), status varchar(20) NOT NULL, \
         amount numeric(18,2), active boolean";
    let trial = Trial::create(database, &format!("public.{}", spec.table), columns).await;
    Ok(Box::new(Fixture { trial }))
}

#[async_trait]
impl SourceFixture for Fixture {
    async fn source(&self, stream: Stream) -> Result<Arc<dyn Source>> {
        let name = self.trial.table.clone();
        support::build(&self.trial.database.section(), &Stream { name, ..stream })
    }

    async fn write(&self, changes: &[Change]) -> Result<()> {
        let mut connection = self.trial.database.connect().await;
        run(&mut connection, &statements(&self.trial.table, changes)).await;
        Ok(())
    }

    async fn begin(&self) -> Result<Option<Box<dyn OpenTransaction>>> {
        let mut connection = self.trial.database.connect().await;
        run(&mut connection, "BEGIN").await;
        Ok(Some(Box::new(Transaction(connection, self.trial.table.clone()))))
    }

    async fn settle(&self) -> Result<()> {
        // The suite's guard is one second.
        tokio::time::sleep(Duration::from_millis(1_050)).await;
        Ok(())
    }
}

#[async_trait]
impl OpenTransaction for Transaction {
    async fn write(&mut self, changes: &[Change]) -> Result<()> {
        run(&mut self.0, &statements(&self.1, changes)).await;
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        run(&mut self.0, "COMMIT").await;
        Ok(())
    }

    async fn rollback(mut self: Box<Self>) -> Result<()> {
        run(&mut self.0, "ROLLBACK").await;
        Ok(())
    }
}

/// One text of statements, which the server runs in one transaction.
fn statements(table: &str, changes: &[Change]) -> String {
    let text = |text: Option<&str>| {
        text.map_or_else(|| "NULL".to_owned(), |text| format!("'{}'", text.replace('\'', "''")))
    };
    let values = |row: &Row| {
        let active = row.active.map_or_else(|| "NULL".to_owned(), |active| active.to_string());
        [
            row.id.to_string(),
            text(row.name.as_deref()),
            text(row.status.as_deref()),
            row.amount_text().unwrap_or_else(|| "NULL".to_owned()),
            active,
        ]
        .join(", ")
    };
    let columns = "(id, name, status, amount, active)";
    let statement = |change: &Change| match change {
        Change::Insert(row) => format!("INSERT INTO {table} {columns} VALUES ({})", values(row)),
        Change::Update(row) => {
            format!("UPDATE {table} SET {columns} = ROW({}) WHERE id = {}", values(row), row.id)
        }
        Change::Delete(id) => format!("DELETE FROM {table} WHERE id = {id}"),
    };
    changes.iter().map(statement).collect::<Vec<_>>().join("; ")
}
