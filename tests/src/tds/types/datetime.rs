//! Dates and times: the proleptic Gregorian calendar, ticks of 100 ns, text forms.

use crate::tds::error::{Result, SqlError};

/// Ticks (100 ns) of a day.
pub(crate) const DAY: u64 = 864_000_000_000;
/// Ticks of a second.
pub(crate) const SECOND: u64 = 10_000_000;
/// 9999-12-31 as days since 0001-01-01.
pub(crate) const MAX_DAYS: i32 = 3_652_058;
/// 1900-01-01 as days since 0001-01-01.
pub(crate) const DAYS_1900: i32 = 693_595;
/// 1970-01-01 as days since 0001-01-01.
pub(crate) const DAYS_1970: i32 = 719_162;

/// Days since 0001-01-01 of a civil date.
pub(crate) fn days_of(year: i32, month: u32, day: u32) -> Option<i32> {
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    if day == 0 || day > month_days(year, month) {
        return None;
    }
    let y = i64::from(year) - i64::from(month <= 2);
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let m = i64::from(month);
    let doy = (153 * (m + if m > 2 { -3 } else { 9 }) + 2) / 5 + i64::from(day) - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    i32::try_from(era * 146_097 + doe - 306).ok()
}

/// Year, month and day of days since 0001-01-01.
pub(crate) fn civil(days: i32) -> (i32, u32, u32) {
    let z = i64::from(days) + 306;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    (
        i32::try_from(year).unwrap_or(1),
        u32::try_from(month).unwrap_or(1),
        u32::try_from(day).unwrap_or(1),
    )
}

pub(crate) fn month_days(year: i32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// A moment moved by ticks, across days; `None` outside year 1 to 9999.
pub(crate) fn shift(days: i32, ticks: u64, by: i128) -> Option<(i32, u64)> {
    let total = i128::from(days) * i128::from(DAY) + i128::from(ticks) + by;
    let d = i32::try_from(total.div_euclid(i128::from(DAY))).ok()?;
    let t = u64::try_from(total.rem_euclid(i128::from(DAY))).ok()?;
    (0..=MAX_DAYS).contains(&d).then_some((d, t))
}

/// Ticks rounded to a scale; the second value is true when midnight was passed.
pub(crate) fn round_ticks(ticks: u64, scale: u8) -> (u64, bool) {
    let unit = 10_u64.pow(u32::from(7 - scale.min(7)));
    let rounded = (ticks + unit / 2) / unit * unit;
    if rounded >= DAY { (rounded - DAY, true) } else { (rounded, false) }
}

/// Ticks rounded to the 1/300 s of `datetime`.
pub(crate) fn round_datetime(ticks: u64) -> (u64, bool) {
    let units = (ticks * 3 + 50_000) / 100_000;
    if units >= 300 * 86_400 { (0, true) } else { (datetime_ticks(units), false) }
}

/// Ticks of a number of 1/300 s, as `datetime` shows them: milliseconds end in 0, 3 or 7.
pub(crate) fn datetime_ticks(units: u64) -> u64 {
    let millis = (units * 10 + 1) / 3;
    millis * 10_000
}

/// 1/300 s units of ticks that came from [`datetime_ticks`].
pub(crate) fn datetime_units(ticks: u64) -> u64 {
    (ticks * 3 + 50_000) / 100_000
}

/// `HH:MM:SS[.fff]`.
pub(crate) fn time_text(ticks: u64, scale: u8) -> String {
    let seconds = ticks / SECOND;
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut text = format!("{h:02}:{m:02}:{s:02}");
    if scale > 0 {
        let fraction = ticks % SECOND / 10_u64.pow(u32::from(7 - scale.min(7)));
        text.push_str(&format!(".{fraction:0width$}", width = usize::from(scale)));
    }
    text
}

/// `YYYY-MM-DD`.
pub(crate) fn date_text(days: i32) -> String {
    let (y, m, d) = civil(days);
    format!("{y:04}-{m:02}-{d:02}")
}

/// `+02:00`.
pub(crate) fn offset_text(minutes: i16) -> String {
    let sign = if minutes < 0 { '-' } else { '+' };
    let n = minutes.unsigned_abs();
    format!("{sign}{:02}:{:02}", n / 60, n % 60)
}

/// What a date or time text holds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parsed {
    pub(crate) days: Option<i32>,
    pub(crate) ticks: Option<u64>,
    pub(crate) offset: Option<i16>,
    /// Digits after the second.
    pub(crate) digits: usize,
}

