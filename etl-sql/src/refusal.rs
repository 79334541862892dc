//! A server's refusal, for the tests of what it means.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use sqlx::error::{DatabaseError, ErrorKind};

#[derive(Debug)]
struct Refusal {
    code: String,
    message: String,
    constraint: Option<String>,
}

/// A refusal with this code.
pub(crate) fn refusal(code: &str, message: &str) -> sqlx::Error {
    let (code, message) = (code.to_owned(), message.to_owned());
    sqlx::Error::Database(Box::new(Refusal { code, message, constraint: None }))
}

/// The same, about a constraint.
#[cfg(feature = "postgres")]
pub(crate) fn refusal_of(code: &str, message: &str, constraint: &str) -> sqlx::Error {
    let (code, message) = (code.to_owned(), message.to_owned());
    let constraint = Some(constraint.to_owned());
    sqlx::Error::Database(Box::new(Refusal { code, message, constraint }))
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Refusal {}

impl DatabaseError for Refusal {
    fn message(&self) -> &str {
        &self.message
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.code))
    }

    fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
        self
    }

    fn constraint(&self) -> Option<&str> {
        self.constraint.as_deref()
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}
