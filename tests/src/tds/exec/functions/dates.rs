//! Dates and times.

use super::*;

pub(crate) fn now2(ctx: &mut Ctx<'_>, _: &[Value], _: &[SqlType]) -> Out {
    Ok(Value::DateTime(ctx.now.0, ctx.now.1))
}

pub(crate) fn now_offset(ctx: &mut Ctx<'_>, _: &[Value], _: &[SqlType]) -> Out {
    Ok(Value::Offset(ctx.now.0, ctx.now.1, 0))
}

pub(crate) fn now_datetime(ctx: &mut Ctx<'_>, _: &[Value], _: &[SqlType]) -> Out {
    convert::temporal(ctx.now.0, ctx.now.1, None, SqlType::DateTime)
}

/// Local days, ticks and offset of any temporal value.
pub(super) fn moment(v: &Value) -> Option<(i32, u64, i16)> {
    match v {
        Value::Date(d) => Some((*d, 0, 0)),
        Value::Time(t) => Some((datetime::DAYS_1900, *t, 0)),
        Value::DateTime(d, t) => Some((*d, *t, 0)),
        Value::Offset(d, t, o) => {
            let (d, t) = datetime::shift(*d, *t, i128::from(*o) * 60 * i128::from(SECOND))?;
            Some((d, t, *o))
        }
        _ => None,
    }
}

pub(super) fn date_part(v: &[Value], t: &[SqlType], part: Part) -> Out {
    let as_date = if t[0].is_temporal() {
        v[0].clone()
    } else {
        convert::cast(&v[0], t[0], SqlType::DateTime2(7), None)?
    };
    Ok(moment(&as_date)
        .map_or(Value::Null, |(d, t, o)| Value::Int(datetime::part_of(part, d, t, o))))
}

pub(crate) fn year(_: &mut Ctx<'_>, v: &[Value], t: &[SqlType]) -> Out {
    date_part(v, t, Part::Year)
}

pub(crate) fn month(_: &mut Ctx<'_>, v: &[Value], t: &[SqlType]) -> Out {
    date_part(v, t, Part::Month)
}

pub(crate) fn day(_: &mut Ctx<'_>, v: &[Value], t: &[SqlType]) -> Out {
    date_part(v, t, Part::Day)
}

pub(crate) fn eomonth(_: &mut Ctx<'_>, v: &[Value], t: &[SqlType]) -> Out {
    let d = convert::cast(&v[0], t[0], SqlType::Date, None)?;
    let Some((d, _, _)) = moment(&d) else { return Ok(Value::Null) };
    let (y, m, _) = datetime::civil(d);
    Ok(datetime::days_of(y, m, datetime::month_days(y, m)).map_or(Value::Null, Value::Date))
}

pub(crate) fn datefromparts(_: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    if any_null(v) {
        return Ok(Value::Null);
    }
    let get = |i: usize| v[i].as_i64().unwrap_or(0);
    i32::try_from(get(0))
        .ok()
        .zip(u32::try_from(get(1)).ok())
        .zip(u32::try_from(get(2)).ok())
        .and_then(|((y, m), d)| datetime::days_of(y, m, d))
        .map(Value::Date)
        .ok_or_else(|| SqlError::new(289, 16, "Cannot construct data type date, some of the arguments have values which are not valid."))
}

pub(super) fn part_arg(v: &[Value]) -> Result<Part> {
    text(v, 0)
        .and_then(Part::parse)
        .ok_or_else(|| SqlError::new(155, 15, "The argument is not a recognized datepart option."))
}