/// Reads ISO 8601 and the ODBC form: `YYYY-MM-DD`, `YYYYMMDD`, `hh:mm[:ss[.fffffff]]`, `Z`, `+hh:mm`.
pub(crate) fn parse(text: &str) -> Option<Parsed> {
    let text = text.trim();
    let mut out = Parsed::default();
    if text.is_empty() {
        return Some(out);
    }
    let mut rest = text;
    if let Some((days, after)) = take_date(text) {
        out.days = Some(days);
        rest = after
            .strip_prefix('T')
            .or_else(|| after.strip_prefix('t'))
            .unwrap_or(after)
            .trim_start();
        if rest.is_empty() {
            return Some(out);
        }
    }
    let split = rest.find(['Z', 'z', '+', '-', ' ', 'A', 'a', 'P', 'p']).unwrap_or(rest.len());
    let (clock, tail) = (rest.get(..split)?, rest.get(split..)?);
    let mut ticks = take_clock(clock)?;
    out.digits = clock.split_once('.').map_or(0, |(_, f)| f.len());
    let mut tail = tail.trim();
    let lower = tail.to_ascii_lowercase();
    if lower.starts_with("am") || lower.starts_with("pm") {
        let hour = ticks / (3600 * SECOND);
        if hour == 0 || hour > 12 {
            return None;
        }
        ticks %= 12 * 3600 * SECOND;
        if lower.starts_with("pm") {
            ticks += 12 * 3600 * SECOND;
        }
        tail = tail.get(2..)?.trim();
    }
    out.ticks = Some(ticks);
    if !tail.is_empty() {
        out.offset = Some(take_offset(tail)?);
    }
    Some(out)
}

fn take_date(text: &str) -> Option<(i32, &str)> {
    let b = text.as_bytes();
    let number = |s: &str| s.parse::<u32>().ok();
    if b.len() >= 10 && (b[4] == b'-' || b[4] == b'/' || b[4] == b'.') && b[7] == b[4] {
        let y = i32::try_from(number(text.get(..4)?)?).ok()?;
        let days = days_of(y, number(text.get(5..7)?)?, number(text.get(8..10)?)?)?;
        return Some((days, text.get(10..)?));
    }
    if b.len() >= 8 && b[..8].iter().all(u8::is_ascii_digit) {
        let y = i32::try_from(number(text.get(..4)?)?).ok()?;
        let days = days_of(y, number(text.get(4..6)?)?, number(text.get(6..8)?)?)?;
        return Some((days, text.get(8..)?));
    }
    None
}

fn take_clock(text: &str) -> Option<u64> {
    let mut parts = text.split(':');
    let number = |s: &str| -> Option<u64> {
        (!s.is_empty() && s.len() <= 2 && s.bytes().all(|b| b.is_ascii_digit()))
            .then(|| s.parse().ok())
            .flatten()
    };
    let hour = number(parts.next()?)?;
    let minute = number(parts.next()?)?;
    let mut ticks = 0;
    if let Some(seconds) = parts.next() {
        let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
        let s = number(whole)?;
        if s > 59 || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        ticks = s * SECOND;
        if !fraction.is_empty() {
            let nine: u64 = format!("{fraction:0<9}").parse().ok()?;
            ticks += (nine + 50) / 100;
        }
    }
    if hour > 23 || minute > 59 || parts.next().is_some() {
        return None;
    }
    Some(hour * 3600 * SECOND + minute * 60 * SECOND + ticks)
}

