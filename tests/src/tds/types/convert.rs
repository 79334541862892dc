//! Conversions between types: CAST, implicit conversion, and storing into a column.

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

fn to_bit(value: &Value, from: SqlType) -> Result<Value> {
    let bit = match value {
        Value::Bit(b) => *b,
        Value::Real(f) => *f != 0.0,
        Value::Float(f) => *f != 0.0,
        Value::Str(s) => {
            let t = s.trim_end();
            if t.eq_ignore_ascii_case("true") {
                true
            } else if t.eq_ignore_ascii_case("false") {
                false
            } else {
                let n: i64 = if t.is_empty() {
                    0
                } else {
                    t.trim().parse().map_err(|_| not_a(value, from, "bit"))?
                };
                n != 0
            }
        }
        Value::Bin(b) => b.iter().any(|x| *x != 0),
        _ => match value.as_dec() {
            Some((n, _)) => n != 0,
            None => return Err(forbidden(from, SqlType::Bit)),
        },
    };
    Ok(Value::Bit(bit))
}

fn not_a(value: &Value, from: SqlType, to: &str) -> SqlError {
    let text = value.as_str().unwrap_or_default();
    conversion(format!(
        "Conversion failed when converting the {} value '{text}' to data type {to}.",
        from.name()
    ))
}

fn to_int(value: &Value, from: SqlType, to: SqlType) -> Result<Value> {
    let n: i128 = match value {
        Value::Str(s) => {
            let t = s.trim();
            if t.is_empty() {
                0
            } else {
                let body = t.strip_prefix('+').unwrap_or(t);
                match body.parse::<i128>() {
                    Ok(n) => n,
                    Err(_) if to == SqlType::BigInt => {
                        return Err(SqlError::new(
                            8114,
                            16,
                            format!("Error converting data type {} to bigint.", from.name()),
                        )
                        .state(5)
                        .reach(Reach::Transaction));
                    }
                    Err(_) => return Err(not_a(value, from, to.name())),
                }
            }
        }
        Value::Real(f) => float_to_int(f64::from(*f), to)?,
        Value::Float(f) => float_to_int(*f, to)?,
        Value::Bin(b) => {
            let mut wide = [0_u8; 8];
            let width = match to {
                SqlType::TinyInt => 1,
                SqlType::SmallInt => 2,
                SqlType::Int => 4,
                _ => 8,
            };
            let tail = &b[b.len().saturating_sub(width)..];
            wide[8 - tail.len()..].copy_from_slice(tail);
            let n = i64::from_be_bytes(wide);
            i128::from(match to {
                SqlType::SmallInt => i64::from(i16::from_be_bytes([wide[6], wide[7]])),
                SqlType::Int => i64::from(i32::from_be_bytes([wide[4], wide[5], wide[6], wide[7]])),
                _ => n,
            })
        }
        Value::DateTime(d, t) if matches!(from, SqlType::DateTime | SqlType::SmallDateTime) => {
            i128::from(*d - datetime::DAYS_1900) + i128::from(*t >= DAY / 2)
        }
        _ => match value.as_dec() {
            // Money rounds, decimal truncates.
            Some((n, s)) if from.is_money() => decimal::div_round(n, decimal::pow10(s)),
            Some((n, s)) => n / decimal::pow10(s),
            None => return Err(forbidden(from, to)),
        },
    };
    let (low, high) = int_range(to);
    if (low..=high).contains(&n) {
        return Ok(Value::Int(i64::try_from(n).unwrap_or_default()));
    }
    Err(int_overflow(n, from, to))
}

