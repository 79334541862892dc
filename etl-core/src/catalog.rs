//! The names of tables, which of two names are one table's, and what tables a source has.

use std::fmt;

use async_trait::async_trait;

use crate::error::Result;

/// A table as a connector reads its name in a pipeline file: without quotes, the default schema in
/// its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectName {
    /// The schema; `None` where there are none.
    pub schema: Option<String>,
    /// The table.
    pub table: String,
    /// Whether names that differ only by case may name one table on such a server.
    pub ignores_case: bool,
}

impl ObjectName {
    /// Equal for all spellings of one table. Where the server decides whether case counts, names
    /// that differ only by case are taken for one.
    #[must_use]
    pub fn identity(&self) -> (Option<String>, String) {
        let fold =
            |name: &String| if self.ignores_case { name.to_lowercase() } else { name.clone() };
        (self.schema.as_ref().map(fold), fold(&self.table))
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.table),
            None => f.write_str(&self.table),
        }
    }
}

/// A table as a source's catalog tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableInfo {
    /// Its name, letter by letter.
    pub name: ObjectName,
    /// Its columns, in its order.
    pub columns: Vec<String>,
    /// The columns of its primary key, in the key's order; none if it has no such key.
    pub primary_key: Vec<String>,
}

/// The tables of a source, for streams that are named by a pattern.
///
/// Building a catalog opens no connection.
#[async_trait]
pub trait Catalog: Send + Sync {
    /// Every table that a stream could be, also those that this login may not read: that a right
    /// is missing is for the stream to tell. In any order; without views, partitions of tables that
    /// are listed, and the server's own. Where a server hides what a login has no right on, that
    /// is not there. Dropped half way, it has changed nothing.
    ///
    /// # Errors
    /// As [`Source::schema`](crate::Source::schema).
    async fn tables(&self) -> Result<Vec<TableInfo>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_table_are_equal() {
        let name = |schema: &str, table: &str, ignores_case| ObjectName {
            schema: Some(schema.to_owned()),
            table: table.to_owned(),
            ignores_case,
        };
        assert_eq!(name("dbo", "Orders", true).identity(), name("DBO", "orders", true).identity());
        assert_ne!(name("dw", "Orders", false).identity(), name("dw", "orders", false).identity());
        assert_ne!(name("a", "t", true).identity(), name("b", "t", true).identity());
        assert_eq!(name("dw", "Orders", false).to_string(), "dw.Orders");
    }
}