fn take_offset(text: &str) -> Option<i16> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, body) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+')?),
    };
    let (h, m) = body.split_once(':')?;
    let (h, m): (i16, i16) = (h.parse().ok()?, m.parse().ok()?);
    let minutes = h.checked_mul(60)?.checked_add(m)?;
    (h >= 0 && (0..60).contains(&m) && minutes <= 840).then_some(sign * minutes)
}

/// The units of `DATEADD`, `DATEDIFF` and `DATEPART`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Year,
    Quarter,
    Month,
    DayOfYear,
    Day,
    Week,
    Weekday,
    Hour,
    Minute,
    Second,
    Millisecond,
    Microsecond,
    Nanosecond,
    TzOffset,
}

impl Part {
    pub(crate) fn parse(name: &str) -> Option<Part> {
        Some(match name.to_ascii_lowercase().as_str() {
            "year" | "yy" | "yyyy" => Part::Year,
            "quarter" | "qq" | "q" => Part::Quarter,
            "month" | "mm" | "m" => Part::Month,
            "dayofyear" | "dy" | "y" => Part::DayOfYear,
            "day" | "dd" | "d" => Part::Day,
            "week" | "wk" | "ww" => Part::Week,
            "weekday" | "dw" | "w" => Part::Weekday,
            "hour" | "hh" => Part::Hour,
            "minute" | "mi" | "n" => Part::Minute,
            "second" | "ss" | "s" => Part::Second,
            "millisecond" | "ms" => Part::Millisecond,
            "microsecond" | "mcs" => Part::Microsecond,
            "nanosecond" | "ns" => Part::Nanosecond,
            "tzoffset" | "tz" => Part::TzOffset,
            _ => return None,
        })
    }

    /// Ticks of units that have a fixed length of at least 100 ns.
    fn ticks(self) -> Option<u64> {
        Some(match self {
            Part::Week => 7 * DAY,
            Part::Day | Part::DayOfYear | Part::Weekday => DAY,
            Part::Hour => 3600 * SECOND,
            Part::Minute => 60 * SECOND,
            Part::Second => SECOND,
            Part::Millisecond => 10_000,
            Part::Microsecond => 10,
            _ => return None,
        })
    }
}

/// `DATEADD` on days and ticks.
pub(crate) fn add(part: Part, n: i64, days: i32, ticks: u64) -> Result<(i32, u64)> {
    let overflow =
        || SqlError::new(517, 16, "Adding a value to a 'datetime2' column caused an overflow.");
    let months = match part {
        Part::Year => Some(12),
        Part::Quarter => Some(3),
        Part::Month => Some(1),
        _ => None,
    };
    if let Some(factor) = months {
        let (y, m, d) = civil(days);
        let total =
            i64::from(y) * 12 + i64::from(m) - 1 + n.checked_mul(factor).ok_or_else(overflow)?;
        let year = i32::try_from(total.div_euclid(12)).map_err(|_| overflow())?;
        let month = u32::try_from(total.rem_euclid(12) + 1).map_err(|_| overflow())?;
        if !(1..=9999).contains(&year) {
            return Err(overflow());
        }
        let day = d.min(month_days(year, month));
        return Ok((days_of(year, month, day).ok_or_else(overflow)?, ticks));
    }
    let by = match part.ticks() {
        Some(unit) => i128::from(n) * i128::from(unit),
        // Nanoseconds are rounded to 100 ns.
        None if part == Part::Nanosecond => super::decimal::div_round(i128::from(n), 100),
        None => {
            return Err(SqlError::new(
                9810,
                16,
                "The datepart is not supported by date function dateadd.",
            ));
        }
    };
    shift(days, ticks, by).ok_or_else(overflow)
}

