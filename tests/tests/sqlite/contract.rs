//! The suites that every source and every sink runs.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use etl_core::connector::Stream;
use etl_core::sink::{Sink, SinkAdmin};
use etl_core::source::Source;
use etl_core::testing::{
    CanonicalRow, Change, LedgerRow, OpenTransaction, Row, SinkFixture, SourceFixture, SourceSpec,
    TargetSpec, sink_contract, source_contract,
};
use etl_core::{Error, Result};
use etl_sql::sqlite::text;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Executor, Row as _};

use super::File;

struct Target {
    file: Arc<File>,
    spec: TargetSpec,
}

fn failed(cause: sqlx::Error) -> Error {
    Error::internal("a fixture's statement").with_source(cause)
}

#[async_trait]
impl SinkFixture for Target {
    async fn sink(&self) -> Result<Box<dyn Sink>> {
        Ok(self.file.sink(&self.spec.stream))
    }

    async fn admin(&self) -> Result<Box<dyn SinkAdmin>> {
        Ok(self.file.admin(&self.spec.stream))
    }

    async fn rows(&self) -> Result<Vec<CanonicalRow>> {
        let mark = self.spec.stream.config.mark();
        let statement = format!(
            "SELECT CAST(id AS TEXT) AS id, name, status, amount, CASE active WHEN 1 THEN 'true' \
             WHEN 0 THEN 'false' END AS active, updated_at {} FROM {}",
            mark.map(|mark| format!(", [{mark}]")).unwrap_or_default(),
            self.spec.stream.config.object
        );
        let rows = self.file.connect().await.fetch_all(AssertSqlSafe(statement)).await;
        let canonical = |row: SqliteRow| {
            let columns = self.spec.columns().into_iter();
            columns.map(|name| Ok((name.to_owned(), row.try_get(name).map_err(failed)?))).collect()
        };
        rows.map_err(failed)?.into_iter().map(canonical).collect()
    }

    async fn ledger(&self) -> Result<Vec<LedgerRow>> {
        let rows = sqlx::query("SELECT * FROM etl_run WHERE name = ?")
            .bind(&self.spec.schema.name)
            .fetch_all(&mut self.file.connect().await)
            .await;
        rows.map_err(failed)?.iter().map(|row| ledger_row(row).map_err(failed)).collect()
    }

    async fn beside(&self, spec: TargetSpec) -> Result<Box<dyn SinkFixture>> {
        Ok(Box::new(Self { file: Arc::clone(&self.file), spec }))
    }
}

fn ledger_row(row: &SqliteRow) -> Result<LedgerRow, sqlx::Error> {
    let number = |name: &str| {
        row.try_get::<i64, _>(name).map(|number| u64::try_from(number).expect("a count"))
    };
    let horizon: Option<String> = row.try_get("source_horizon")?;
    Ok(LedgerRow {
        run: row.try_get::<String, _>("run_id")?.parse().expect("an id"),
        outcome: row.try_get("outcome")?,
        read: number("rows_read")?,
        written: number("rows_written")?,
        deleted: number("rows_deleted")?,
        unchanged: number("rows_unchanged")?,
        horizon_micros: horizon.map(|text| text::parse_timestamp(&text).expect("a time")),
        error_class: row.try_get("error_class")?,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sink_keeps_its_contract() {
    sink_contract(async |spec| {
        Ok(Box::new(Target { file: Arc::new(File::new()), spec }) as Box<dyn SinkFixture>)
    })
    .await;
}

struct Table {
    file: File,
    table: String,
}

impl Table {
    /// `now` is the expression by which the file sets the cursor.
    async fn new(spec: SourceSpec, declared: &str, now: &str) -> Self {
        let table = spec.table;
        let file = File::with(&format!(
            "CREATE TABLE {table} (
               id         INTEGER PRIMARY KEY,
               name       VARCHAR(40),
               status     VARCHAR(20) NOT NULL,
               amount     DECIMAL_TEXT(18,2),
               active     BOOLEAN,
               updated_at {declared} NOT NULL DEFAULT ({now})
             );
             CREATE INDEX {table}_updated_at ON {table} (updated_at);
             CREATE TRIGGER {table}_touched AFTER UPDATE ON {table} FOR EACH ROW BEGIN
               UPDATE {table} SET updated_at = {now} WHERE id = NEW.id;
             END"
        ))
        .await;
        Self { file, table }
    }

    async fn write_one(&self, c: &mut SqliteConnection, change: &Change) -> Result<()> {
        let table = &self.table;
        let (statement, row) = match change {
            Change::Insert(row) => (
                format!(
                    "INSERT INTO {table} (id, name, status, amount, active) VALUES (?5, ?1, ?2, \
                     ?3, ?4)"
                ),
                row,
            ),
            Change::Update(row) => (
                format!(
                    "UPDATE {table} SET name = ?1, status = ?2, amount = ?3, active = ?4 \
                     WHERE id = ?5"
                ),
                row,
            ),
            Change::Delete(id) => {
                let statement = format!("DELETE FROM {table} WHERE id = {id}");
                c.execute(AssertSqlSafe(statement)).await.map_err(failed)?;
                return Ok(());
            }
        };
        sqlx::query(AssertSqlSafe(statement))
            .bind(&row.name)
            .bind(&row.status)
            .bind(row.amount_text())
            .bind(row.active)
            .bind(row.id)
            .execute(c)
            .await
            .map_err(failed)?;
        Ok(())
    }
}

#[async_trait]
impl SourceFixture for Table {
    async fn source(&self, stream: Stream) -> Result<Arc<dyn Source>> {
        let mut stream = Stream { name: self.table.clone(), ..stream };
        stream.config.columns.insert("updated_at".to_owned(), "timestamptz".to_owned());
        Ok(self.file.source(&stream))
    }

    async fn write(&self, changes: &[Change]) -> Result<()> {
        let mut c = self.file.connect().await;
        c.execute("BEGIN IMMEDIATE").await.map_err(failed)?;
        for change in changes {
            self.write_one(&mut c, change).await?;
        }
        c.execute("COMMIT").await.map_err(failed)?;
        Ok(())
    }

    async fn begin(&self) -> Result<Option<Box<dyn OpenTransaction>>> {
        // One writer at a time; what an open one means is tested in `horizon`.
        Ok(None)
    }

    async fn settle(&self) -> Result<()> {
        tokio::time::sleep(Duration::from_millis(3_100)).await;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_source_keeps_its_contract() {
    let now = "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')";
    source_contract(async |spec| {
        Ok(Box::new(Table::new(spec, "TIMESTAMPTZ_TEXT", now).await) as Box<dyn SourceFixture>)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_source_keeps_its_contract_with_a_clock_of_whole_seconds() {
    source_contract(async |spec| {
        let table = Table::new(spec, "DATETIME", "CURRENT_TIMESTAMP").await;
        Ok(Box::new(table) as Box<dyn SourceFixture>)
    })
    .await;
}

#[test]
fn the_suite_and_the_file_write_amounts_alike() {
    assert_eq!(Row::new(1).amount(-5).amount_text().unwrap(), text::decimal(-5, 2));
}
