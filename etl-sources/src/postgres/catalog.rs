//! Every table of a database, for streams that are named by a pattern.

use async_trait::async_trait;
use etl_core::catalog::{Catalog, TableInfo};
use etl_core::error::Result;
use etl_sql::postgres::quote::TableName;
use etl_sql::postgres::{Connect, failed};
use sqlx::Row;
use sqlx::postgres::PgRow;

/// Tables and partitioned tables; not their partitions, which are read through them, nor what is
/// the server's own or a session's.
const TABLES: &str = "SELECT n.nspname::text AS schema_name, c.relname::text AS table_name, \
     ARRAY(SELECT a.attname::text FROM pg_attribute a \
       WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS columns, \
     ARRAY(SELECT a.attname::text FROM pg_index i \
       CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place) \
       JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
       WHERE i.indrelid = c.oid AND i.indisprimary AND k.place <= i.indnkeyatts \
       ORDER BY k.place) AS primary_key \
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't' \
     AND n.nspname <> 'information_schema' AND left(n.nspname, 3) <> 'pg_'";

/// The catalog of one database.
pub(super) struct PostgresCatalog {
    pub(super) connect: Connect,
}

#[async_trait]
impl Catalog for PostgresCatalog {
    async fn tables(&self) -> Result<Vec<TableInfo>> {
        const DOING: &str = "listing the source's tables";
        let mut connection = self.connect.open().await?;
        sqlx::query(TABLES)
            .persistent(false)
            .fetch_all(&mut connection)
            .await
            .and_then(|rows| rows.iter().map(table).collect())
            .map_err(|error| failed(DOING, error))
    }
}

fn table(row: &PgRow) -> Result<TableInfo, sqlx::Error> {
    let (schema, table) = (row.try_get("schema_name")?, row.try_get("table_name")?);
    Ok(TableInfo {
        name: TableName { schema, table }.into(),
        columns: row.try_get("columns")?,
        primary_key: row.try_get("primary_key")?,
    })
}
