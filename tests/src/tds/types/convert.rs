//! Conversions between types: CAST, implicit conversion, and storing into a column.

mod text;
use text::*;
mod number;
use number::*;

use super::datetime::{self, DAY, SECOND};
use super::value::utf16_len;
use super::{Len, SqlType, Value, decimal};
use crate::tds::error::{
    Reach, Result, SqlError, conversion, date_conversion, overflow, unsupported,
};

/// Converts as CAST and CONVERT do: text that is too long is cut.
pub(crate) fn cast(value: &Value, from: SqlType, to: SqlType, style: Option<i64>) -> Result<Value> {
    if value.is_null() || to == SqlType::Null {
        return Ok(Value::Null);
    }
    if from == to && style.is_none() {
        return Ok(value.clone());
    }
    match to {
        SqlType::Variant => Ok(value.clone()),
        SqlType::Bit => to_bit(value, from),
        SqlType::TinyInt | SqlType::SmallInt | SqlType::Int | SqlType::BigInt => {
            to_int(value, from, to)
        }
        SqlType::Decimal(p, s) => to_decimal(value, from, p, s, "numeric"),
        SqlType::Money => to_decimal(value, from, 19, 4, "money"),
        SqlType::SmallMoney => to_decimal(value, from, 10, 4, "smallmoney"),
        SqlType::Real | SqlType::Float => to_float(value, from, to),
        _ if to.is_temporal() => to_temporal(value, from, to),
        _ if to.is_text() => to_text_type(value, from, to, style),
        _ if to.is_binary() => to_binary(value, from, to, style),
        SqlType::Guid => to_guid(value, from),
        _ => Err(forbidden(from, to)),
    }
}

/// Whether SQL Server converts between the types without CAST.
pub(crate) fn implicit_allowed(from: SqlType, to: SqlType) -> bool {
    if from == SqlType::Null || to == SqlType::Null || from == SqlType::Variant || from == to {
        return true;
    }
    let number = |t: SqlType| t.is_numeric();
    if from.is_text() {
        return !to.is_binary();
    }
    if number(from) {
        return number(to)
            || (to.is_text())
            || matches!(to, SqlType::DateTime | SqlType::SmallDateTime)
            || (to.is_binary() && !from.is_approximate());
    }
    if from.is_temporal() {
        return to.is_text()
            || (to.is_temporal()
                && !matches!(
                    (from, to),
                    (SqlType::Date, SqlType::Time(_)) | (SqlType::Time(_), SqlType::Date)
                ));
    }
    if from.is_binary() {
        return to.is_binary()
            || to.is_text()
            || to.is_integer()
            || matches!(to, SqlType::Decimal(..) | SqlType::Money | SqlType::Guid);
    }
    if from == SqlType::Guid {
        return to.is_text() || to.is_binary();
    }
    false
}

pub(crate) fn forbidden(from: SqlType, to: SqlType) -> SqlError {
    SqlError::new(
        529,
        16,
        format!(
            "Explicit conversion from data type {} to {} is not allowed.",
            from.name(),
            to.name()
        ),
    )
    .state(2)
    .reach(Reach::Batch)
}

/// The error of an assignment that SQL Server does not convert by itself.
pub(crate) fn clash(from: SqlType, to: SqlType) -> SqlError {
    if from.is_text() || to.is_text() || from.is_temporal() {
        return SqlError::new(
            257,
            16,
            format!(
                "Implicit conversion from data type {} to {} is not allowed. Use the CONVERT function to run this query.",
                from.name(),
                to.name()
            ),
        )
        .state(3)
        .reach(Reach::Batch);
    }
    SqlError::new(
        206,
        16,
        format!("Operand type clash: {} is incompatible with {}", from.name(), to.name()),
    )
    .state(2)
    .reach(Reach::Batch)
}

