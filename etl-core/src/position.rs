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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Class;

    #[test]
    fn a_position_is_json_and_stays_as_it_was_written() {
        let typed = Position::from_text("{ \"low\": 7 }").unwrap();
        assert_eq!(typed.as_str(), "{ \"low\": 7 }");
        assert_eq!(typed.to_string(), typed.as_str());
        assert_eq!(format!("{typed:?}"), "Position({ \"low\": 7 })");
        assert_eq!(Position::encode(&(1, "a")).unwrap().as_str(), "[1,\"a\"]");
        for wrong in ["", "{", "7 8", "'7'"] {
            assert_eq!(Position::from_text(wrong).unwrap_err().class(), Class::Config, "{wrong}");
        }
    }

    #[test]
    fn a_position_of_another_source_is_refused_by_its_text() {
        let position = Position::encode(&"xid 7").unwrap();
        assert_eq!(position.decode::<String>().unwrap(), "xid 7");
        let error = position.decode::<u64>().unwrap_err();
        assert_eq!(error.class(), Class::Config);
        assert!(error.to_string().contains("\"xid 7\" is not one of this source"), "{error}");
    }
}
