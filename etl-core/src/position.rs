//! Where a run goes on: JSON text that only its source interprets.

use std::fmt;

use serde::{Serialize, de::DeserializeOwned};

use crate::error::{Error, Result};

/// A point in a stream, as JSON text.
///
/// The engine and the sinks store it and hand it back; only the source that made it reads it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Position(String);

impl Position {
    /// A position from JSON text, as a sink stored it or as a person typed it.
    ///
    /// # Errors
    /// `Config` if the text is not JSON.
    pub fn from_text(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&text) {
            return Err(Error::config("a position must be JSON text").with_source(error));
        }
        Ok(Self(text))
    }

    /// A position that holds `value`.
    ///
    /// # Errors
    /// `Internal` if the value has no JSON form.
    pub fn encode<T: Serialize>(value: &T) -> Result<Self> {
        serde_json::to_string(value)
            .map(Self)
            .map_err(|error| Error::internal("writing a position as JSON").with_source(error))
    }

    /// The value that a source put in.
    ///
    /// # Errors
    /// `Config` if the text is of another source or a newer version.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.0).map_err(|error| {
            Error::config(format!(
                "the stored position {self} is not one of this source: run with --full-refresh, \
                 or set another with `state set`"
            ))
            .with_source(error)
        })
    }

    /// The JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Position({})", self.0)
    }
}
