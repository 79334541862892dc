//! One value of each type, and where it stops having a form.

use chrono::{DateTime, NaiveDate, SecondsFormat};

/// From 1970 to 2000.
pub(crate) const EPOCH_DAYS: i32 = 10_957;
pub(crate) const EPOCH_MICROS: i64 = 946_684_800_000_000;
/// 0001-01-01 and 9999-12-31, in days since 1970.
const FIRST_DAY: i32 = -719_162;
const LAST_DAY: i32 = 2_932_896;
pub(crate) const DAY_MICROS: i64 = 86_400_000_000;

/// Why a value has no form in the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Special {
    NotANumber,
    Infinite,
    /// Below everything.
    MinusInfinite,
    /// Before 0001-01-01.
    TooEarly,
    /// After 9999-12-31.
    TooLate,
    /// 24:00.
    EndOfDay,
}

impl Special {
    /// What a person is told.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::NotANumber => "NaN",
            Self::Infinite => "infinity",
            Self::MinusInfinite => "-infinity",
            Self::TooEarly => "a date before 0001-01-01",
            Self::TooLate => "a date after 9999-12-31",
            Self::EndOfDay => "the time 24:00",
        }
    }
}

pub(super) fn int<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

impl Special {
    /// Whether the nearest value is the greatest, not the least; `None` if there is none.
    const fn is_above(self) -> Option<bool> {
        match self {
            Self::NotANumber => None,
            Self::Infinite | Self::TooLate | Self::EndOfDay => Some(true),
            Self::MinusInfinite | Self::TooEarly => Some(false),
        }
    }

    pub(super) fn nearest_day(self) -> Option<i32> {
        self.is_above().map(|above| if above { LAST_DAY } else { FIRST_DAY })
    }

    /// Microseconds since 1970, of a column with so many fractional digits.
    pub(super) fn nearest_instant(self, digits: u32) -> Option<i64> {
        let end = (i64::from(LAST_DAY) + 1) * DAY_MICROS;
        let first = i64::from(FIRST_DAY) * DAY_MICROS;
        self.is_above().map(|above| if above { end - step(digits) } else { first })
    }

    /// Microseconds since midnight, of a column with so many fractional digits.
    pub(super) fn nearest_time(self, digits: u32) -> Option<i64> {
        self.is_above().map(|above| if above { DAY_MICROS - step(digits) } else { 0 })
    }

    /// The greatest or the least of a type of numbers.
    pub(super) fn nearest_number<T>(self, least: T, greatest: T) -> Option<T> {
        self.is_above().map(|above| if above { greatest } else { least })
    }
}

fn step(digits: u32) -> i64 {
    10_i64.pow(6_u32.saturating_sub(digits))
}

/// Days since 1970 from days since 2000.
pub(super) fn date(days: i32) -> Result<i32, Special> {
    match days {
        i32::MAX => return Err(Special::Infinite),
        i32::MIN => return Err(Special::MinusInfinite),
        _ => {}
    }
    match days.saturating_add(EPOCH_DAYS) {
        days if days < FIRST_DAY => Err(Special::TooEarly),
        days if days > LAST_DAY => Err(Special::TooLate),
        days => Ok(days),
    }
}

/// Microseconds since 1970 from microseconds since 2000.
pub(super) fn timestamp(micros: i64) -> Result<i64, Special> {
    match micros {
        i64::MAX => return Err(Special::Infinite),
        i64::MIN => return Err(Special::MinusInfinite),
        _ => {}
    }
    let first = i64::from(FIRST_DAY) * DAY_MICROS;
    let end = (i64::from(LAST_DAY) + 1) * DAY_MICROS;
    match micros.saturating_add(EPOCH_MICROS) {
        micros if micros < first => Err(Special::TooEarly),
        micros if micros >= end => Err(Special::TooLate),
        micros => Ok(micros),
    }
}

/// Microseconds since midnight, which are never negative.
pub(super) fn time(micros: i64) -> Result<i64, Special> {
    if micros >= DAY_MICROS { Err(Special::EndOfDay) } else { Ok(micros) }
}

