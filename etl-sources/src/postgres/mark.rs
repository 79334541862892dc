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

#[cfg(test)]
mod tests {
    use super::*;

    /// 2000-01-01, from where Postgres counts.
    const EPOCH: i64 = 946_684_800_000_000;

    #[test]
    fn a_mark_is_shown_as_it_is_written() {
        let at = Mark::Instant(1_700_000_000_123_456);
        assert_eq!(at.to_string(), "2023-11-14T22:13:20.123456Z");
        assert_eq!(at.micros(), Some(1_700_000_000_123_456));
        assert_eq!((Mark::Xid(7).to_string(), Mark::Xid(7).micros()), ("xid 7".to_owned(), None));
        assert_eq!(
            Mark::Instant(i64::MAX).to_string(),
            format!("{} microseconds since 1970", i64::MAX)
        );
        let text = serde_json::to_string(&at).unwrap();
        assert_eq!(text, "\"2023-11-14T22:13:20.123456Z\"");
        assert_eq!(serde_json::from_str::<Mark>(&text).unwrap(), at);
        assert!(serde_json::to_string(&Mark::Instant(i64::MAX)).is_err(), "it cannot be read back");
    }

    #[test]
    fn a_value_is_read_as_the_columns_kind() {
        let plus_two = Kind::Time { to_utc: -7_200_000_000 };
        assert_eq!(
            plus_two.read(&5_i64.to_be_bytes()),
            Some(Mark::Instant(EPOCH + 5 - 7_200_000_000))
        );
        assert_eq!(plus_two.read(&i64::MAX.to_be_bytes()), None, "infinity is no cursor");
        assert_eq!(Kind::Xid.read(&5_u64.to_be_bytes()), Some(Mark::Xid(5)));
        assert_eq!(Kind::Xid.read(&[5]), None);
        let marks = [Mark::Instant(5), Mark::Xid(5)];
        assert_eq!(marks.map(|mark| plus_two.has(mark)), [true, false]);
        assert_eq!(marks.map(|mark| Kind::Xid.has(mark)), [false, true]);
    }
}
