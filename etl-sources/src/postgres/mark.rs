//! A cursor's value.

use std::fmt;

use etl_sql::postgres::copy::{cursor_micros, timestamp_micros, timestamp_text, xid8};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value of a cursor column. Marks of one stream are all of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// A point in time, in microseconds since 1970 UTC; `2024-02-29T10:00:00.123456Z` in JSON.
    Instant(i64),
    /// A transaction's number; `xid 1234` in JSON.
    Xid(u64),
}

impl Mark {
    /// Microseconds since 1970 of a point in time.
    #[must_use]
    pub const fn micros(self) -> Option<i64> {
        match self {
            Self::Instant(micros) => Some(micros),
            Self::Xid(_) => None,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("xid ") {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().map(Self::Xid)
            }
            Some(_) => None,
            None => timestamp_micros(text).map(Self::Instant),
        }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Xid(number) => write!(f, "xid {number}"),
            Self::Instant(micros) => match timestamp_text(*micros) {
                Some(text) => f.write_str(&text),
                None => write!(f, "{micros} microseconds since 1970"),
            },
        }
    }
}

impl Serialize for Mark {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.to_string();
        if Self::parse(&text) != Some(*self) {
            return Err(serde::ser::Error::custom("an instant outside the years 1 to 9999"));
        }
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Mark {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(
                "a cursor's value is written as 2024-02-29T10:00:00.123456Z or xid 1234",
            )
        })
    }
}

/// What a cursor's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Times, and what to add to one to get UTC, in microseconds.
    Time {
        /// Zero for `timestamptz`.
        to_utc: i64,
    },
    /// Numbers of transactions.
    Xid,
}

impl Kind {
    /// Whether a mark is one of this column.
    #[must_use]
    pub fn has(self, mark: Mark) -> bool {
        matches!(mark, Mark::Xid(_)) == (self == Self::Xid)
    }

    /// A value as it arrives; `None` for one that is no cursor, such as an infinite time.
    #[must_use]
    pub fn read(self, bytes: &[u8]) -> Option<Mark> {
        match self {
            Self::Time { to_utc } => cursor_micros(bytes).map(|at| Mark::Instant(at + to_utc)),
            Self::Xid => xid8(bytes).map(Mark::Xid),
        }
    }
}
