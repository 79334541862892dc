//! Content of a side: how many rows, and a checksum over every value of theirs.

use std::path::Path;

use etl_core::{Error, Result};
use futures::TryStreamExt;
use sha2::{Digest, Sha256};
use sqlx::{Connection, Row};

use crate::commands::demo::data::open;

/// `quote` writes a value with its type: text, number and NULL cannot be mistaken for each other.
const CANONICAL: &str = "SELECT quote(id) || ',' || quote(customer) || ',' || quote(status) || ',' \
    || quote(amount) || ',' || quote(note) || ',' || quote(updated_at) FROM orders";

/// What a side holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) rows: u64,
    /// SHA-256 in hex over the canonical rows in the key's order, each with a line's end.
    pub(super) checksum: String,
}

impl Content {
    /// Reads one side: the orders for which `filter` is true.
    ///
    /// # Errors
    /// `Config` if the file cannot be read.
    pub(super) async fn read(path: &Path, filter: Option<&'static str>) -> Result<Self> {
        let failed = |error: sqlx::Error| {
            Error::config(format!("comparing {}", path.display())).with_source(error)
        };
        let mut connection = open(path, false).await?;
        let text = format!("{CANONICAL} WHERE {} ORDER BY id", filter.unwrap_or("TRUE"));
        let mut sum = Sha256::new();
        let mut rows = 0;
        {
            let mut lines = sqlx::query(sqlx::AssertSqlSafe(text)).fetch(&mut connection);
            while let Some(row) = lines.try_next().await.map_err(failed)? {
                let line: String = row.try_get(0).map_err(failed)?;
                sum.update(line.as_bytes());
                sum.update(b"\n");
                rows += 1;
            }
        }
        connection.close().await.map_err(failed)?;
        let checksum = sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { rows, checksum })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::commands::demo::data;

    #[tokio::test]
    async fn one_value_that_differs_changes_the_checksum() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        data::create(&path, 50).await.unwrap();
        let before = Content::read(&path, Some(data::FILTER)).await.unwrap();
        assert!(before.rows > 0);
        assert_eq!(before, Content::read(&path, Some(data::FILTER)).await.unwrap());
        let mut connection = open(&path, false).await.unwrap();
        let change = "UPDATE orders SET note = CASE WHEN note IS NULL THEN '' END, \
            updated_at = updated_at WHERE id = (SELECT min(id) FROM orders WHERE status = 'confirmed')";
        sqlx::query(change).execute(&mut connection).await.unwrap();
        let after = Content::read(&path, Some(data::FILTER)).await.unwrap();
        assert_eq!(before.rows, after.rows);
        assert_ne!(before.checksum, after.checksum);
    }
}
