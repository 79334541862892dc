//! A cursor's value, and the literal that compares with its column.

use std::fmt;

use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike};
use etl_core::error::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// 100 ns are the finest step of any time in SQL Server.
pub const TICKS_PER_SECOND: i64 = 10_000_000;
pub(super) const TICKS_PER_DAY: i64 = 86_400 * TICKS_PER_SECOND;
/// From 0001-01-01 to 1970-01-01.
const EPOCH_DAYS: i64 = 719_162;
/// From 0001-01-01 to 1900-01-01, where `datetime` begins to count.
const DAYS_TO_1900: i64 = 693_595;
/// From 0001-01-01 to 10000-01-01.
pub(super) const LAST_TICK: i64 = 3_652_059 * TICKS_PER_DAY - 1;

/// A value of a cursor column. Marks of one stream are all of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// A rowversion; `0x00000000000007D1` in JSON.
    Version(u64),
    /// A time, in steps of 100 ns since 0001-01-01 UTC; `2024-02-29T10:00:00.1234567Z` in JSON.
    Instant(i64),
}

impl Mark {
    /// Microseconds since 1970 of a time.
    #[must_use]
    pub fn unix_micros(self) -> Option<i64> {
        match self {
            Self::Instant(ticks) => Some(ticks.div_euclid(10) - EPOCH_DAYS * TICKS_PER_DAY / 10),
            Self::Version(_) => None,
        }
    }

    /// The time of so many microseconds since 1970.
    #[must_use]
    pub fn from_unix_micros(micros: i64) -> Self {
        Self::Instant(micros.saturating_mul(10).saturating_add(EPOCH_DAYS * TICKS_PER_DAY))
    }

    fn parse(text: &str) -> Option<Self> {
        if let Some(digits) = text.strip_prefix("0x") {
            let version = u64::from_str_radix(digits, 16).ok()?;
            return (digits.len() == 16).then_some(Self::Version(version));
        }
        let at = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.fZ").ok()?;
        let days = i64::from(at.num_days_from_ce()) - 1;
        let seconds = i64::from(at.num_seconds_from_midnight());
        let nanos = i64::from(at.nanosecond());
        let ticks = days * TICKS_PER_DAY + seconds * TICKS_PER_SECOND + nanos / 100;
        let exact = nanos % 100 == 0 && (0..=LAST_TICK).contains(&ticks);
        exact.then_some(Self::Instant(ticks))
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "0x{version:016X}"),
            Self::Instant(ticks) => match instant_text(*ticks, 7) {
                Some(text) => write!(f, "{text}Z"),
                None => write!(f, "{ticks} steps of 100 ns since 0001-01-01"),
            },
        }
    }
}

impl Serialize for Mark {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mark {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(
                "a cursor's value is written as 0x00000000000007D1 or 2024-02-29T10:00:00.1234567Z",
            )
        })
    }
}

/// The kind of a cursor column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// `rowversion`, also called `timestamp`.
    Version,
    /// `datetime2(f)`, and what to add to it to get UTC, in 100 ns.
    DateTime2(u8, i64),
    /// `datetime`, and what to add to it to get UTC, in 100 ns.
    DateTime(i64),
    /// `datetimeoffset(f)`.
    DateTimeOffset(u8),
}

impl Cursor {
    /// The finest step between two values, in 100 ns; 1 for a rowversion.
    #[must_use]
    pub fn resolution_ticks(self) -> i64 {
        match self {
            Self::Version => 1,
            Self::DateTime2(digits, _) | Self::DateTimeOffset(digits) => {
                10_i64.pow(7_u32.saturating_sub(u32::from(digits)))
            }
            // A three-hundredth of a second, rounded up.
            Self::DateTime(_) => 33_334,
        }
    }

    /// Whether a mark is one of this column.
    #[must_use]
    pub fn is_kind_of(self, mark: Mark) -> bool {
        matches!(mark, Mark::Version(_)) == (self == Self::Version)
    }