/// The least and greatest value of an integer type.
pub(crate) fn int_range(ty: SqlType) -> (i128, i128) {
    match ty {
        SqlType::Bit => (0, 1),
        SqlType::TinyInt => (0, 255),
        SqlType::SmallInt => (i128::from(i16::MIN), i128::from(i16::MAX)),
        SqlType::Int => (i128::from(i32::MIN), i128::from(i32::MAX)),
        _ => (i128::from(i64::MIN), i128::from(i64::MAX)),
    }
}

fn to_temporal(value: &Value, from: SqlType, to: SqlType) -> Result<Value> {
    // Everything meets as local days, ticks and offset.
    let (days, ticks, offset) = match value {
        Value::Date(d) => (Some(*d), None, None),
        Value::Time(t) => (None, Some(*t), None),
        Value::DateTime(d, t) => (Some(*d), Some(*t), None),
        Value::Offset(d, t, o) => {
            let by = i128::from(*o) * 60 * i128::from(SECOND);
            let (d, t) = datetime::shift(*d, *t, by).unwrap_or((*d, *t));
            (Some(d), Some(t), Some(*o))
        }
        Value::Str(s) => {
            let p = datetime::parse(s).ok_or_else(date_conversion)?;
            let legacy = matches!(to, SqlType::DateTime | SqlType::SmallDateTime);
            if legacy && (p.offset.is_some() || p.digits > 3) {
                return Err(date_conversion());
            }
            (p.days, p.ticks, p.offset)
        }
        Value::Int(_) | Value::Bit(_) | Value::Dec { .. } | Value::Float(_) | Value::Real(_)
            if matches!(to, SqlType::DateTime | SqlType::SmallDateTime) =>
        {
            let n = cast(value, from, SqlType::Decimal(38, 10), None)?;
            let (n, s) = n.as_dec().unwrap_or_default();
            let ticks =
                decimal::rescale(n, s, 10).unwrap_or(0) * i128::from(DAY) / decimal::pow10(10);
            let (d, t) = datetime::shift(datetime::DAYS_1900, 0, ticks)
                .ok_or_else(|| overflow("expression to data type datetime"))?;
            (Some(d), Some(t), None)
        }
        _ => return Err(forbidden(from, to)),
    };
    if matches!(to, SqlType::Date) && days.is_none() && matches!(value, Value::Time(_)) {
        return Err(forbidden(from, to));
    }
    if matches!(to, SqlType::Time(_)) && matches!(value, Value::Date(_)) {
        return Err(forbidden(from, to));
    }
    temporal(days.unwrap_or(datetime::DAYS_1900), ticks.unwrap_or(0), offset, to)
}

/// A moment as a value of a temporal type, rounded to its scale.
pub(crate) fn temporal(days: i32, ticks: u64, offset: Option<i16>, to: SqlType) -> Result<Value> {
    let out_of_range = |name: &str| {
        SqlError::new(
            242,
            16,
            format!("The conversion of a datetime2 data type to a {name} data type resulted in an out-of-range value."),
        )
        .state(3)
        .reach(Reach::Transaction)
    };
    let rounded = |scale: u8| {
        let (t, carry) = datetime::round_ticks(ticks, scale);
        (days + i32::from(carry), t)
    };
    Ok(match to {
        SqlType::Date => Value::Date(days),
        SqlType::Time(s) => {
            let (t, carry) = datetime::round_ticks(ticks, s);
            Value::Time(if carry { 0 } else { t })
        }
        SqlType::DateTime2(s) => {
            let (d, t) = rounded(s);
            if d > datetime::MAX_DAYS {
                return Err(out_of_range("datetime2"));
            }
            Value::DateTime(d, t)
        }
        SqlType::DateTimeOffset(s) => {
            let (d, t) = rounded(s);
            let o = offset.unwrap_or(0);
            let (d, t) = datetime::shift(d, t, -i128::from(o) * 60 * i128::from(SECOND))
                .ok_or_else(|| out_of_range("datetimeoffset"))?;
            Value::Offset(d, t, o)
        }
        SqlType::DateTime => {
            let (t, carry) = datetime::round_datetime(ticks);
            let d = days + i32::from(carry);
            if !(639_905..=datetime::MAX_DAYS).contains(&d) {
                return Err(out_of_range("datetime"));
            }
            Value::DateTime(d, t)
        }
        _ => {
            // 29.999 seconds and more round up.
            let minutes = (ticks + 30 * SECOND + 10_000) / (60 * SECOND);
            let (d, t) =
                if minutes >= 1440 { (days + 1, 0) } else { (days, minutes * 60 * SECOND) };
            if !(datetime::DAYS_1900..=datetime::DAYS_1900 + 65_535).contains(&d) {
                return Err(out_of_range("smalldatetime"));
            }
            Value::DateTime(d, t)
        }
    })
}

