//! To text, and to binary.

use super::*;

pub(super) fn to_binary(
    value: &Value,
    from: SqlType,
    to: SqlType,
    style: Option<i64>,
) -> Result<Value> {
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

pub(super) fn to_text_type(
    value: &Value,
    from: SqlType,
    to: SqlType,
    style: Option<i64>,
) -> Result<Value> {
    let text = text_of(value, from, to, style)?;
    let text = if to.is_wide() { text } else { crate::tds::types::codepage::lossy(text) };
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

pub(super) fn pad(text: String, to: SqlType) -> Value {
    let width = match to {
        SqlType::Char(n) | SqlType::NChar(n) => usize::from(n),
        _ => return Value::str(text),
    };
    let length = if to.is_wide() { utf16_len(&text) } else { text.chars().count() };
    let mut text = text;
    text.extend(std::iter::repeat_n(' ', width.saturating_sub(length)));
    Value::str(text)
}

pub(super) fn text_of(
    value: &Value,
    from: SqlType,
    to: SqlType,
    style: Option<i64>,
) -> Result<String> {
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
            0 => crate::tds::types::codepage::decode(b),
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

pub(super) fn float_text(f: f64, style: i64, zero: bool, shortest: &str) -> Result<String> {
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

pub(super) fn temporal_text(value: &Value, from: SqlType, style: Option<i64>) -> Result<String> {
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