/// `DATEDIFF`: boundaries crossed from the first to the second moment.
pub(crate) fn diff(part: Part, from: (i32, u64), to: (i32, u64)) -> Result<i128> {
    let months = |d: i32| {
        let (y, m, _) = civil(d);
        i128::from(y) * 12 + i128::from(m) - 1
    };
    let total = |(d, t): (i32, u64)| i128::from(d) * i128::from(DAY) + i128::from(t);
    Ok(match part {
        Part::Year => i128::from(civil(to.0).0) - i128::from(civil(from.0).0),
        Part::Quarter => months(to.0).div_euclid(3) - months(from.0).div_euclid(3),
        Part::Month => months(to.0) - months(from.0),
        // Weeks start on Sunday; day 0 (0001-01-01) is a Monday.
        Part::Week => i128::from((to.0 + 1).div_euclid(7)) - i128::from((from.0 + 1).div_euclid(7)),
        Part::Nanosecond => (total(to) - total(from)) * 100,
        _ => {
            let unit = i128::from(part.ticks().ok_or_else(|| {
                SqlError::new(9810, 16, "The datepart is not supported by date function datediff.")
            })?);
            total(to).div_euclid(unit) - total(from).div_euclid(unit)
        }
    })
}

/// `DATEPART`.
pub(crate) fn part_of(part: Part, days: i32, ticks: u64, offset: i16) -> i64 {
    let (y, m, d) = civil(days);
    let seconds = ticks / SECOND;
    let signed = |n: u64| i64::try_from(n).unwrap_or(0);
    match part {
        Part::Year => i64::from(y),
        Part::Quarter => i64::from(m.div_ceil(3)),
        Part::Month => i64::from(m),
        Part::DayOfYear => i64::from(days - days_of(y, 1, 1).unwrap_or(days) + 1),
        Part::Day => i64::from(d),
        Part::Week => {
            let first = days_of(y, 1, 1).unwrap_or(days);
            i64::from((days + 1).div_euclid(7) - (first + 1).div_euclid(7) + 1)
        }
        Part::Weekday => i64::from((days + 1).rem_euclid(7) + 1),
        Part::Hour => signed(seconds / 3600),
        Part::Minute => signed(seconds / 60 % 60),
        Part::Second => signed(seconds % 60),
        Part::Millisecond => signed(ticks % SECOND / 10_000),
        Part::Microsecond => signed(ticks % SECOND / 10),
        Part::Nanosecond => signed(ticks % SECOND * 100),
        Part::TzOffset => i64::from(offset),
    }
}

/// Now in UTC, days and ticks.
pub(crate) fn now() -> (i32, u64) {
    now_by(0)
}

/// The same by a clock that is so many milliseconds ahead, or behind.
pub(crate) fn now_by(ahead: i64) -> (i32, u64) {
    let since =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let shift = std::time::Duration::from_millis(ahead.unsigned_abs());
    let since = if ahead < 0 { since.saturating_sub(shift) } else { since + shift };
    let days = i32::try_from(since.as_secs() / 86_400).unwrap_or(0) + DAYS_1970;
    let ticks = since.as_secs() % 86_400 * SECOND + u64::from(since.subsec_nanos()) / 100;
    (days, ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar_round_trips_over_its_whole_range() {
        assert_eq!(days_of(1, 1, 1), Some(0));
        assert_eq!(days_of(9999, 12, 31), Some(MAX_DAYS));
        assert_eq!(days_of(1900, 1, 1), Some(DAYS_1900));
        assert_eq!(days_of(1970, 1, 1), Some(DAYS_1970));
        for days in (0..=MAX_DAYS).step_by(97) {
            let (y, m, d) = civil(days);
            assert_eq!(days_of(y, m, d), Some(days));
        }
    }

    #[test]
    fn texts_are_read_as_the_server_reads_them() {
        let p = parse("2024-02-29T13:14:15.1234567+02:00").unwrap();
        assert_eq!(p.days, days_of(2024, 2, 29));
        assert_eq!(p.ticks, Some((13 * 3600 + 14 * 60 + 15) * SECOND + 1_234_567));
        assert_eq!(p.offset, Some(120));
        assert_eq!(parse("2023-02-29"), None);
        assert_eq!(parse("20240102").unwrap().days, days_of(2024, 1, 2));
        assert_eq!(parse("2024-01-02 03:04").unwrap().ticks, Some((3 * 3600 + 240) * SECOND));
    }
}
