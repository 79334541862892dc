//! Every table of a file, for streams that are named by a pattern.

use async_trait::async_trait;
use etl_core::catalog::{Catalog, TableInfo};
use etl_core::error::Result;
use etl_sql::sqlite::connect::{Access, BUSY_TIMEOUT, connect};
use etl_sql::sqlite::table::{self, Table};
use etl_sql::sqlite::{Config, error, quote};

/// Tables, without SQLite's own.
const TABLES: &str = "SELECT name FROM sqlite_schema WHERE type = 'table' \
     AND lower(substr(name, 1, 7)) <> 'sqlite_'";

/// The catalog of one file.
pub(super) struct SqliteCatalog {
    pub(super) config: Config,
}

#[async_trait]
impl Catalog for SqliteCatalog {
    async fn tables(&self) -> Result<Vec<TableInfo>> {
        const DOING: &str = "listing the source's tables";
        let mut connection = connect(&self.config, Access::Read, BUSY_TIMEOUT).await?;
        let names: Vec<String> = sqlx::query_scalar(TABLES)
            .fetch_all(&mut connection)
            .await
            .map_err(|cause| error::classify(cause, DOING))?;
        let mut tables = Vec::with_capacity(names.len());
        for name in names {
            // Dropped since: it is gone.
            tables.extend(table::look_up(&mut connection, &name).await?.map(info));
        }
        Ok(tables)
    }
}

fn info(table: Table) -> TableInfo {
    let key = table.indexes.into_iter().find(|index| index.primary);
    TableInfo {
        name: quote::object(table.name),
        columns: table.columns.into_iter().map(|column| column.name).collect(),
        primary_key: key.map(|index| index.columns).unwrap_or_default(),
    }
}