    /// A mark as a literal of the column's type.
    ///
    /// # Errors
    /// `Config` for a mark of another kind, or outside the years 1 to 9999.
    pub fn literal(self, mark: Mark) -> Result<String> {
        let other = || Error::config(format!("the position's {mark} is none of the cursor's"));
        Ok(match (self, mark) {
            (Self::Version, Mark::Version(_)) => format!("CONVERT(binary(8), {mark})"),
            (Self::DateTime2(digits, to_utc), Mark::Instant(ticks)) => {
                let text = instant_text(ticks.saturating_sub(to_utc), digits).ok_or_else(other)?;
                format!("CONVERT(datetime2({digits}), '{text}', 126)")
            }
            (Self::DateTimeOffset(digits), Mark::Instant(ticks)) => {
                let text = instant_text(ticks, digits).ok_or_else(other)?;
                format!("CONVERT(datetimeoffset({digits}), '{text}+00:00', 126)")
            }
            (Self::DateTime(to_utc), Mark::Instant(ticks)) => {
                let text = datetime_text(ticks.saturating_sub(to_utc)).ok_or_else(other)?;
                format!("CONVERT(datetime, CONVERT(datetime2(3), '{text}', 126))")
            }
            _ => return Err(other()),
        })
    }
}

/// The time of so many days since 0001-01-01 and 100 ns since midnight; what a server of these types
/// never says may be far beyond [`LAST_TICK`].
#[must_use]
pub(super) fn ticks_of(days: i64, since_midnight: i64) -> i64 {
    days.saturating_mul(TICKS_PER_DAY).saturating_add(since_midnight)
}

/// The time of a `datetime`: days since 1900 and three-hundredths of a second.
#[must_use]
pub(super) fn ticks_of_datetime(days: i32, fragments: u32) -> i64 {
    ticks_of(i64::from(days) + DAYS_TO_1900, i64::from(fragments) * 100_000 / 3)
}

/// `2024-02-29T10:00:00.1234567`, cut to so many digits; `None` outside the years 1 to 9999.
#[must_use]
pub(super) fn instant_text(ticks: i64, digits: u8) -> Option<String> {
    (0..=LAST_TICK).contains(&ticks).then_some(())?;
    let day = date_text(i32::try_from(ticks / TICKS_PER_DAY).ok()?)?;
    Some(format!("{day}T{}", time_text(ticks % TICKS_PER_DAY, digits)))
}

/// A `datetime` of that time, by its milliseconds: the server reads back the same value.
#[must_use]
pub(super) fn datetime_text(ticks: i64) -> Option<String> {
    let since_midnight = ticks.rem_euclid(TICKS_PER_DAY);
    // The nearest three-hundredth, then the nearest millisecond: .000, .003, .007.
    let fragments = (since_midnight * 3 + 50_000) / 100_000;
    let millis = (fragments * 10 + 1) / 3;
    let first = ticks.div_euclid(TICKS_PER_DAY) * TICKS_PER_DAY;
    instant_text(first + millis * 10_000, 3)
}

/// `2024-02-29`, of days since 0001-01-01.
#[must_use]
pub(super) fn date_text(days: i32) -> Option<String> {
    let day = NaiveDate::from_num_days_from_ce_opt(days.checked_add(1)?)?;
    (1..=9999).contains(&day.year()).then(|| day.format("%Y-%m-%d").to_string())
}

