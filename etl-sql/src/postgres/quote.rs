//! Names and texts as Postgres reads them; no other way builds SQL here.

use etl_core::catalog::ObjectName;
use etl_core::error::{Error, Result};

use crate::parts::split;

/// The bytes that a name may have (`NAMEDATALEN` less one); the server would cut a longer one.
const NAME_BYTES: usize = 63;

/// A quoted identifier.
///
/// # Errors
/// `Config` for a name that is empty, too long, or holds a NUL.
pub fn name(name: &str) -> Result<String> {
    if name.is_empty() || name.len() > NAME_BYTES || name.contains('\0') {
        return Err(Error::config(format!(
            "\"{}\" is not a Postgres name: it has {} bytes, allowed are 1 to {NAME_BYTES} without \
             NUL; Postgres would cut it. A column gets another name with transforms: \
             [{{ rename: {{ … }} }}]",
            name.escape_debug(),
            name.len()
        )));
    }
    Ok(format!("\"{}\"", name.replace('"', "\"\"")))
}

/// A quoted text; the same value whatever `standard_conforming_strings` says.
///
/// # Errors
/// `Config` for a NUL, which Postgres cannot store and which would end the statement.
pub fn text(text: &str) -> Result<String> {
    if text.contains('\0') {
        return Err(Error::config("a text with a NUL character has no Postgres form"));
    }
    let quoted = text.replace('\'', "''");
    Ok(if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    })
}

/// A table's schema and name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TableName {
    /// The schema; `public` if the text named none.
    pub schema: String,
    /// The table.
    pub table: String,
}

impl TableName {
    /// Reads `schema.table` or `table`, letter by letter as in the catalog. A part that holds a
    /// dot or begins with a quote is written in quotes, as in SQL: `"a.b"."say ""hi"""`.
    ///
    /// # Errors
    /// `Config` if a part is not a name or there are more than two.
    pub fn parse(text: &str) -> Result<Self> {
        let parts = split(text, '"', '"').map(|mut parts| (parts.pop(), parts.pop(), parts.len()));
        let Some((Some(table), schema, 0)) = parts else {
            return Err(Error::config(format!(
                "\"{text}\" is not a table: write schema.table, such as public.orders, with quotes \
                 around a part that holds a dot"
            )));
        };
        let schema = schema.unwrap_or_else(|| "public".to_owned());
        name(&schema)?;
        name(&table)?;
        Ok(Self { schema, table })
    }

    /// Both parts quoted.
    ///
    /// # Errors
    /// As [`name`].
    pub fn quoted(&self) -> Result<String> {
        Ok(format!("{}.{}", name(&self.schema)?, name(&self.table)?))
    }
}

impl From<TableName> for ObjectName {
    fn from(name: TableName) -> Self {
        Self { schema: Some(name.schema), table: name.table, ignores_case: false }
    }
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_are_quoted_and_what_cannot_be_is_refused() {
        assert_eq!(name("St\"atus").unwrap(), "\"St\"\"atus\"");
        assert_eq!(text("O'Brien").unwrap(), "'O''Brien'");
        assert_eq!(text("a\\'b").unwrap(), "E'a\\\\''b'");
        assert!(name("").is_err() && name(&"x".repeat(64)).is_err() && name("a\0").is_err());
        assert!(text("a\0b").is_err());
    }

    #[test]
    fn a_table_is_read_with_or_without_its_schema() {
        let table = |schema: &str, table: &str| TableName {
            schema: schema.to_owned(),
            table: table.to_owned(),
        };
        assert_eq!(TableName::parse("sales.orders").unwrap(), table("sales", "orders"));
        assert_eq!(TableName::parse("orders").unwrap(), table("public", "orders"));
        assert_eq!(TableName::parse("o\"r.Ders").unwrap(), table("o\"r", "Ders"));
        let quoted = TableName::parse("\"a.b\".\"say \"\"hi\"\"\"").unwrap();
        assert_eq!(quoted, table("a.b", "say \"hi\""));
        for wrong in ["a.b.c", "a.", ".a", "\"a", "\"a\"b", "\"\".a"] {
            assert!(TableName::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_table_is_quoted_shown_and_told_from_others() {
        let table = TableName::parse("sales.o\"rders").unwrap();
        assert_eq!(table.quoted().unwrap(), "\"sales\".\"o\"\"rders\"");
        assert_eq!(table.to_string(), "sales.o\"rders");
        let object = ObjectName::from(table);
        assert_eq!((object.schema.as_deref(), &*object.table), (Some("sales"), "o\"rders"));
        assert!(!object.ignores_case);
        assert!(name(&"x".repeat(63)).is_ok() && name(&"ü".repeat(32)).is_err());
    }
}
