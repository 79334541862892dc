//! Names and texts inside SQL.

use etl_core::catalog::ObjectName;
use etl_core::error::{Error, Result};

use crate::parts::split;

/// A name in double quotes.
///
/// # Errors
/// `Config` if the name is empty or holds a NUL, which would end the statement.
pub fn name(name: &str) -> Result<String> {
    if name.is_empty() || name.contains('\0') {
        return Err(Error::config(format!("{name:?} cannot be the name of a column or table")));
    }
    Ok(format!("\"{}\"", name.replace('"', "\"\"")))
}

/// The names of `names`, quoted, each behind `prefix`, with commas.
///
/// # Errors
/// As [`name`].
pub fn names(prefix: &str, names: &[String]) -> Result<String> {
    let quoted: Vec<_> =
        names.iter().map(|one| Ok(format!("{prefix}{}", name(one)?))).collect::<Result<_>>()?;
    Ok(quoted.join(", "))
}

/// A text as a literal. A NUL, which a literal cannot hold, is written as `char(0)`.
#[must_use]
pub fn text(text: &str) -> String {
    let parts: Vec<_> =
        text.split('\0').map(|part| format!("'{}'", part.replace('\'', "''"))).collect();
    if parts.len() == 1 { parts.concat() } else { format!("({})", parts.join("||char(0)||")) }
}

/// The table that a config names: `orders` or `main.orders`. SQLite has no other schemas. A name
/// that holds a dot or begins with a quote is written in quotes, as in SQL: `"a.b"`.
///
/// # Errors
/// `Config` if there is another schema in front, or the name is one of SQLite's own.
pub fn table(key: &str, object: &str) -> Result<String> {
    let parts = split(object, '"', '"').map(|mut parts| (parts.pop(), parts.pop(), parts.len()));
    let Some((Some(table), schema, 0)) = parts else {
        return Err(Error::config(format!(
            "{key}: \"{object}\" is not a table: write its name, with quotes around it if it holds \
             a dot"
        )));
    };
    if let Some(schema) = schema.filter(|schema| !schema.eq_ignore_ascii_case("main")) {
        return Err(Error::config(format!(
            "{key}: SQLite has no schema {schema}; write {table} instead of {object}"
        )));
    }
    if table.is_empty() || table.to_ascii_lowercase().starts_with("sqlite_") {
        return Err(Error::config(format!("{key}: \"{object}\" cannot be a table of SQLite")));
    }
    name(&table)?;
    Ok(table)
}

/// A table's name; SQLite ignores the case of names.
#[must_use]
pub fn object(table: String) -> ObjectName {
    ObjectName { schema: None, table, ignores_case: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_named_without_a_schema() {
        assert_eq!(table("object", "orders").unwrap(), "orders");
        assert_eq!(table("object", "MAIN.orders").unwrap(), "orders");
        assert_eq!(table("object", "main.\"a.b\"").unwrap(), "a.b");
        assert_eq!(table("object", "\"\"\"\"").unwrap(), "\"");
        assert!(table("object", "a.b.c").is_err() && table("object", "\"a").is_err());
        let error = table("object", "dbo.orders").unwrap_err();
        assert!(error.to_string().contains("write orders instead of dbo.orders"), "{error}");
        assert!(table("object", "sqlite_schema").is_err());
    }

    #[test]
    fn a_quote_in_a_name_or_text_is_doubled() {
        assert_eq!(name("a\"b").unwrap(), "\"a\"\"b\"");
        assert_eq!(text("it's"), "'it''s'");
        assert_eq!(text("a\0b"), "('a'||char(0)||'b')");
        assert!(name("").is_err() && name("a\0").is_err());
    }

    #[test]
    fn several_names_stand_behind_their_prefix() {
        let both = ["a\"b".to_owned(), "c".to_owned()];
        assert_eq!(names("t.", &both).unwrap(), "t.\"a\"\"b\", t.\"c\"");
        assert!(names("t.", &[String::new()]).is_err());
        assert_eq!(text("\0it's\0"), "(''||char(0)||'it''s'||char(0)||'')");
    }

    #[test]
    fn a_table_has_a_name_of_its_own_and_ignores_case() {
        for wrong in ["", "main.", "SQLite_master", "a\0"] {
            assert!(table("object", wrong).is_err(), "{wrong:?}");
        }
        let object = object("Orders".to_owned());
        assert_eq!((object.schema.as_deref(), &*object.table), (None, "Orders"));
        assert!(object.ignores_case);
    }
}
