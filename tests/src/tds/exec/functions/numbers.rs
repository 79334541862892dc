//! Numbers.

use super::*;

pub(crate) fn abs(_: &mut Ctx<'_>, v: &[Value], t: &[SqlType]) -> Out {
    Ok(match &v[0] {
        Value::Int(x) => {
            let y = x.checked_abs().filter(|y| t[0] != SqlType::Int || i32::try_from(*y).is_ok());
            Value::Int(
                y.ok_or_else(|| overflow(&format!("expression to data type {}", t[0].name())))?,
            )
        }
        Value::Dec { hi, lo, scale } => Value::dec(decimal::join(*hi, *lo).abs(), *scale),
        Value::Float(f) => Value::Float(f.abs()),
        other => other.clone(),
    })
}

pub(crate) fn sign(_: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    Ok(match &v[0] {
        Value::Int(x) => Value::Int(x.signum()),
        Value::Dec { hi, lo, scale } => {
            Value::dec(decimal::join(*hi, *lo).signum() * decimal::pow10(*scale), *scale)
        }
        Value::Float(f) => Value::Float(if *f == 0.0 { 0.0 } else { f.signum() }),
        other => other.clone(),
    })
}

pub(super) fn whole(v: &Value, t: SqlType, up: bool) -> Value {
    match v {
        Value::Dec { hi, lo, scale } => {
            let (x, unit) = (decimal::join(*hi, *lo), decimal::pow10(*scale));
            let q = x.div_euclid(unit) + i128::from(up && x.rem_euclid(unit) != 0);
            if t.is_money() { Value::dec(q * unit, *scale) } else { Value::dec(q, 0) }
        }
        Value::Float(f) => Value::Float(if up { f.ceil() } else { f.floor() }),
        other => other.clone(),
    }
}

pub(crate) fn ceiling(_: &mut Ctx<'_>, v: &[Value], t: &[SqlType]) -> Out {
    Ok(whole(&v[0], t[0], true))
}

pub(crate) fn floor(_: &mut Ctx<'_>, v: &[Value], t: &[SqlType]) -> Out {
    Ok(whole(&v[0], t[0], false))
}

pub(crate) fn round(_: &mut Ctx<'_>, v: &[Value], t: &[SqlType]) -> Out {
    let Some(digits) = v.get(1).and_then(Value::as_i64) else {
        return if v.len() < 2 {
            Err(SqlError::new(189, 15, "The round function requires 2 to 3 arguments."))
        } else {
            Ok(Value::Null)
        };
    };
    let truncate = v.get(2).and_then(Value::as_i64).unwrap_or(0) != 0;
    let at = |x: i128, scale: u8| -> i128 {
        let drop = i64::from(scale) - digits;
        match u8::try_from(drop) {
            Ok(d @ 1..=38) => {
                let unit = decimal::pow10(d);
                if truncate { x / unit * unit } else { decimal::div_round(x, unit) * unit }
            }
            Ok(0) => x,
            Ok(_) => 0,
            Err(_) => x,
        }
    };
    Ok(match &v[0] {
        Value::Null => Value::Null,
        Value::Float(f) => {
            let scale = i32::try_from(digits.clamp(-300, 300)).unwrap_or(0);
            let factor = 10_f64.powi(scale);
            let x = f * factor;
            Value::Float(if truncate { x.trunc() } else { x.round() } / factor)
        }
        Value::Dec { hi, lo, scale } => {
            let x = at(decimal::join(*hi, *lo), *scale);
            convert::cast(&Value::dec(x, *scale), SqlType::Decimal(38, *scale), t[0], None)?
        }
        other => {
            let x = at(i128::from(other.as_i64().unwrap_or(0)), 0);
            convert::cast(&Value::dec(x, 0), SqlType::Decimal(38, 0), t[0], None)?
        }
    })
}

pub(super) fn as_float(v: &Value, t: SqlType) -> Result<Option<f64>> {
    Ok(match convert::cast(v, t, SqlType::Float, None)? {
        Value::Float(f) => Some(f),
        _ => None,
    })
}

pub(crate) fn sqrt(_: &mut Ctx<'_>, v: &[Value], t: &[SqlType]) -> Out {
    match as_float(&v[0], t[0])? {
        Some(f) if f < 0.0 => {
            Err(SqlError::new(3623, 16, "An invalid floating point operation occurred."))
        }
        Some(f) => Ok(Value::Float(f.sqrt())),
        None => Ok(Value::Null),
    }
}

pub(crate) fn power(_: &mut Ctx<'_>, v: &[Value], t: &[SqlType]) -> Out {
    if !t[0].is_approximate() {
        return Err(unsupported("POWER of an exact number"));
    }
    match (as_float(&v[0], t[0])?, as_float(&v[1], t[1])?) {
        (Some(a), Some(b)) => Ok(Value::Float(a.powf(b))),
        _ => Ok(Value::Null),
    }
}

pub(crate) fn rand(_: &mut Ctx<'_>, _: &[Value], _: &[SqlType]) -> Out {
    let bytes = uuid::Uuid::new_v4().into_bytes();
    let n = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    Ok(Value::Float(f64::from(n) / (f64::from(u32::MAX) + 1.0)))
}
