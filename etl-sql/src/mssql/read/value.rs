//! One value as the driver gives it.

use tiberius::ColumnData;
use tiberius::time::{DateTime2, Time};

use super::mark::{
    Cursor, Mark, date_text, datetime_text, instant_text, ticks_of, ticks_of_datetime, time_text,
};

/// Whether it is NULL. In a packed row the driver guesses the type of a NULL, so that the type says
/// nothing.
pub(super) fn is_null(cell: &ColumnData<'_>) -> bool {
    matches!(
        cell,
        ColumnData::U8(None)
            | ColumnData::I16(None)
            | ColumnData::I32(None)
            | ColumnData::I64(None)
            | ColumnData::F32(None)
            | ColumnData::F64(None)
            | ColumnData::Bit(None)
            | ColumnData::String(None)
            | ColumnData::Guid(None)
            | ColumnData::Binary(None)
            | ColumnData::Numeric(None)
            | ColumnData::Xml(None)
            | ColumnData::DateTime(None)
            | ColumnData::SmallDateTime(None)
            | ColumnData::Time(None)
            | ColumnData::Date(None)
            | ColumnData::DateTime2(None)
            | ColumnData::DateTimeOffset(None)
    )
}

/// About how many bytes it takes.
pub(super) fn size(cell: &ColumnData<'_>) -> usize {
    match cell {
        ColumnData::String(Some(text)) => text.len() + 4,
        ColumnData::Binary(Some(bytes)) => bytes.len() + 4,
        ColumnData::Numeric(_) | ColumnData::Guid(_) => 16,
        ColumnData::U8(_) | ColumnData::Bit(_) => 1,
        _ => 8,
    }
}

/// Steps of 100 ns since midnight.
pub(super) fn time_ticks(time: Time) -> i64 {
    let step = 10_u64.saturating_pow(7_u32.saturating_sub(u32::from(time.scale())));
    i64::try_from(time.increments().saturating_mul(step)).unwrap_or(i64::MAX)
}

/// Steps of 100 ns since 0001-01-01.
pub(super) fn ticks(at: DateTime2) -> i64 {
    ticks_of(i64::from(at.date().days()), time_ticks(at.time()))
}

/// A cursor's value; `None` if it is NULL or of another type.
pub(super) fn mark(cell: &ColumnData<'_>, cursor: Cursor) -> Option<Mark> {
    Some(match (cursor, cell) {
        (Cursor::Version, ColumnData::Binary(Some(bytes))) => {
            Mark::Version(u64::from_be_bytes(bytes.as_ref().try_into().ok()?))
        }
        (Cursor::DateTime2(_, to_utc), ColumnData::DateTime2(Some(at))) => {
            Mark::Instant(ticks(*at).saturating_add(to_utc))
        }
        // The wire has the instant in UTC, and beside it the offset to show.
        (Cursor::DateTimeOffset(_), ColumnData::DateTimeOffset(Some(at))) => {
            Mark::Instant(ticks(at.datetime2()))
        }
        (Cursor::DateTime(to_utc), ColumnData::DateTime(Some(at))) => {
            let local = ticks_of_datetime(at.days(), at.seconds_fragments());
            Mark::Instant(local.saturating_add(to_utc))
        }
        _ => return None,
    })
}

/// The text of a value, from which SQL Server reads back the same; `None` if it is NULL.
pub(super) fn text(cell: &ColumnData<'_>) -> Option<String> {
    Some(match cell {
        ColumnData::U8(value) => (*value)?.to_string(),
        ColumnData::I16(value) => (*value)?.to_string(),
        ColumnData::I32(value) => (*value)?.to_string(),
        ColumnData::I64(value) => (*value)?.to_string(),
        ColumnData::F32(value) => format!("{:e}", (*value)?),
        ColumnData::F64(value) => format!("{:e}", (*value)?),
        ColumnData::Bit(value) => u8::from((*value)?).to_string(),
        ColumnData::String(value) => value.as_ref()?.to_string(),
        ColumnData::Guid(value) => (*value)?.to_string(),
        ColumnData::Binary(value) => {
            value.as_ref()?.iter().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02X}"))
        }
        ColumnData::Numeric(value) => {
            let value = (*value)?;
            decimal_text(value.value(), value.scale())
        }
        ColumnData::Date(value) => date_text(i32::try_from((*value)?.days()).ok()?)?,
        ColumnData::Time(value) => {
            let time = (*value)?;
            time_text(time_ticks(time), time.scale())
        }
        ColumnData::DateTime2(value) => {
            let at = (*value)?;
            instant_text(ticks(at), at.time().scale())?
        }
        ColumnData::DateTimeOffset(value) => {
            let at = (*value)?.datetime2();
            format!("{}+00:00", instant_text(ticks(at), at.time().scale())?)
        }
        ColumnData::DateTime(value) => {
            let at = (*value)?;
            datetime_text(ticks_of_datetime(at.days(), at.seconds_fragments()))?
        }
        ColumnData::SmallDateTime(value) => {
            let at = (*value)?;
            instant_text(small(at), 0)?
        }
        ColumnData::Xml(_) => return None,
    })
}

/// Days since 1900 and minutes.
pub(super) fn small(at: tiberius::time::SmallDateTime) -> i64 {
    ticks_of_datetime(i32::from(at.days()), u32::from(at.seconds_fragments()) * 60 * 300)
}

pub(super) fn decimal_text(value: i128, scale: u8) -> String {
    let scale = usize::from(scale);
    let sign = if value < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
    match digits.split_at_checked(digits.len() - scale) {
        Some((whole, fraction)) if !fraction.is_empty() => format!("{sign}{whole}.{fraction}"),
        _ => format!("{sign}{digits}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_its_text() {
        use tiberius::numeric::Numeric;
        use tiberius::time::{Date, DateTime, DateTimeOffset, SmallDateTime};
        let at = DateTime2::new(Date::new(738_944), Time::new(360_001_234_567, 7));
        for (cell, expected) in [
            (ColumnData::Bit(Some(true)), "1"),
            (ColumnData::I64(Some(-5)), "-5"),
            (ColumnData::F64(Some(0.1)), "1e-1"),
            (ColumnData::Binary(Some(vec![0, 255].into())), "0x00FF"),
            (ColumnData::Numeric(Some(Numeric::new_with_scale(-5, 3))), "-0.005"),
            (ColumnData::Date(Some(Date::new(0))), "0001-01-01"),
            (ColumnData::Time(Some(Time::new(1, 0))), "00:00:01"),
            (ColumnData::DateTime2(Some(at)), "2024-02-29T10:00:00.1234567"),
            (
                ColumnData::DateTimeOffset(Some(DateTimeOffset::new(at, -330))),
                "2024-02-29T10:00:00.1234567+00:00",
            ),
            (ColumnData::DateTime(Some(DateTime::new(-1, 1))), "1899-12-31T00:00:00.003"),
            (ColumnData::SmallDateTime(Some(SmallDateTime::new(0, 61))), "1900-01-01T01:01:00"),
        ] {
            assert_eq!(text(&cell).as_deref(), Some(expected), "{cell:?}");
        }
        assert_eq!(text(&ColumnData::I32(None)), None);
    }
}
