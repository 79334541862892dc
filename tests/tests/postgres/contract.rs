//! The suite that every source runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use etl_core::connector::{Safety, Stream};
use etl_core::error::Result;
use etl_core::source::Source;
use etl_core::testing::{Change, OpenTransaction, Row, SourceFixture, SourceSpec, source_contract};
use etl_sql::postgres::xid8;
use etl_tests::postgres::{Database, container, run};
use etl_tests::skips::not_run;
use sqlx::postgres::PgConnection;

use super::support::{self, Trial};

struct Fixture {
    trial: Trial,
    /// With a cursor of transaction numbers: how many transactions of the fixture are open.
    numbers: Option<Arc<AtomicUsize>>,
}

struct Transaction(PgConnection, String, Option<Arc<AtomicUsize>>);

#[tokio::test(flavor = "multi_thread")]
async fn the_postgres_source_keeps_the_contract_of_sources() {
    source_contract(|spec| async move { fixture(Database::new().await, &spec).await }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_of_sources_holds_on_the_official_postgres_image() {
    if let Some(why) = container::missing() {
        not_run(&why);
        return;
    }
    source_contract(|spec| async move { fixture(container::database().await, &spec).await }).await;
}

async fn fixture(database: Database, spec: &SourceSpec) -> Result<Box<dyn SourceFixture>> {
    let columns = "id bigint PRIMARY KEY, name varchar(40), status varchar(20) NOT NULL, \
         amount numeric(18,2), active boolean";
    let trial = Trial::create(database, &format!("public.{}", spec.table), columns).await;
    Ok(Box::new(Fixture { trial, numbers: None }))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_of_sources_holds_with_transaction_numbers() {
    let Some(database) = Database::alone().await else { return };
    source_contract(|spec| numbered(database.clone(), spec)).await;
}

/// The same table; its cursor has the suite's name and is a transaction's number.
async fn numbered(database: Database, spec: SourceSpec) -> Result<Box<dyn SourceFixture>> {
    let table = format!("public.{}", spec.table);
    let columns = "id bigint PRIMARY KEY, name varchar(40), status varchar(20) NOT NULL, \
         amount numeric(18,2), active boolean, \
         updated_at xid8 NOT NULL DEFAULT pg_current_xact_id()";
    let sql = format!(
        "CREATE TABLE {table} ({columns}); CREATE FUNCTION {table}_number() RETURNS trigger \
         LANGUAGE plpgsql AS $$ BEGIN NEW.updated_at := pg_current_xact_id(); RETURN NEW; END $$; \
         CREATE TRIGGER number BEFORE INSERT OR UPDATE ON {table} \
         FOR EACH ROW EXECUTE FUNCTION {table}_number(); CREATE INDEX ON {table} (updated_at, id)"
    );
    database.execute(&sql).await;
    let trial = Trial { database, table };
    Ok(Box::new(Fixture { trial, numbers: Some(Arc::default()) }))
}

#[async_trait]
impl SourceFixture for Fixture {
    async fn source(&self, mut stream: Stream) -> Result<Arc<dyn Source>> {
        let name = self.trial.table.clone();
        if self.numbers.is_some() {
            stream.config.cursor.safety = Safety::Xid8;
        }
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
        if let Some(open) = &self.numbers {
            open.fetch_add(1, Ordering::Relaxed);
        }
        let open = self.numbers.clone();
        Ok(Some(Box::new(Transaction(connection, self.trial.table.clone(), open))))
    }

    async fn settle(&self) -> Result<()> {
        match &self.numbers {
            // The suite's guard is one second.
            None => tokio::time::sleep(Duration::from_millis(1_050)).await,
            Some(open) if open.load(Ordering::Relaxed) > 0 => {}
            Some(_) => self.pass().await,
        }
        Ok(())
    }
}

impl Fixture {
    /// Waits until everybody who has a number now has ended.
    async fn pass(&self) {
        let mut connection = self.trial.database.connect().await;
        let next = xid8::next(&mut connection).await.unwrap();
        for _ in 0..600 {
            if xid8::seen(&mut connection).await.unwrap().oldest >= next {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("a transaction stays open");
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let Some(open) = &self.2 {
            open.fetch_sub(1, Ordering::Relaxed);
        }
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
