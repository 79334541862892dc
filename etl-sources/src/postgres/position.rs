//! Where a sweep stands.

use std::fmt;

use etl_core::error::{Error, Result};
use etl_core::position::Position;
use etl_sql::postgres::copy::{timestamp_micros, timestamp_text};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time, in microseconds since 1970 UTC; `2024-02-29T10:00:00.123456Z` in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub i64);

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match timestamp_text(self.0) {
            Some(text) => f.write_str(&text),
            None => write!(f, "{} microseconds since 1970", self.0),
        }
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = timestamp_text(self.0)
            .ok_or_else(|| serde::ser::Error::custom("an instant outside the years 1 to 9999"))?;
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        timestamp_micros(&text).map(Self).ok_or_else(|| {
            serde::de::Error::custom("an instant is written as 2024-02-29T10:00:00.123456Z")
        })
    }
}

/// The version of [`Place`]'s JSON.
const VERSION: u8 = 1;

/// The position of this source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The version of this form.
    pub v: u8,
    /// The server's system identifier, for people.
    pub system: String,
    /// The server's timeline, for people.
    pub timeline: String,
    /// The next sweep reads what is not below this. Never goes back.
    pub low: Option<Instant>,
    /// The horizon of the sweep that is going on, or of the last one. `None` if none was known.
    pub h: Option<Instant>,
    /// The greatest cursor that a completed sweep has read; only counts what is read again.
    pub high: Option<Instant>,
    /// The last row that the sweep going on has read, cursor and key; `None` between sweeps.
    pub scan: Option<(Instant, Vec<String>)>,
    /// How many rows above `h` the sweep going on has delivered.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub above: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Place {
    /// Before the first sweep.
    #[must_use]
    pub fn start() -> Self {
        Self {
            v: VERSION,
            system: String::new(),
            timeline: String::new(),
            low: None,
            h: None,
            high: None,
            scan: None,
            above: 0,
        }
    }

    /// The place that a position holds.
    ///
    /// # Errors
    /// `Config` if it is of another source, of a newer version, or of another key.
    pub fn decode(position: Option<&Position>, key_columns: usize) -> Result<Self> {
        let Some(position) = position else {
            return Ok(Self::start());
        };
        let place: Self = position.decode()?;
        let fits = place.scan.as_ref().is_none_or(|(_, key)| key.len() == key_columns);
        if place.v != VERSION || !fits {
            return Err(Error::config(format!(
                "the stored position {position} is of another version or another key: run with \
                 --full-refresh, or set another with `state set`"
            )));
        }
        Ok(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_back_as_it_was_written() {
        let place = Place {
            low: Some(Instant(1_700_000_000_123_456)),
            h: Some(Instant(1_700_000_100_000_000)),
            scan: Some((Instant(1_700_000_000_000_001), vec!["O'Brien \\ \"x\"".to_owned()])),
            above: 3,
            ..Place::start()
        };
        let position = Position::encode(&place).unwrap();
        assert!(position.as_str().contains("2023-11-14T22:13:20.123456Z"), "{position}");
        assert_eq!(Place::decode(Some(&position), 1).unwrap(), place);
        assert!(Place::decode(Some(&position), 2).is_err(), "another key");
        let newer = Position::from_text(position.as_str().replace("\"v\":1", "\"v\":2")).unwrap();
        assert!(Place::decode(Some(&newer), 1).is_err());
        assert_eq!(Place::decode(None, 1).unwrap(), Place::start());
    }
}
