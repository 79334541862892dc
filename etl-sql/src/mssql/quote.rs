//! Names and texts in T-SQL. There is no other way to put either into a statement.

use etl_core::catalog::ObjectName;
use etl_core::{Error, Result};

use crate::parts::split;

/// The longest identifier, in UTF-16 code units (`sysname`).
pub const MAX_NAME_UNITS: usize = 128;

/// A name in brackets.
///
/// # Errors
/// `Config` if it is empty, longer than 128 UTF-16 code units, or holds a NUL.
pub fn name(name: &str) -> Result<String> {
    let units = name.encode_utf16().count();
    if units == 0 || units > MAX_NAME_UNITS || name.contains('\0') {
        return Err(Error::config(format!(
            "the name {name:?} cannot be used in SQL Server: {units} UTF-16 code units, allowed \
             are 1 to {MAX_NAME_UNITS} without NUL; a column gets another name with transforms: \
             [{{ rename: {{ … }} }}]"
        )));
    }
    Ok(format!("[{}]", name.replace(']', "]]")))
}

/// A Unicode text literal.
#[must_use]
pub fn text(text: &str) -> String {
    format!("N'{}'", text.replace('\'', "''"))
}

/// The name of a table with its schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableName {
    /// The schema; `dbo` where none is given.
    pub schema: String,
    /// The table.
    pub table: String,
}

impl TableName {
    /// Reads `table`, `schema.table` or `[schema].[table]`; a bracketed part may hold anything.
    ///
    /// # Errors
    /// `Config` if it is neither.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Error::config(format!(
                "\"{text}\" is not a table name: write schema.table, with [ ] around parts that hold a dot"
            ))
        };
        let mut parts = split(text, '[', ']').ok_or_else(wrong)?;
        let table = parts.pop().ok_or_else(wrong)?;
        let schema = parts.pop().unwrap_or_else(|| "dbo".to_owned());
        if !parts.is_empty() {
            return Err(wrong());
        }
        name(&schema)?;
        name(&table)?;
        if table.starts_with('#') {
            return Err(Error::config(format!(
                "\"{text}\" is a temporary table, which is gone with its session; give the table \
                 another name"
            )));
        }
        Ok(Self { schema, table })
    }

    /// `[schema].[table]`.
    ///
    /// # Errors
    /// As [`name`].
    pub fn quoted(&self) -> Result<String> {
        Ok(format!("{}.{}", name(&self.schema)?, name(&self.table)?))
    }
}

/// What two names have in common that are one name to a server. Most databases ignore the case of
/// names, all ignore blanks at their ends.
#[must_use]
pub fn identity(name: &str) -> String {
    name.trim_end_matches(' ').to_lowercase()
}

/// Most databases of SQL Server ignore case; whether one does is not known before it is asked. All
/// ignore blanks at the end.
impl From<TableName> for ObjectName {
    fn from(name: TableName) -> Self {
        let trimmed = |name: String| name.trim_end_matches(' ').to_owned();
        let (schema, table) = (trimmed(name.schema), trimmed(name.table));
        Self { schema: Some(schema), table, ignores_case: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_name_is_read_in_every_form() {
        let read = |text: &str| TableName::parse(text).unwrap().quoted().unwrap();
        assert_eq!(read("orders"), "[dbo].[orders]");
        assert_eq!(read("sales.orders"), "[sales].[orders]");
        assert_eq!(read("[sa.les].[or]]ders]"), "[sa.les].[or]]ders]");
        assert_eq!(read("[[]]].o]r[d"), "[[]]].[o]]r[d]");
        for wrong in ["", "a.b.c", "[a", "[a]b", ".t", "a.", "#t", "dbo.[##t]"] {
            assert!(TableName::parse(wrong).is_err(), "{wrong}");
        }
        assert!(TableName::parse(&"x".repeat(129)).is_err());
    }

    #[test]
    fn a_name_has_at_most_128_utf16_units() {
        assert_eq!(name("a]b").unwrap(), "[a]]b]");
        assert!(name(&"x".repeat(128)).is_ok() && name(&"x".repeat(129)).is_err());
        assert!(name(&"\u{1f600}".repeat(64)).is_ok() && name(&"\u{1f600}".repeat(65)).is_err());
        assert!(name("").is_err() && name("a\0b").is_err());
    }

    #[test]
    fn a_text_ends_where_it_ends() {
        assert_eq!(text("O'Brien'; --"), "N'O''Brien''; --'");
        assert_eq!(text(""), "N''");
    }

    #[test]
    fn names_that_are_one_to_the_server_are_one_here() {
        assert_eq!(identity("Ürders  "), identity("ürders"));
        assert_ne!(identity(" orders"), identity("orders"));
        let object = ObjectName::from(TableName::parse("[Sales ].[Orders  ]").unwrap());
        assert_eq!((object.schema.as_deref(), &*object.table), (Some("Sales"), "Orders"));
        assert!(object.ignores_case);
    }
}
