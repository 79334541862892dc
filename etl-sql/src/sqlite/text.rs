//! Numbers and times as the texts that SQLite files keep.
//!
//! | value | text |
//! |---|---|
//! | date | `2026-01-02` |
//! | time | `03:04:05.123456` |
//! | timestamp | `2026-01-02T03:04:05.123456` |
//! | timestamp with zone | `2026-01-02T03:04:05.123456Z` |
//! | decimal(p, 2) | `-12.50` |
//!
//! Read are also `2026-01-02 03:04:05` (what `CURRENT_TIMESTAMP` gives) and every [`Form`].

use std::fmt::Write as _;

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

const DAY_MICROS: i64 = 86_400_000_000;

/// `YYYY-MM-DD` of a number of days since 1970; `None` outside of the years 1 to 9999.
#[must_use]
pub fn date(days: i32) -> Option<String> {
    let mut text = String::with_capacity(10);
    write_date(&mut text, days)?;
    Some(text)
}

fn write_date(text: &mut String, days: i32) -> Option<()> {
    let date = NaiveDate::from_epoch_days(days)?;
    let year = date.year();
    if !(1..=9999).contains(&year) {
        return None;
    }
    write!(text, "{year:04}-{:02}-{:02}", date.month(), date.day()).ok()
}

/// `HH:MM:SS.ffffff` of microseconds since midnight; `None` outside of one day.
#[must_use]
pub fn time(micros: i64) -> Option<String> {
    if !(0..DAY_MICROS).contains(&micros) {
        return None;
    }
    let mut text = String::with_capacity(15);
    write_time(&mut text, micros, 6)?;
    Some(text)
}

fn write_time(text: &mut String, micros: i64, digits: u32) -> Option<()> {
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    write!(text, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60).ok()?;
    if digits > 0 {
        let width = usize::try_from(digits).ok()?;
        write!(text, ".{:0width$}", fraction / 10_i64.pow(6 - digits)).ok()?;
    }
    Some(())
}

/// The canonical text of microseconds since 1970, with `Z` if they are UTC.
#[must_use]
pub fn timestamp(micros: i64, utc: bool) -> Option<String> {
    Form { separator: b'T', digits: 6, zulu: utc }.write(micros)
}

/// How a column writes its timestamps: `2026-01-02` `T` or blank `03:04:05`, up to six fractional
/// digits, `Z` or nothing. All texts of one form have one length, so they sort as their times do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    separator: u8,
    digits: u32,
    zulu: bool,
}

impl Form {
    /// The form of a text, and its microseconds since 1970; `None` if it is no timestamp.
    #[must_use]
    pub fn read(text: &str) -> Option<(Self, i64)> {
        let (date_text, rest) = text.split_at_checked(10)?;
        let (separator, rest) = rest.split_at_checked(1)?;
        let separator = *separator.as_bytes().first()?;
        if separator != b'T' && separator != b' ' {
            return None;
        }
        let (rest, zulu) = rest.strip_suffix('Z').map_or((rest, false), |rest| (rest, true));
        let digits = u32::try_from(rest.len().checked_sub(8)?.saturating_sub(1)).ok()?;
        let days = i64::from(parse_date(date_text)?);
        let micros = days.checked_mul(DAY_MICROS)?.checked_add(parse_time(rest)?)?;
        Some((Self { separator, digits, zulu }, micros))
    }

    /// The text of a time, cut to the form's digits; `None` outside of the years 1 to 9999.
    #[must_use]
    pub fn write(self, micros: i64) -> Option<String> {
        let mut text = String::with_capacity(27);
        write_date(&mut text, i32::try_from(micros.div_euclid(DAY_MICROS)).ok()?)?;
        text.push(char::from(self.separator));
        write_time(&mut text, micros.rem_euclid(DAY_MICROS), self.digits)?;
        if self.zulu {
            text.push('Z');
        }
        Some(text)
    }

    /// The smallest step between two times of this form, in microseconds.
    #[must_use]
    pub fn resolution_micros(self) -> i64 {
        10_i64.pow(6 - self.digits)
    }
}

impl std::fmt::Display for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "YYYY-MM-DD{}HH:MM:SS", char::from(self.separator))?;
        if self.digits > 0 {
            write!(f, ".")?;
        }
        for _ in 0..self.digits {
            write!(f, "f")?;
        }
        if self.zulu { write!(f, "Z") } else { Ok(()) }
    }
}

fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Days since 1970 of `YYYY-MM-DD`, years 1 to 9999.
#[must_use]
pub fn parse_date(text: &str) -> Option<i32> {
    if text.len() != 10
        || text.as_bytes().get(4) != Some(&b'-')
        || text.as_bytes().get(7) != Some(&b'-')
    {
        return None;
    }
    let year = i32::try_from(number(text.get(0..4)?)?).ok().filter(|year| *year > 0)?;
    let date = NaiveDate::from_ymd_opt(year, number(text.get(5..7)?)?, number(text.get(8..10)?)?)?;
    Some(date.to_epoch_days())
}

