//! Whether a table is as it was when it was looked at.

use etl_core::error::{Error, Result};

use super::quote::TableName;
use super::session::Session;

/// A transaction notices that the table was altered meanwhile. An SQLSTATE of ours.
pub const ALTERED: &str = "ETL02";

/// What ALTER TABLE and its like change, as text: the versions of the catalog's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    table: TableName,
    text: Option<String>,
}

impl Shape {
    /// As the table is now. Ask before the columns are looked at.
    ///
    /// Dropped half way, drop the session.
    ///
    /// # Errors
    /// Of the connection.
    pub async fn look(session: &mut Session, table: &TableName, doing: &str) -> Result<Self> {
        session.begin(doing).await?;
        let text = now(session, table, doing).await?;
        session.commit(doing).await?;
        Ok(Self { table: table.clone(), text })
    }

    /// Makes sure that the table still has this shape. Ask inside the transaction that has written
    /// to it: its lock keeps the table as it is until the end.
    ///
    /// Dropped half way, drop the session.
    ///
    /// # Errors
    /// `Schema` with [`ALTERED`] if it has not.
    pub async fn check(&self, session: &mut Session, doing: &str) -> Result<()> {
        if now(session, &self.table, doing).await? == self.text {
            return Ok(());
        }
        let table = &self.table;
        Err(Error::schema(format!("{doing}: {table} was altered while it was written to"))
            .with_code(ALTERED))
    }
}

async fn now(session: &mut Session, table: &TableName, doing: &str) -> Result<Option<String>> {
    let row = session.row(sqlx::query(SHAPE).bind(&table.schema).bind(&table.table), doing).await?;
    row.map(|row| super::session::value(&row, "shape")).transpose()
}

/// `$1` schema, `$2` table. A row of `pg_attribute` is written anew whenever its column changes.
const SHAPE: &str = "SELECT concat_ws(' ', c.oid, c.relkind, c.relpersistence, c.relhasrules, c.relrowsecurity, \
     (SELECT string_agg(a.attnum || ':' || a.xmin::text, ',' ORDER BY a.attnum) \
        FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0), \
     (SELECT string_agg(i.indexrelid::text, ',' ORDER BY i.indexrelid) \
        FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid)) AS shape \
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE n.nspname = $1 AND c.relname = $2";
