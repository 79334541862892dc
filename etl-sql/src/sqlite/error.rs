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
        513 | 769 => return (Class::Transient, "the statement must be prepared again"),
        3082 => return (Class::Capacity, "memory is short"),
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
    use crate::refusal::refusal;

    /// Every result code of <https://sqlite.org/rescode.html> that tells of a failure.
    #[test]
    fn codes_have_the_class_that_says_what_to_do() {
        let ioerr = (0..=34).map(|kind| IOERR | (kind << 8)).filter(|code| *code != 3082);
        let ioerr: Vec<i32> = ioerr.collect();
        for (class, codes) in [
            (Class::Transient, &[4, 516, 5, 261, 517, 773, 6, 262, 518, 9, 15, 513, 769][..]),
            (Class::Transient, &ioerr),
            (Class::Capacity, &[7, 13, 3082]),
            (Class::Permission, &[3, 8, 264, 520, 776, 1032, 1288, 1544, 23, 279]),
            (Class::Config, &[11, 267, 523, 779, 14, 270, 526, 782, 1038, 1294, 1550, 26]),
            (Class::Schema, &[1, 257, 17]),
            (
                Class::Data,
                &[18, 19, 275, 531, 787, 1043, 1299, 1555, 1811, 2067, 2323, 2579, 2835, 3091, 20],
            ),
            (Class::Internal, &[2, 12, 16, 21, 22, 24, 25, 27, 28]),
        ] {
            for code in codes {
                assert_eq!(meaning(*code).0, class, "{code}");
            }
        }
    }

    #[test]
    fn an_error_names_an_object_and_never_a_value() {
        let error = classify(refusal("1", "no such table: orders"), "reading");
        assert_eq!((error.class(), error.code()), (Class::Schema, Some("1")));
        let told = "reading: a table or column is not as expected (no such table: orders)";
        assert_eq!(error.to_string(), told);
        let error = classify(refusal("2067", "UNIQUE constraint failed: a@example.com"), "writing");
        assert_eq!((error.class(), error.code()), (Class::Data, Some("2067")));
        assert_eq!(error.to_string(), "writing: a row with this unique value is there already");
    }

    #[test]
    fn a_row_that_is_refused_has_its_reason_told() {
        for (code, reason) in [
            ("1299", "a column that cannot be NULL would be NULL"),
            ("787", "a foreign key points to no row"),
            ("275", "a check constraint of the table refuses a value"),
        ] {
            assert_eq!(
                classify(refusal(code, ""), "writing").to_string(),
                format!("writing: {reason}")
            );
        }
    }

    #[test]
    fn a_file_or_a_thread_that_is_gone_may_come_back() {
        let io = sqlx::Error::Io(std::io::ErrorKind::UnexpectedEof.into());
        assert_eq!(classify(io, "x").class(), Class::Transient);
        assert_eq!(classify(sqlx::Error::WorkerCrashed, "x").class(), Class::Transient);
        assert_eq!(classify(sqlx::Error::RowNotFound, "x").class(), Class::Internal);
    }

    #[test]
    fn a_commit_that_may_have_been_made_is_unknown() {
        for (code, class) in [
            ("10", Class::Unknown),
            ("1034", Class::Unknown),
            ("13", Class::Unknown),
            ("11", Class::Unknown),
            ("2", Class::Unknown),
            ("5", Class::Transient),
            ("787", Class::Data),
        ] {
            let error = classify_commit(refusal(code, ""), "committing");
            assert_eq!((error.class(), error.code()), (class, Some(code)));
            let open = error.to_string().ends_with("whether it is durable is not known");
            assert_eq!(open, class == Class::Unknown, "{error}");
        }
        let lost = classify_commit(sqlx::Error::WorkerCrashed, "committing");
        assert_eq!((lost.class(), lost.code()), (Class::Unknown, None));
    }
}
