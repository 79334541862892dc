//! To numbers.

use super::*;

pub(super) fn to_bit(value: &Value, from: SqlType) -> Result<Value> {
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

pub(super) fn not_a(value: &Value, from: SqlType, to: &str) -> SqlError {
    let text = value.as_str().unwrap_or_default();
    conversion(format!(
        "Conversion failed when converting the {} value '{text}' to data type {to}.",
        from.name()
    ))
}

pub(super) fn to_int(value: &Value, from: SqlType, to: SqlType) -> Result<Value> {
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

pub(super) fn float_to_int(f: f64, to: SqlType) -> Result<i128> {
    let text = format!("{:.0}", f.trunc());
    text.parse().map_err(|_| overflow(&format!("float to data type {}", to.name())))
}

pub(super) fn int_overflow(n: i128, from: SqlType, to: SqlType) -> SqlError {
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

pub(super) fn to_decimal(value: &Value, from: SqlType, p: u8, s: u8, name: &str) -> Result<Value> {
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

pub(super) fn to_float(value: &Value, from: SqlType, to: SqlType) -> Result<Value> {
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

pub(super) fn narrow(f: f64) -> Result<f32> {
    // The shortest text of the double names the nearest single exactly enough.
    let narrow: f32 = f.to_string().parse().unwrap_or(f32::NAN);
    if narrow.is_finite() { Ok(narrow) } else { Err(overflow("float to data type real")) }
}