/// Microseconds since midnight of `HH:MM:SS` with up to six fractional digits.
#[must_use]
pub fn parse_time(text: &str) -> Option<i64> {
    let (clock, fraction) = text.split_once('.').map_or((text, None), |(c, f)| (c, Some(f)));
    if clock.len() != 8
        || clock.as_bytes().get(2) != Some(&b':')
        || clock.as_bytes().get(5) != Some(&b':')
    {
        return None;
    }
    let (hours, minutes, seconds) =
        (number(clock.get(0..2)?)?, number(clock.get(3..5)?)?, number(clock.get(6..8)?)?);
    let time = NaiveTime::from_hms_opt(hours, minutes, seconds)?;
    let mut micros = i64::from(time.num_seconds_from_midnight()) * 1_000_000;
    if let Some(fraction) = fraction {
        let digits =
            u32::try_from(fraction.len()).ok().filter(|digits| (1..=6).contains(digits))?;
        micros += i64::from(number(fraction)?) * 10_i64.pow(6 - digits);
    }
    Some(micros)
}

/// A decimal of `scale` fractional digits, all of them written.
#[must_use]
pub fn decimal(value: i128, scale: u32) -> String {
    let digits = value.unsigned_abs().to_string();
    let sign = if value < 0 { "-" } else { "" };
    let scale = usize::try_from(scale).unwrap_or(0);
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    format!("{sign}{whole}.{fraction}")
}

/// The value of a decimal text in units of `10^-scale`; `None` if it is no plain decimal number
/// of at most `precision` digits, or would lose a digit.
#[must_use]
pub fn parse_decimal(text: &str, precision: u8, scale: u32) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() && fraction.is_empty() || !plain(whole) || !plain(fraction) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let missing = usize::try_from(scale).ok()?.checked_sub(fraction.len())?;
    let all = format!("{whole}{fraction}{}", "0".repeat(missing));
    let all = all.trim_start_matches('0');
    if all.len() > usize::from(precision) {
        return None;
    }
    let value: i128 = if all.is_empty() { 0 } else { all.parse().ok()? };
    Some(if negative { -value } else { value })
}

/// Microseconds since 1970 of a timestamp.
#[must_use]
pub fn parse_timestamp(text: &str) -> Option<i64> {
    Form::read(text).map(|(_, micros)| micros)
}

/// The same microseconds as a date and time, for messages.
#[must_use]
pub fn shown(micros: i64) -> String {
    chrono::DateTime::from_timestamp_micros(micros)
        .map(|time| -> NaiveDateTime { time.naive_utc() })
        .map_or_else(|| micros.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read_back() {
        for micros in
            [0, -1, 1_767_322_800_123_456, -62_135_596_800_000_000, 253_402_300_799_999_999]
        {
            for utc in [true, false] {
                let text = timestamp(micros, utc).unwrap();
                assert_eq!(parse_timestamp(&text), Some(micros), "{text}");
            }
        }
        assert_eq!(timestamp(-1, true).unwrap(), "1969-12-31T23:59:59.999999Z");
        assert_eq!(timestamp(253_402_300_800_000_000, true), None);
        assert_eq!(timestamp(-62_135_596_800_000_001, true), None);
        assert_eq!(time(86_399_999_999).unwrap(), "23:59:59.999999");
        assert_eq!(time(86_400_000_000), None);
        assert_eq!(parse_date(&date(-719_162).unwrap()), Some(-719_162));
    }

    #[test]
    fn a_form_keeps_separator_digits_and_zone() {
        for text in [
            "2026-01-02 03:04:05",
            "2026-01-02T03:04:05.123Z",
            "2026-01-02 03:04:05.1",
            "2026-01-02T03:04:05.123456",
        ] {
            let (form, micros) = Form::read(text).unwrap();
            assert_eq!(form.write(micros).unwrap(), text);
        }
        for wrong in [
            "2026-01-02",
            "2026-01-02X03:04:05",
            "2026-1-2 03:04:05",
            "2026-02-30 03:04:05",
            "2026-01-02 24:00:00",
            "2026-01-02 03:04:05.",
            "2026-01-02 03:04:05.1234567",
            "2026-01-02 03:04:05+00:00",
            "0000-01-02 03:04:05",
            "+026-01-02 03:04:05",
            "2026-01-02é03:04:05",
            "1767322800",
        ] {
            assert_eq!(Form::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_decimal_keeps_every_digit_or_is_refused() {
        assert_eq!(decimal(110, 2), "1.10");
        assert_eq!(decimal(-5, 2), "-0.05");
        assert_eq!(decimal(0, 3), "0.000");
        assert_eq!(decimal(42, 0), "42");
        assert_eq!(parse_decimal("1.1", 18, 2), Some(110));
        assert_eq!(parse_decimal("1.1000", 18, 2), Some(110));
        assert_eq!(parse_decimal("-.5", 18, 2), Some(-50));
        assert_eq!(parse_decimal("007", 1, 0), Some(7));
        let most = 10_i128.pow(38) - 1;
        assert_eq!(parse_decimal(&decimal(-most, 10), 38, 10), Some(-most));
        for wrong in ["1.111", "", ".", "-", "1e2", "1 ", "12345", "0x1", "--1"] {
            assert_eq!(parse_decimal(wrong, 4, 2), None, "{wrong}");
        }
    }
}
