//! Every table of a database, for streams that are named by a pattern.

use async_trait::async_trait;
use etl_core::catalog::{Catalog, TableInfo};
use etl_core::error::Result;
use etl_sql::mssql::MssqlConfig;
use etl_sql::mssql::connect::{Connection, required};
use etl_sql::mssql::error::Phase;
use etl_sql::mssql::quote::TableName;

/// One row per column of each table that this login may see, but for the history of temporal
/// tables, with the column's place in the primary key or 0.
pub const TABLES: &str = "\
SELECT s.[name] AS [schema_name], t.[name] AS [table_name], c.[name] AS [column_name],
       CONVERT(int, COALESCE(k.[key_ordinal], 0)) AS [key_ordinal]
  FROM sys.tables AS t
  INNER JOIN sys.schemas AS s ON s.[schema_id] = t.[schema_id]
  INNER JOIN sys.columns AS c ON c.[object_id] = t.[object_id]
  LEFT JOIN (SELECT ic.[object_id], ic.[column_id], ic.[key_ordinal]
               FROM sys.index_columns AS ic
               INNER JOIN sys.indexes AS i ON i.[object_id] = ic.[object_id] AND i.[index_id] = ic.[index_id]
              WHERE i.[is_primary_key] = 1) AS k ON k.[object_id] = c.[object_id] AND k.[column_id] = c.[column_id]
 WHERE t.[is_ms_shipped] = 0 AND COALESCE(t.[temporal_type], 0) <> 1
 ORDER BY s.[name], t.[name], t.[object_id], c.[column_id];";

/// The catalog of one database.
pub(super) struct MssqlCatalog {
    pub(super) connect: MssqlConfig,
}

#[async_trait]
impl Catalog for MssqlCatalog {
    async fn tables(&self) -> Result<Vec<TableInfo>> {
        const DOING: &str = "listing the source's tables";
        let mut connection = Connection::open(&self.connect).await?;
        let rows = connection.query(TABLES, &[], Phase::Repeatable, DOING).await?;
        let mut tables: Vec<(TableInfo, Vec<(i32, String)>)> = Vec::new();
        for row in &rows {
            let text = |column| required::<&str>(row, column).map(str::to_owned);
            let name =
                TableName { schema: text("schema_name")?, table: text("table_name")? }.into();
            if tables.last().is_none_or(|(table, _)| table.name != name) {
                let table = TableInfo { name, columns: Vec::new(), primary_key: Vec::new() };
                tables.push((table, Vec::new()));
            }
            let Some((table, key)) = tables.last_mut() else { continue };
            let column = text("column_name")?;
            match required(row, "key_ordinal")? {
                0 => {}
                place => key.push((place, column.clone())),
            }
            table.columns.push(column);
        }
        let with_key = |(mut table, mut key): (TableInfo, Vec<(i32, String)>)| {
            key.sort();
            table.primary_key = key.into_iter().map(|(_, column)| column).collect();
            table
        };
        Ok(tables.into_iter().map(with_key).collect())
    }
}