/// `2024-02-29T10:00:00.123456Z`; `None` outside the years 1 to 9999.
#[must_use]
pub fn timestamp_text(micros: i64) -> Option<String> {
    let first = i64::from(FIRST_DAY) * DAY_MICROS;
    let end = (i64::from(LAST_DAY) + 1) * DAY_MICROS;
    (first..end)
        .contains(&micros)
        .then(|| DateTime::from_timestamp_micros(micros))
        .flatten()
        .map(|instant| instant.to_rfc3339_opts(SecondsFormat::Micros, true))
}

/// Microseconds since 1970 UTC of a text such as `2024-02-29T10:00:00.123456Z`.
#[must_use]
pub fn timestamp_micros(text: &str) -> Option<i64> {
    let instant = DateTime::parse_from_rfc3339(text).ok()?;
    // Chrono reads the year 0 as well.
    let micros = instant.timestamp_micros();
    let exact = instant.timestamp_subsec_nanos() % 1_000 == 0;
    (exact && timestamp_text(micros).is_some()).then_some(micros)
}

/// A cursor's value as it arrives, in microseconds since 1970; `None` if it is infinite or outside
/// the years 1 to 9999.
#[must_use]
pub fn cursor_micros(bytes: &[u8]) -> Option<i64> {
    timestamp(i64::from_be_bytes(int(bytes)?)).ok()
}

/// A transaction's number as it arrives.
#[must_use]
pub fn xid8(bytes: &[u8]) -> Option<u64> {
    int(bytes).map(u64::from_be_bytes)
}

/// `2024-02-29`.
pub(super) fn date_text(days: i32) -> Option<String> {
    NaiveDate::from_epoch_days(days).map(|date| date.format("%Y-%m-%d").to_string())
}

/// `10:00:00.123456`.
pub(super) fn time_text(micros: i64) -> String {
    let seconds = micros / 1_000_000;
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{:06}", seconds % 60, micros % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_instant_have_a_form_and_their_neighbours_do_not() {
        let first = i64::from(FIRST_DAY) * DAY_MICROS - EPOCH_MICROS;
        let end = (i64::from(LAST_DAY) + 1) * DAY_MICROS - EPOCH_MICROS;
        let text = |micros| timestamp_text(timestamp(micros).unwrap()).unwrap();
        assert_eq!(text(first), "0001-01-01T00:00:00.000000Z");
        assert_eq!(text(end - 1), "9999-12-31T23:59:59.999999Z");
        assert_eq!(timestamp(first - 1), Err(Special::TooEarly));
        assert_eq!(timestamp(end), Err(Special::TooLate));
        assert_eq!(timestamp(i64::MAX), Err(Special::Infinite));
        assert_eq!(date_text(date(FIRST_DAY - EPOCH_DAYS).unwrap()).unwrap(), "0001-01-01");
        assert_eq!(date_text(date(LAST_DAY - EPOCH_DAYS).unwrap()).unwrap(), "9999-12-31");
        assert_eq!(date(i32::MIN), Err(Special::MinusInfinite));
        assert_eq!(Special::TooLate.nearest_instant(3), Some((end + EPOCH_MICROS) - 1_000));
        assert_eq!(Special::MinusInfinite.nearest_day(), Some(FIRST_DAY));
        assert_eq!(Special::EndOfDay.nearest_time(2), Some(DAY_MICROS - 10_000));
        assert_eq!(Special::NotANumber.nearest_number(-1, 1), None);
        assert_eq!(time(DAY_MICROS), Err(Special::EndOfDay));
        assert_eq!(time_text(DAY_MICROS - 1), "23:59:59.999999");
    }

    #[test]
    fn an_instant_survives_its_text() {
        for micros in [0, -1, 1_700_000_000_123_456, -62_135_596_800_000_000] {
            assert_eq!(timestamp_micros(&timestamp_text(micros).unwrap()), Some(micros));
        }
        assert_eq!(timestamp_micros("2024-01-01T02:00:00+02:00"), Some(1_704_067_200_000_000));
        assert_eq!(timestamp_micros("2024-01-01T02:00:00.0000001Z"), None);
        assert_eq!(timestamp_micros("yesterday"), None);
        assert_eq!(timestamp_micros("0000-12-31T23:59:59.000000Z"), None);
        assert_eq!(timestamp_text(i64::MAX), None);
    }
}