pub(crate) fn dateadd(_: &mut Ctx<'_>, v: &[Value], t: &[SqlType]) -> Out {
    let part = part_arg(v)?;
    if v[1].is_null() || v[2].is_null() {
        return Ok(Value::Null);
    }
    let by = v[1].as_i64().unwrap_or(0);
    let wrong = || {
        SqlError::new(
            9810,
            16,
            format!(
                "The datepart {} is not supported by date function dateadd for data type {}.",
                text(v, 0).unwrap_or_default(),
                t[2].name()
            ),
        )
    };
    match &v[2] {
        Value::Date(d) => {
            if matches!(
                part,
                Part::Hour
                    | Part::Minute
                    | Part::Second
                    | Part::Millisecond
                    | Part::Microsecond
                    | Part::Nanosecond
            ) {
                return Err(wrong());
            }
            Ok(Value::Date(datetime::add(part, by, *d, 0)?.0))
        }
        Value::Time(x) => {
            if matches!(
                part,
                Part::Year
                    | Part::Quarter
                    | Part::Month
                    | Part::Day
                    | Part::DayOfYear
                    | Part::Week
                    | Part::Weekday
            ) {
                return Err(wrong());
            }
            let (_, x) = datetime::add(part, by, datetime::DAYS_1900, *x)?;
            convert::temporal(datetime::DAYS_1900, x, None, t[2])
        }
        Value::DateTime(d, x) => {
            let (d, x) = datetime::add(part, by, *d, *x)?;
            convert::temporal(d, x, None, t[2])
        }
        Value::Offset(..) => {
            let Some((d, x, o)) = moment(&v[2]) else { return Ok(Value::Null) };
            let (d, x) = datetime::add(part, by, d, x)?;
            convert::temporal(d, x, Some(o), t[2])
        }
        _ => Ok(Value::Null),
    }
}

pub(super) fn difference(v: &[Value]) -> Result<Option<i128>> {
    let part = part_arg(v)?;
    // Offsets are compared in UTC.
    let utc = |v: &Value| match v {
        Value::Offset(d, t, _) => Some((*d, *t)),
        other => moment(other).map(|(d, t, _)| (d, t)),
    };
    match (utc(&v[1]), utc(&v[2])) {
        (Some(a), Some(b)) => Ok(Some(datetime::diff(part, a, b)?)),
        _ => Ok(None),
    }
}

pub(crate) fn datediff(_: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    match difference(v)? {
        None => Ok(Value::Null),
        Some(d) => i32::try_from(d).map(|d| Value::Int(i64::from(d))).map_err(|_| {
            SqlError::new(
                535,
                16,
                "The datediff function resulted in an overflow. The number of dateparts separating two date/time instances is too large. Try to use datediff with a less precise datepart.",
            )
        }),
    }
}

pub(crate) fn datediff_big(_: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    match difference(v)? {
        None => Ok(Value::Null),
        Some(d) => {
            i64::try_from(d).map(Value::Int).map_err(|_| overflow("expression to data type bigint"))
        }
    }
}

pub(crate) fn datepart(_: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    let part = part_arg(v)?;
    Ok(moment(&v[1]).map_or(Value::Null, |(d, t, o)| Value::Int(datetime::part_of(part, d, t, o))))
}

pub(super) fn offset_arg(v: &Value) -> Result<Option<i16>> {
    let bad = || SqlError::new(9812, 16, "The timezone provided to builtin function is invalid.");
    match v {
        Value::Null => Ok(None),
        Value::Str(s) => {
            let probe = datetime::parse(&format!("00:00{}", s.trim())).and_then(|p| p.offset);
            probe.map(Some).ok_or_else(bad)
        }
        other => other
            .as_i64()
            .and_then(|m| i16::try_from(m).ok())
            .filter(|m| m.abs() <= 840)
            .map(Some)
            .ok_or_else(bad),
    }
}

pub(crate) fn todatetimeoffset(_: &mut Ctx<'_>, v: &[Value], t: &[SqlType]) -> Out {
    let Some(o) = offset_arg(&v[1])? else { return Ok(Value::Null) };
    let local = if t[0].is_temporal() {
        v[0].clone()
    } else {
        convert::cast(&v[0], t[0], SqlType::DateTime2(7), None)?
    };
    match moment(&local) {
        Some((d, x, _)) => convert::temporal(d, x, Some(o), SqlType::DateTimeOffset(7)),
        None => Ok(Value::Null),
    }
}

pub(crate) fn switchoffset(_: &mut Ctx<'_>, v: &[Value], t: &[SqlType]) -> Out {
    let Some(o) = offset_arg(&v[1])? else { return Ok(Value::Null) };
    match convert::cast(&v[0], t[0], SqlType::DateTimeOffset(7), None)? {
        Value::Offset(d, x, _) => Ok(Value::Offset(d, x, o)),
        _ => Ok(Value::Null),
    }
}
