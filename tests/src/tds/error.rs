//! One T-SQL error: number, class, state, text, and what it does to the batch.

use serde::{Deserialize, Serialize};

/// How far an error reaches when `XACT_ABORT` is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Reach {
    /// The statement is undone and the batch goes on.
    Statement,
    /// The batch ends; an open transaction stays open.
    Batch,
    /// The batch ends and the transaction is rolled back.
    Transaction,
    /// The connection is closed as well.
    Connection,
}

/// An error as a client receives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SqlError {
    pub(crate) number: i32,
    pub(crate) class: u8,
    pub(crate) state: u8,
    pub(crate) line: u32,
    pub(crate) procedure: String,
    pub(crate) message: String,
    pub(crate) reach: Reach,
    /// From RAISERROR, which XACT_ABORT does not concern.
    raised: bool,
}

/// The result of everything that can raise a T-SQL error.
pub(crate) type Result<T> = std::result::Result<T, SqlError>;

impl SqlError {
    pub(crate) fn new(number: i32, class: u8, message: impl Into<String>) -> Self {
        SqlError {
            number,
            class,
            state: 1,
            line: 0,
            procedure: String::new(),
            message: message.into(),
            reach: Reach::Statement,
            raised: false,
        }
    }

    pub(crate) fn state(mut self, state: u8) -> Self {
        self.state = state;
        self
    }

    pub(crate) fn reach(mut self, reach: Reach) -> Self {
        self.reach = reach;
        self
    }

    pub(crate) fn into_raised(mut self) -> Self {
        self.raised = true;
        self
    }

    pub(crate) fn raised(&self) -> bool {
        self.raised
    }

    /// An error that THROW sends on.
    pub(crate) fn rethrown(mut self) -> Self {
        self.raised = false;
        self
    }

    /// Whether TRY in the same text catches it: not what compiling the text finds.
    pub(crate) fn catchable(&self) -> bool {
        let compiling = self.reach == Reach::Batch && self.number < 50_000;
        (11..=19).contains(&self.class)
            && !compiling
            && !self.message.starts_with("double: not supported")
    }

    pub(crate) fn at_line(mut self, line: u32) -> Self {
        if self.line == 0 {
            self.line = line;
        }
        self
    }
}

/// What the double does not understand, named, never ignored.
pub(crate) fn unsupported(what: impl std::fmt::Display) -> SqlError {
    SqlError::new(50_001, 16, format!("double: not supported: {what}")).reach(Reach::Batch)
}

pub(crate) fn syntax(near: &str) -> SqlError {
    SqlError::new(102, 15, format!("Incorrect syntax near '{near}'.")).reach(Reach::Batch)
}

pub(crate) fn invalid_column(name: &str) -> SqlError {
    SqlError::new(207, 16, format!("Invalid column name '{name}'.")).reach(Reach::Batch)
}

pub(crate) fn invalid_object(name: &str) -> SqlError {
    SqlError::new(208, 16, format!("Invalid object name '{name}'.")).reach(Reach::Batch)
}

pub(crate) fn overflow(what: &str) -> SqlError {
    SqlError::new(8115, 16, format!("Arithmetic overflow error converting {what}.")).state(2)
}

pub(crate) fn conversion(message: impl Into<String>) -> SqlError {
    SqlError::new(245, 16, message).reach(Reach::Transaction)
}

pub(crate) fn date_conversion() -> SqlError {
    SqlError::new(
        241,
        16,
        "Conversion failed when converting date and/or time from character string.",
    )
    .reach(Reach::Transaction)
}
