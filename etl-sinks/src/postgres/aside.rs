//! The quarantine: what a commit does to it in its own transaction, and what lies there.

use etl_core::{Aside, Entry, Fence, Rejected, Result, RowKey};
use etl_sql::postgres::session::{Session, value};
use etl_sql::quarantine::key_hash;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgRow;

use super::sink::PostgresSink;
use super::{Link, state, statements};

/// Enters what is put aside and takes out what is cleared.
pub(super) async fn put(
    session: &mut Session,
    link: &Link,
    fence: &Fence,
    aside: &Aside,
    doing: &str,
) -> Result<()> {
    let schema = &link.state_schema;
    if !aside.clear.is_empty() {
        let keys: Vec<_> = aside.clear.iter().map(key_hash).collect();
        let clear = sqlx::query(AssertSqlSafe(statements::clear_aside(schema)?));
        session.execute(clear.bind(&link.name).bind(keys), doing).await?;
    }
    if aside.put.is_empty() {
        return Ok(());
    }
    // An entry has one row: what is known of it is renewed, its key's new rows are entered.
    for sql in [statements::renew_aside(schema)?, statements::enter_aside(schema)?] {
        let column = |row: &Rejected| row.column.clone().unwrap_or_default();
        let query = sqlx::query(AssertSqlSafe(sql))
            .bind(&link.name)
            .bind(fence.run.to_string())
            .bind(aside.put.iter().map(|row| key_hash(&row.key)).collect::<Vec<_>>())
            .bind(aside.put.iter().map(column).collect::<Vec<_>>())
            .bind(aside.put.iter().map(|row| row.key.as_str().to_owned()).collect::<Vec<_>>())
            .bind(aside.put.iter().map(|row| row.reason.clone()).collect::<Vec<_>>())
            .bind(aside.put.iter().map(|row| row.code.clone()).collect::<Vec<_>>())
            .bind(fence.generation);
        session.execute(query, doing).await?;
    }
    Ok(())
}

/// Takes out what no batch of this load has put there.
pub(super) async fn clear_other_loads(
    session: &mut Session,
    link: &Link,
    fence: &Fence,
    doing: &str,
) -> Result<()> {
    let clear = sqlx::query(AssertSqlSafe(statements::clear_other_loads(&link.state_schema)?));
    session.execute(clear.bind(&link.name).bind(fence.generation), doing).await.map(drop)
}

impl PostgresSink {
    /// What lies in the quarantine, the oldest first; nothing if there are no state tables.
    pub(super) async fn entries(&mut self) -> Result<Vec<Entry>> {
        let doing = self.link.doing("reading the quarantine");
        let mut session = self.link.take().await?;
        session.begin(&doing).await?;
        let sql = statements::entries(&self.link.state_schema)?;
        let query = sqlx::query(AssertSqlSafe(sql)).bind(&self.link.name);
        let rows = match session.rows(query, &doing).await {
            Err(error) if state::is_missing(&error) => return Ok(Vec::new()),
            rows => rows?,
        };
        session.commit(&doing).await?;
        self.link.keep(session);
        rows.iter().map(entry).collect()
    }
}

fn entry(row: &PgRow) -> Result<Entry> {
    let column: String = value(row, "column_name")?;
    Ok(Entry {
        rejected: Rejected {
            key: RowKey::from_text(value::<String>(row, "key_json")?)?,
            column: (!column.is_empty()).then_some(column),
            reason: value(row, "reason")?,
            code: value(row, "error_code")?,
        },
        attempts: u64::try_from(value::<i32>(row, "attempts")?).unwrap_or(0),
        first_seen_micros: value(row, "first_seen")?,
        last_seen_micros: value(row, "last_seen")?,
    })
}