/// `10:00:00.1234567`, cut to so many digits.
#[must_use]
pub(super) fn time_text(ticks: i64, digits: u8) -> String {
    let (seconds, fraction) = (ticks / TICKS_PER_SECOND, ticks % TICKS_PER_SECOND);
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    let whole = format!("{hours:02}:{minutes:02}:{:02}", seconds % 60);
    let fraction = format!("{fraction:07}");
    match fraction.get(..usize::from(digits.min(7))) {
        Some(kept) if !kept.is_empty() => format!("{whole}.{kept}"),
        _ => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_back_as_it_was_written() {
        for mark in [
            Mark::Version(0),
            Mark::Version(2_001),
            Mark::Version(u64::MAX),
            Mark::Instant(0),
            Mark::Instant(LAST_TICK),
            Mark::from_unix_micros(1_700_000_000_123_456),
        ] {
            assert_eq!(Mark::parse(&mark.to_string()), Some(mark), "{mark}");
        }
        let mark = Mark::from_unix_micros(1_700_000_000_123_456);
        assert_eq!(mark.to_string(), "2023-11-14T22:13:20.1234560Z");
        assert_eq!(mark.unix_micros(), Some(1_700_000_000_123_456));
        for wrong in
            ["", "0x1", "0x00000000000007D1Z", "2023-11-14", "2023-11-14T22:13:20.12345678Z"]
        {
            assert_eq!(Mark::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_literal_is_of_the_columns_type() {
        let at = Mark::from_unix_micros(1_700_000_000_123_456);
        for (cursor, literal) in [
            (Cursor::DateTime2(7, 0), "CONVERT(datetime2(7), '2023-11-14T22:13:20.1234560', 126)"),
            (Cursor::DateTime2(0, 0), "CONVERT(datetime2(0), '2023-11-14T22:13:20', 126)"),
            (
                Cursor::DateTime2(3, -2 * 3_600 * TICKS_PER_SECOND),
                "CONVERT(datetime2(3), '2023-11-15T00:13:20.123', 126)",
            ),
            (
                Cursor::DateTimeOffset(6),
                "CONVERT(datetimeoffset(6), '2023-11-14T22:13:20.123456+00:00', 126)",
            ),
            (
                Cursor::DateTime(0),
                "CONVERT(datetime, CONVERT(datetime2(3), '2023-11-14T22:13:20.123', 126))",
            ),
        ] {
            assert_eq!(cursor.literal(at).unwrap(), literal, "{cursor:?}");
        }
        let version = Cursor::Version.literal(Mark::Version(2_001)).unwrap();
        assert_eq!(version, "CONVERT(binary(8), 0x00000000000007D1)");
        assert!(Cursor::Version.literal(at).is_err());
        assert!(Cursor::DateTime(0).literal(Mark::Version(1)).is_err());
    }

    #[test]
    fn a_datetime_keeps_its_three_hundredth() {
        // SQL Server shows the three steps of ten milliseconds as .000, .003 and .007.
        for (fragments, millis) in [(0, "000"), (1, "003"), (2, "007"), (3, "010"), (299, "997")] {
            let text = datetime_text(ticks_of_datetime(0, fragments)).unwrap();
            assert_eq!(text, format!("1900-01-01T00:00:00.{millis}"), "{fragments}");
        }
        let last = ticks_of_datetime(2_958_463, 25_919_999);
        assert_eq!(datetime_text(last).unwrap(), "9999-12-31T23:59:59.997");
    }

    #[test]
    fn a_cursor_has_its_kind_of_mark_and_its_finest_step() {
        for (cursor, step, is_version) in [
            (Cursor::Version, 1, true),
            (Cursor::DateTime2(7, 0), 1, false),
            (Cursor::DateTime2(3, 0), 10_000, false),
            (Cursor::DateTimeOffset(0), TICKS_PER_SECOND, false),
            // 3.33… ms; less would count two values as one.
            (Cursor::DateTime(0), 33_334, false),
        ] {
            assert_eq!(cursor.resolution_ticks(), step, "{cursor:?}");
            assert_eq!(cursor.is_kind_of(Mark::Version(7)), is_version, "{cursor:?}");
            assert_eq!(cursor.is_kind_of(Mark::Instant(7)), !is_version, "{cursor:?}");
        }
        assert_eq!(Mark::Version(7).unix_micros(), None);
    }
}