fn float_to_int(f: f64, to: SqlType) -> Result<i128> {
    let text = format!("{:.0}", f.trunc());
    text.parse().map_err(|_| overflow(&format!("float to data type {}", to.name())))
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

fn int_overflow(n: i128, from: SqlType, to: SqlType) -> SqlError {
    match to {
        _ if from.is_text() && to == SqlType::Int => SqlError::new(
            248,
            16,
            format!("The conversion of the {} value '{n}' overflowed an int column.", from.name()),
        )
        .reach(Reach::Transaction),
        _ if from.is_text() && matches!(to, SqlType::TinyInt | SqlType::SmallInt) => SqlError::new(
            244,
            16,
            format!(
                "The conversion of the {} value '{n}' overflowed an {} column. Use a larger integer column.",
                from.name(),
                if to == SqlType::TinyInt { "INT1" } else { "INT2" }
            ),
        )
        .reach(Reach::Transaction),
        SqlType::TinyInt | SqlType::SmallInt => SqlError::new(
            220,
            16,
            format!("Arithmetic overflow error for data type {}, value = {n}.", to.name()),
        ),
        _ => overflow(&format!("expression to data type {}", to.name())),
    }
}

fn to_decimal(value: &Value, from: SqlType, p: u8, s: u8, name: &str) -> Result<Value> {
    let source = if matches!(from, SqlType::Decimal(..)) { "numeric" } else { from.name() };
    let over = || overflow(&format!("{source} to data type {name}"));
    let n = match value {
        Value::Real(f) => decimal::from_f64(f64::from(*f), s).ok_or_else(over)?,
        Value::Float(f) => decimal::from_f64(*f, s).ok_or_else(over)?,
        Value::Str(t) => {
            let bad = || {
                SqlError::new(
                    8114,
                    16,
                    format!("Error converting data type {} to {name}.", from.name()),
                )
                .state(5)
                .reach(Reach::Transaction)
            };
            let parsed = decimal::parse(t).or_else(|| {
                (name != "numeric").then(|| decimal::parse(&t.replace([',', '$'], ""))).flatten()
            });
            let (n, scale) = parsed.ok_or_else(bad)?;
            decimal::rescale(n, scale, s).ok_or_else(over)?
        }
        _ => match value.as_dec() {
            Some((n, scale)) => decimal::rescale(n, scale, s).ok_or_else(over)?,
            None => return Err(forbidden(from, SqlType::Decimal(p, s))),
        },
    };
    let in_range = match name {
        "money" => i64::try_from(n).is_ok(),
        "smallmoney" => i32::try_from(n).is_ok(),
        _ => decimal::fits(n, p),
    };
    if in_range { Ok(Value::dec(n, s)) } else { Err(over().state(8)) }
}

fn to_float(value: &Value, from: SqlType, to: SqlType) -> Result<Value> {
    let f = match value {
        Value::Real(f) => f64::from(*f),
        Value::Float(f) => *f,
        Value::Str(s) if s.trim().is_empty() => 0.0,
        Value::Str(s) => {
            s.trim().parse::<f64>().ok().filter(|f| f.is_finite()).ok_or_else(|| {
                SqlError::new(
                    8114,
                    16,
                    format!("Error converting data type {} to {}.", from.name(), to.name()),
                )
                .state(5)
                .reach(Reach::Transaction)
            })?
        }
        _ => match value.as_dec() {
            Some((n, s)) => decimal::to_f64(n, s),
            None => return Err(forbidden(from, to)),
        },
    };
    if to == SqlType::Float {
        return Ok(Value::Float(f));
    }
    Ok(Value::Real(narrow(f)?))
}

fn narrow(f: f64) -> Result<f32> {
    // The shortest text of the double names the nearest single exactly enough.
    let narrow: f32 = f.to_string().parse().unwrap_or(f32::NAN);
    if narrow.is_finite() { Ok(narrow) } else { Err(overflow("float to data type real")) }
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

fn to_binary(value: &Value, from: SqlType, to: SqlType, style: Option<i64>) -> Result<Value> {
    let mut bytes: Vec<u8> = match value {
        Value::Bin(b) => b.to_vec(),
        Value::Guid(g) => swap_guid(*g).to_vec(),
        Value::Str(s) => match style.unwrap_or(0) {
            0 => text_bytes(s, from),
            n @ (1 | 2) => {
                let bad = || {
                    SqlError::new(
                        8114,
                        16,
                        format!("Error converting data type {} to varbinary.", from.name()),
                    )
                    .state(5)
                    .reach(Reach::Transaction)
                };
                let digits = if n == 1 {
                    s.strip_prefix("0x").or_else(|| s.strip_prefix("0X")).ok_or_else(bad)?
                } else {
                    s
                };
                hex(digits).ok_or_else(bad)?
            }
            n => return Err(unsupported(format!("CONVERT style {n} to binary"))),
        },
        Value::Int(_) | Value::Bit(_) => {
            let n = value.as_i64().unwrap_or(0).to_be_bytes();
            let width = usize::try_from(from.max_length()).unwrap_or(8).clamp(1, 8);
            n[8 - width..].to_vec()
        }
        _ => return Err(unsupported(format!("conversion of {} to binary", from.name()))),
    };
    let limit = to.len().map_or(8000, Len::units);
    if matches!(value, Value::Int(_)) && bytes.len() > limit {
        bytes = bytes.split_off(bytes.len() - limit);
    }
    bytes.truncate(limit);
    if let SqlType::Binary(n) = to {
        let n = usize::from(n);
        if matches!(value, Value::Int(_) | Value::Bit(_)) {
            let mut padded = vec![0; n.saturating_sub(bytes.len())];
            padded.extend(bytes);
            bytes = padded;
        } else {
            bytes.resize(n, 0);
        }
    }
    Ok(Value::bin(bytes))
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

fn to_text_type(value: &Value, from: SqlType, to: SqlType, style: Option<i64>) -> Result<Value> {
    let text = text_of(value, from, to, style)?;
    let text = if to.is_wide() { text } else { super::codepage::lossy(text) };
    let limit = to.len().map_or(8000, Len::units);
    let length = if to.is_wide() { utf16_len(&text) } else { text.chars().count() };
    if length > limit {
        if from.is_numeric() && !from.is_approximate() {
            // Too narrow for a number: integers give '*', the others an error.
            if from.is_integer() && !to.is_wide() {
                return Ok(Value::str("*"));
            }
            return Err(overflow(&format!("{} to data type {}", from.name(), to.name())));
        }
        if from == SqlType::Guid {
            return Err(SqlError::new(
                8170,
                16,
                "Insufficient result space to convert uniqueidentifier value to char.",
            ));
        }
        return Ok(pad(cut(&text, limit, to.is_wide()), to));
    }
    Ok(pad(text, to))
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

fn pad(text: String, to: SqlType) -> Value {
    let width = match to {
        SqlType::Char(n) | SqlType::NChar(n) => usize::from(n),
        _ => return Value::str(text),
    };
    let length = if to.is_wide() { utf16_len(&text) } else { text.chars().count() };
    let mut text = text;
    text.extend(std::iter::repeat_n(' ', width.saturating_sub(length)));
    Value::str(text)
}

fn text_of(value: &Value, from: SqlType, to: SqlType, style: Option<i64>) -> Result<String> {
    let odd = |n: i64| unsupported(format!("CONVERT style {n} from {}", from.name()));
    Ok(match value {
        Value::Null => String::new(),
        Value::Str(s) => s.to_string(),
        Value::Bit(b) => u8::from(*b).to_string(),
        Value::Int(n) => n.to_string(),
        Value::Dec { hi, lo, scale } => {
            let n = decimal::join(*hi, *lo);
            if from.is_money() {
                match style.unwrap_or(0) {
                    0 => decimal::to_text(decimal::div_round(n, 100), 2),
                    2 => decimal::to_text(n, 4),
                    other => return Err(odd(other)),
                }
            } else {
                decimal::to_text(n, *scale)
            }
        }
        Value::Real(f) => float_text(f64::from(*f), style.unwrap_or(0), *f == 0.0, &f.to_string())?,
        Value::Float(f) => float_text(*f, style.unwrap_or(0), *f == 0.0, &f.to_string())?,
        Value::Guid(g) => uuid::Uuid::from_bytes(*g).to_string().to_uppercase(),
        Value::Bin(b) => match style.unwrap_or(0) {
            0 if to.is_wide() => {
                let units: Vec<u16> =
                    b.chunks_exact(2).map(|c| u16::from_le_bytes([c[0], c[1]])).collect();
                String::from_utf16_lossy(&units)
            }
            0 => super::codepage::decode(b),
            n @ (1 | 2) => {
                let mut t = if n == 1 { "0x".to_owned() } else { String::new() };
                for byte in b.iter() {
                    t.push_str(&format!("{byte:02X}"));
                }
                t
            }
            n => return Err(odd(n)),
        },
        Value::Date(_) | Value::Time(_) | Value::DateTime(..) | Value::Offset(..) => {
            temporal_text(value, from, style)?
        }
    })
}

fn float_text(f: f64, style: i64, zero: bool, shortest: &str) -> Result<String> {
    let digits = match style {
        0 => 6,
        1 => 8,
        2 => 16,
        3 => return Ok(shortest.to_owned()),
        n => return Err(unsupported(format!("CONVERT style {n} from float"))),
    };
    if zero {
        return Ok("0".to_owned());
    }
    let text = format!("{f:.*e}", digits - 1);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let precision = i32::try_from(digits).unwrap_or(6);
    if style == 0 && (-5..precision).contains(&exponent) {
        let places = usize::try_from(precision - 1 - exponent).unwrap_or(0);
        let fixed = format!("{f:.places$}");
        return Ok(if fixed.contains('.') {
            fixed.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            fixed
        });
    }
    let mantissa = if style == 0 && mantissa.contains('.') {
        mantissa.trim_end_matches('0').trim_end_matches('.')
    } else {
        mantissa
    };
    let sign = if exponent < 0 { '-' } else { '+' };
    Ok(format!("{mantissa}e{sign}{:03}", exponent.abs()))
}

fn temporal_text(value: &Value, from: SqlType, style: Option<i64>) -> Result<String> {
    let legacy = matches!(from, SqlType::DateTime | SqlType::SmallDateTime);
    let style = style.unwrap_or(if legacy { 0 } else { 121 });
    let scale = from.time_scale();
    let local = |d: i32, t: u64, o: i16| {
        datetime::shift(d, t, i128::from(o) * 60 * i128::from(SECOND)).unwrap_or((d, t))
    };
    let (days, ticks, offset) = match value {
        Value::Date(d) => (Some(*d), None, None),
        Value::Time(t) => (None, Some(*t), None),
        Value::DateTime(d, t) => (Some(*d), Some(*t), None),
        Value::Offset(d, t, o) => {
            let (d, t) = local(*d, *t, *o);
            (Some(d), Some(t), Some(*o))
        }
        _ => (None, None, None),
    };
    let digits = match style {
        120 | 20 => 0,
        121 | 21 | 25 | 126 | 127 => scale,
        _ => scale,
    };
    let date = days.map(datetime::date_text);
    let clock = ticks.map(|t| datetime::time_text(t, digits));
    let zone = offset.map(datetime::offset_text);
    let join = |sep: &str| -> String {
        let mut text = date.clone().unwrap_or_default();
        if let Some(c) = &clock {
            if !text.is_empty() {
                text.push_str(sep);
            }
            text.push_str(c);
        }
        text
    };
    Ok(match style {
        120 | 20 | 121 | 21 | 25 => match &zone {
            Some(z) => format!("{} {z}", join(" ")),
            None => join(" "),
        },
        126 => {
            let mut text = join("T");
            if legacy
                && ticks.is_some_and(|t| t % SECOND == 0)
                && let Some((head, _)) = text.clone().split_once('.')
            {
                text = head.to_owned();
            }
            match &zone {
                Some(z) => format!("{text}{z}"),
                None => text,
            }
        }
        127 => match value {
            Value::Offset(d, t, _) => {
                format!("{}T{}Z", datetime::date_text(*d), datetime::time_text(*t, digits))
            }
            _ => join("T"),
        },
        112 => date.unwrap_or_default().replace('-', ""),
        23 => date.unwrap_or_default(),
        108 | 8 => ticks.map(|t| datetime::time_text(t, 0)).unwrap_or_default(),
        114 | 14 => ticks.map(|t| datetime::time_text(t, 3).replace('.', ":")).unwrap_or_default(),
        0 | 100 => {
            const MONTHS: [&str; 12] = [
                "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
            ];
            let mut text = String::new();
            if let Some(d) = days {
                let (y, m, d) = datetime::civil(d);
                let name = MONTHS[usize::try_from(m).unwrap_or(1).clamp(1, 12) - 1];
                text = format!("{name} {d:2} {y}");
            }
            if let Some(t) = ticks {
                let minutes = t / SECOND / 60;
                let (h, m) = (minutes / 60, minutes % 60);
                let half = if h < 12 { "AM" } else { "PM" };
                let h = if h % 12 == 0 { 12 } else { h % 12 };
                if !text.is_empty() {
                    text.push(' ');
                }
                text.push_str(&format!("{h:2}:{m:02}{half}"));
            }
            text
        }
        n => return Err(unsupported(format!("CONVERT style {n} from {}", from.name()))),
    })
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
