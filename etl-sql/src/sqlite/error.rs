//! SQLite's result codes as classes.

use etl_core::error::{Class, Error};
use sqlx::error::DatabaseError;

/// What a failure of SQLite means, with its extended result code and what was being done.
///
/// SQLite's own message is kept only where it names an object (`no such table: …`); elsewhere it
/// may quote values.
#[must_use]
pub fn classify(cause: sqlx::Error, doing: impl Into<String>) -> Error {
    let doing = doing.into();
    match &cause {
        sqlx::Error::Database(database) => from_database(database.as_ref(), &doing),
        sqlx::Error::Io(_) => {
            Error::transient(format!("{doing}: the file could not be read or written"))
                .with_source(cause)
        }
        sqlx::Error::WorkerCrashed => {
            Error::transient(format!("{doing}: the connection's thread is gone"))
        }
        _ => Error::internal(doing).with_source(cause),
    }
}

/// The same for a COMMIT: what left the outcome open is `Unknown`.
#[must_use]
pub fn classify_commit(cause: sqlx::Error, doing: impl Into<String>) -> Error {
    let open = match &cause {
        sqlx::Error::Database(database) => {
            matches!(primary(code(database.as_ref())), IOERR | FULL | CORRUPT | INTERNAL)
        }
        _ => true,
    };
    let error = classify(cause, doing);
    if !open {
        return error;
    }
    let unknown = Error::unknown(format!("{error}; whether it is durable is not known"));
    match error.code() {
        Some(code) => unknown.with_code(code),
        None => unknown,
    }
}

const INTERNAL: i32 = 2;
const IOERR: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;

/// The low byte of an extended code.
fn primary(code: i32) -> i32 {
    code & 0xff
}

fn code(error: &dyn DatabaseError) -> i32 {
    error.code().and_then(|code| code.parse().ok()).unwrap_or(1)
}

fn from_database(database: &dyn DatabaseError, doing: &str) -> Error {
    let code = code(database);
    let (class, what) = meaning(code);
    let mut text = format!("{doing}: {what}");
    if let Some(object) = object_named(database.message()) {
        text = format!("{text} ({object})");
    }
    Error::new(class, text).with_code(code.to_string())
}

/// The class of an extended result code (<https://sqlite.org/rescode.html>), and its meaning.
fn meaning(code: i32) -> (Class, &'static str) {
    match code {
        1299 => return (Class::Data, "a column that cannot be NULL would be NULL"),
        1555 | 2067 | 2579 => {
            return (Class::Data, "a row with this unique value is there already");
        }
        787 => return (Class::Data, "a foreign key points to no row"),
        275 => return (Class::Data, "a check constraint of the table refuses a value"),
        _ => {}
    }
    match primary(code) {
        1 => (Class::Schema, "a table or column is not as expected"),
        3 | 8 | 23 => (
            Class::Permission,
            "the file cannot be written; grant write access to it and its folder",
        ),
        5 | 6 => (Class::Transient, "another connection holds the file's lock"),
        7 => (Class::Capacity, "memory is short"),
        4 | 9 => (Class::Transient, "the statement was interrupted"),
        IOERR => (Class::Transient, "the file could not be read or written"),
        CORRUPT => (Class::Config, "the file is damaged; restore it from a backup"),
        FULL => (Class::Capacity, "the disk is full"),
        14 => (Class::Config, "the file cannot be opened; check path, folder and rights"),
        15 => (Class::Transient, "the file's lock protocol failed"),
        17 => (Class::Schema, "the table changed meanwhile"),
        18 => (Class::Data, "a value or row is larger than SQLite allows"),
        19 => (Class::Data, "a constraint of the table refuses a value"),
        20 => (Class::Data, "a value does not fit its column's type"),
        26 => (Class::Config, "the file is not an SQLite database"),
        _ => (Class::Internal, "SQLite reports an error"),
    }
}

/// A message that names nothing but an object.
fn object_named(message: &str) -> Option<&str> {
    ["no such table: ", "no such column: ", "no such index: "]
        .iter()
        .any(|start| message.starts_with(start))
        .then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_class_that_says_what_to_do() {
        for (code, class) in [
            (5, Class::Transient),
            (517, Class::Transient),
            (261, Class::Transient),
            (6, Class::Transient),
            (8, Class::Permission),
            (1032, Class::Permission),
            (13, Class::Capacity),
            (778, Class::Transient),
            (1555, Class::Data),
            (2067, Class::Data),
            (1299, Class::Data),
            (3091, Class::Data),
            (14, Class::Config),
            (26, Class::Config),
            (1, Class::Schema),
            (21, Class::Internal),
        ] {
            assert_eq!(meaning(code).0, class, "{code}");
        }
    }
}