fn to_guid(value: &Value, from: SqlType) -> Result<Value> {
    match value {
        Value::Str(s) => {
            let t = s.trim().trim_start_matches('{').trim_end_matches('}');
            let t = t.get(..36).unwrap_or(t);
            let id = uuid::Uuid::try_parse(t).ok().filter(|_| t.len() == 36).ok_or_else(|| {
                SqlError::new(
                    8169,
                    16,
                    "Conversion failed when converting from a character string to uniqueidentifier.",
                )
                .state(2)
                .reach(Reach::Transaction)
            })?;
            Ok(Value::Guid(*id.as_bytes()))
        }
        Value::Bin(b) => {
            let mut bytes = [0; 16];
            for (to, from) in bytes.iter_mut().zip(b.iter()) {
                *to = *from;
            }
            Ok(Value::Guid(swap_guid(bytes)))
        }
        _ => Err(forbidden(from, SqlType::Guid)),
    }
}

/// Between RFC order and the order in which SQL Server stores and sends the bytes.
pub(crate) fn swap_guid(mut b: [u8; 16]) -> [u8; 16] {
    b[..4].reverse();
    b[4..6].reverse();
    b[6..8].reverse();
    b
}

pub(crate) fn hex(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) || !digits.is_ascii() {
        return None;
    }
    (0..digits.len() / 2)
        .map(|i| u8::from_str_radix(digits.get(2 * i..2 * i + 2)?, 16).ok())
        .collect()
}

/// The bytes of a text as its type stores them.
pub(crate) fn text_bytes(s: &str, ty: SqlType) -> Vec<u8> {
    if ty.is_wide() {
        s.encode_utf16().flat_map(u16::to_le_bytes).collect()
    } else {
        super::codepage::encode(s)
    }
}

/// The first `limit` units of a text.
pub(crate) fn cut(text: &str, limit: usize, wide: bool) -> String {
    let mut units = 0;
    text.chars()
        .take_while(|c| {
            units += if wide { c.len_utf16() } else { 1 };
            units <= limit
        })
        .collect()
}

/// Converts a value that is to be stored: too long text is an error, not cut.
pub(crate) fn assign(
    value: &Value,
    from: SqlType,
    to: SqlType,
    truncated: impl Fn(&str) -> SqlError,
) -> Result<Value> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    if from != to && !implicit_allowed(from, to) {
        return Err(clash(from, to));
    }
    let limit = to.len().map_or(usize::MAX, Len::units);
    match value {
        Value::Str(s) if to.is_text() => {
            let wide = to.is_wide();
            let length = if wide { utf16_len(s) } else { s.chars().count() };
            if length > limit {
                let kept = cut(s, limit, wide);
                // Blanks beyond the length are dropped silently, as ANSI says.
                if s.get(kept.len()..).is_some_and(|rest| rest.chars().any(|c| c != ' ')) {
                    return Err(truncated(&kept));
                }
                return Ok(pad(kept, to));
            }
            if from == to {
                return Ok(value.clone());
            }
            cast(value, from, to, None)
        }
        Value::Bin(b) if to.is_binary() => {
            if b.len() > limit {
                return Err(truncated(""));
            }
            cast(value, from, to, None)
        }
        _ => cast(value, from, to, None),
    }
}
