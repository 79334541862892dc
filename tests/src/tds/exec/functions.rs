//! Bodies of the scalar functions on values. Catalog and session functions are re-exported.

use super::digest::sha256;

use super::Ctx;
pub(crate) use super::functions_catalog::*;
use crate::tds::error::{Result, SqlError, overflow, unsupported};
use crate::tds::types::datetime::{self, Part, SECOND};
use crate::tds::types::value::utf16_len;
use crate::tds::types::{Len, SqlType, Value, codepage, convert, decimal};

type Out = Result<Value>;

pub(super) fn n(count: usize) -> Value {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

pub(super) fn text(v: &[Value], i: usize) -> Option<&str> {
    v.get(i).and_then(Value::as_str)
}

fn any_null(v: &[Value]) -> bool {
    v.iter().any(Value::is_null)
}

fn units(s: &str, wide: bool) -> usize {
    if wide { utf16_len(s) } else { s.chars().count() }
}

pub(crate) fn null(_: &mut Ctx<'_>, _: &[Value], _: &[SqlType]) -> Out {
    Ok(Value::Null)
}

pub(crate) fn len(_: &mut Ctx<'_>, v: &[Value], t: &[SqlType]) -> Out {
    Ok(match &v[0] {
        Value::Str(s) => n(units(s.trim_end_matches(' '), t[0].is_wide())),
        Value::Bin(b) => n(b.len()),
        _ => Value::Null,
    })
}

pub(crate) fn ascii(_: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    Ok(text(v, 0)
        .and_then(|s| codepage::encode(s).first().map(|b| Value::Int(i64::from(*b))))
        .unwrap_or(Value::Null))
}

pub(crate) fn unicode(_: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    Ok(text(v, 0)
        .and_then(|s| s.encode_utf16().next().map(|u| Value::Int(i64::from(u))))
        .unwrap_or(Value::Null))
}

pub(crate) fn char(_: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    Ok(v[0]
        .as_i64()
        .and_then(|x| u8::try_from(x).ok())
        .map_or(Value::Null, |b| Value::str(codepage::decode(&[b]))))
}

pub(crate) fn nchar(_: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    Ok(v[0]
        .as_i64()
        .and_then(|x| u32::try_from(x).ok())
        .and_then(char::from_u32)
        .map_or(Value::Null, |c| Value::str(c.to_string())))
}

pub(crate) fn datalength(_: &mut Ctx<'_>, v: &[Value], t: &[SqlType]) -> Out {
    Ok(match &v[0] {
        Value::Null => Value::Null,
        Value::Str(s) if t[0].is_wide() => n(utf16_len(s) * 2),
        Value::Str(s) => n(s.chars().count()),
        Value::Bin(b) => n(b.len()),
        _ => Value::Int(t[0].max_length()),
    })
}

pub(crate) fn isnumeric(_: &mut Ctx<'_>, v: &[Value], t: &[SqlType]) -> Out {
    Ok(Value::Int(match &v[0] {
        Value::Null => 0,
        Value::Str(s) => i64::from(s.trim().parse::<f64>().is_ok_and(f64::is_finite)),
        _ => i64::from(t[0].is_numeric()),
    }))
}

pub(crate) fn isdate(_: &mut Ctx<'_>, v: &[Value], t: &[SqlType]) -> Out {
    let ok = !v[0].is_null() && convert::cast(&v[0], t[0], SqlType::DateTime, None).is_ok();
    Ok(Value::Int(i64::from(ok)))
}

pub(crate) fn hashbytes(_: &mut Ctx<'_>, v: &[Value], t: &[SqlType]) -> Out {
    let bytes = match &v[1] {
        Value::Null => return Ok(Value::Null),
        Value::Str(s) => convert::text_bytes(s, t[1]),
        Value::Bin(b) => b.to_vec(),
        _ => {
            return Err(SqlError::new(
                8116,
                16,
                format!(
                    "Argument data type {} is invalid for argument 2 of hashbytes function.",
                    t[1].name()
                ),
            ));
        }
    };
    match text(v, 0).unwrap_or_default().to_ascii_uppercase().as_str() {
        "SHA2_256" => Ok(Value::bin(sha256(&bytes))),
        "MD5" => Ok(Value::bin(super::digest::md5(&bytes))),
        other => Err(unsupported(format!("HASHBYTES {other}"))),
    }
}

pub(crate) fn checksum(_: &mut Ctx<'_>, _: &[Value], _: &[SqlType]) -> Out {
    Err(unsupported("CHECKSUM"))
}

pub(crate) fn newid(_: &mut Ctx<'_>, _: &[Value], _: &[SqlType]) -> Out {
    Ok(Value::Guid(*uuid::Uuid::new_v4().as_bytes()))
}

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
fn moment(v: &Value) -> Option<(i32, u64, i16)> {
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

fn date_part(v: &[Value], t: &[SqlType], part: Part) -> Out {
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

fn part_arg(v: &[Value]) -> Result<Part> {
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

fn difference(v: &[Value]) -> Result<Option<i128>> {
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

fn offset_arg(v: &Value) -> Result<Option<i16>> {
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

fn map_text(v: &[Value], f: impl FnOnce(&str) -> String) -> Out {
    Ok(text(v, 0).map_or(Value::Null, |s| Value::str(f(s))))
}

pub(crate) fn upper(_: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    map_text(v, |s| {
        s.chars()
            .map(|c| {
                let mut u = c.to_uppercase();
                if u.len() == 1 { u.next().unwrap_or(c) } else { c }
            })
            .collect()
    })
}

pub(crate) fn lower(_: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    map_text(v, |s| {
        s.chars()
            .map(|c| {
                let mut u = c.to_lowercase();
                if u.len() == 1 { u.next().unwrap_or(c) } else { c }
            })
            .collect()
    })
}

pub(crate) fn ltrim(_: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    map_text(v, |s| s.trim_start_matches(' ').to_owned())
}

pub(crate) fn rtrim(_: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    map_text(v, |s| s.trim_end_matches(' ').to_owned())
}

pub(crate) fn trim(_: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    map_text(v, |s| s.trim_matches(' ').to_owned())
}

pub(crate) fn reverse(_: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    map_text(v, |s| s.chars().rev().collect())
}

fn length_error(name: &str) -> SqlError {
    SqlError::new(537, 16, format!("Invalid length parameter passed to the {name} function."))
}

/// `count` units from `from` (0-based).
fn slice(s: &str, from: usize, count: usize, wide: bool) -> String {
    let mut at = 0;
    let mut out = String::new();
    for c in s.chars() {
        let width = if wide { c.len_utf16() } else { 1 };
        if at >= from && at + width <= from + count {
            out.push(c);
        }
        at += width;
    }
    out
}

pub(crate) fn left(_: &mut Ctx<'_>, v: &[Value], t: &[SqlType]) -> Out {
    let (Some(s), Some(count)) = (text(v, 0), v[1].as_i64()) else { return Ok(Value::Null) };
    let count = usize::try_from(count).map_err(|_| length_error("LEFT"))?;
    Ok(Value::str(slice(s, 0, count, t[0].is_wide())))
}

pub(crate) fn right(_: &mut Ctx<'_>, v: &[Value], t: &[SqlType]) -> Out {
    let (Some(s), Some(count)) = (text(v, 0), v[1].as_i64()) else { return Ok(Value::Null) };
    let count = usize::try_from(count).map_err(|_| length_error("RIGHT"))?;
    let total = units(s, t[0].is_wide());
    Ok(Value::str(slice(s, total.saturating_sub(count), count, t[0].is_wide())))
}

pub(crate) fn substring(_: &mut Ctx<'_>, v: &[Value], t: &[SqlType]) -> Out {
    let (Some(from), Some(count)) = (v[1].as_i64(), v[2].as_i64()) else { return Ok(Value::Null) };
    if count < 0 {
        return Err(length_error("SUBSTRING"));
    }
    let end = from.saturating_add(count);
    let start = from.max(1);
    let count = usize::try_from((end - start).max(0)).unwrap_or(0);
    let start = usize::try_from(start - 1).unwrap_or(0);
    Ok(match &v[0] {
        Value::Str(s) => Value::str(slice(s, start, count, t[0].is_wide())),
        Value::Bin(b) => Value::bin(b.iter().skip(start).take(count).copied().collect::<Vec<_>>()),
        _ => Value::Null,
    })
}

pub(crate) fn stuff(_: &mut Ctx<'_>, v: &[Value], t: &[SqlType]) -> Out {
    let (Some(s), Some(from), Some(count)) = (text(v, 0), v[1].as_i64(), v[2].as_i64()) else {
        return Ok(Value::Null);
    };
    let total = units(s, t[0].is_wide());
    let (Ok(from), Ok(count)) = (usize::try_from(from - 1), usize::try_from(count)) else {
        return Ok(Value::Null);
    };
    if from >= total {
        return Ok(Value::Null);
    }
    let wide = t[0].is_wide();
    let head = slice(s, 0, from, wide);
    let tail = slice(s, from + count, total, wide);
    Ok(Value::str(format!("{head}{}{tail}", text(v, 3).unwrap_or_default())))
}

fn replace_with(v: &[Value], fold: bool) -> Out {
    let (Some(s), Some(from), Some(to)) = (text(v, 0), text(v, 1), text(v, 2)) else {
        return Ok(Value::Null);
    };
    if from.is_empty() {
        return Ok(v[0].clone());
    }
    if !fold {
        return Ok(Value::str(s.replace(from, to)));
    }
    let (chars, pattern): (Vec<char>, Vec<char>) = (s.chars().collect(), from.chars().collect());
    let same = |a: char, b: char| a == b || a.to_lowercase().eq(b.to_lowercase());
    let mut out = String::new();
    let mut i = 0;
    while i < chars.len() {
        let hit = i + pattern.len() <= chars.len()
            && pattern.iter().zip(&chars[i..]).all(|(p, c)| same(*p, *c));
        if hit {
            out.push_str(to);
            i += pattern.len();
        } else {
            out.push(chars[i]);
            i += 1;
        }
    }
    Ok(Value::str(out))
}

pub(crate) fn replace(_: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    replace_with(v, false)
}

pub(crate) fn replace_ignoring_case(_: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    replace_with(v, true)
}

pub(crate) fn replicate(_: &mut Ctx<'_>, v: &[Value], t: &[SqlType]) -> Out {
    let (Some(s), Some(count)) = (text(v, 0), v[1].as_i64()) else { return Ok(Value::Null) };
    let Ok(count) = usize::try_from(count) else { return Ok(Value::Null) };
    if s.len().saturating_mul(count) > 1 << 28 {
        return Err(unsupported("REPLICATE beyond 256 MiB"));
    }
    let all = s.repeat(count);
    let result = t.last().copied().unwrap_or(SqlType::VarChar(Len::Max));
    let limit = result.len().map_or(8000, Len::units);
    Ok(Value::str(if units(&all, result.is_wide()) > limit {
        convert::cut(&all, limit, result.is_wide())
    } else {
        all
    }))
}

pub(crate) fn space(_: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    Ok(v[0]
        .as_i64()
        .and_then(|c| usize::try_from(c).ok())
        .map_or(Value::Null, |c| Value::str(" ".repeat(c.min(8000)))))
}

fn find(v: &[Value], fold: bool) -> Out {
    let (Some(needle), Some(hay)) = (text(v, 0), text(v, 1)) else { return Ok(Value::Null) };
    let from = v.get(2).and_then(Value::as_i64).unwrap_or(1).max(1);
    let start = usize::try_from(from - 1).unwrap_or(0);
    let (h, x): (Vec<char>, Vec<char>) = (hay.chars().collect(), needle.chars().collect());
    if x.is_empty() {
        return Ok(Value::Int(0));
    }
    let same = |a: char, b: char| a == b || (fold && a.to_lowercase().eq(b.to_lowercase()));
    let hit = (start..h.len())
        .find(|i| i + x.len() <= h.len() && x.iter().zip(&h[*i..]).all(|(p, c)| same(*p, *c)));
    Ok(hit.map_or(Value::Int(0), |i| n(h[..i].iter().map(|c| c.len_utf16()).sum::<usize>() + 1)))
}

pub(crate) fn charindex(_: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    find(v, false)
}

pub(crate) fn charindex_ignoring_case(_: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    find(v, true)
}

fn shown(v: &Value, t: SqlType) -> Result<String> {
    Ok(match v {
        Value::Str(s) => s.to_string(),
        other => {
            let out = convert::cast(other, t, SqlType::NVarChar(Len::N(4000)), None)?;
            out.as_str().unwrap_or_default().to_owned()
        }
    })
}

pub(crate) fn concat(_: &mut Ctx<'_>, v: &[Value], t: &[SqlType]) -> Out {
    let mut out = String::new();
    for (x, ty) in v.iter().zip(t) {
        if !x.is_null() {
            out.push_str(&shown(x, *ty)?);
        }
    }
    Ok(Value::str(out))
}

pub(crate) fn concat_ws(_: &mut Ctx<'_>, v: &[Value], t: &[SqlType]) -> Out {
    let mut parts = Vec::new();
    for (x, ty) in v.iter().zip(t).skip(1) {
        if !x.is_null() {
            parts.push(shown(x, *ty)?);
        }
    }
    Ok(Value::str(parts.join(text(v, 0).unwrap_or_default())))
}

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

fn whole(v: &Value, t: SqlType, up: bool) -> Value {
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

fn as_float(v: &Value, t: SqlType) -> Result<Option<f64>> {
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

pub(crate) fn isjson(_: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    Ok(text(v, 0).map_or(Value::Null, |s| {
        let ok = serde_json::from_str::<serde_json::Value>(s)
            .is_ok_and(|j| j.is_object() || j.is_array());
        Value::Int(i64::from(ok))
    }))
}

pub(crate) fn json_value(_: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    let (Some(doc), Some(path)) = (text(v, 0), text(v, 1)) else { return Ok(Value::Null) };
    let bad_path = || {
        SqlError::new(13_607, 16, format!("JSON path is not properly formatted. Path: '{path}'."))
    };
    let json: serde_json::Value = serde_json::from_str(doc)
        .map_err(|_| SqlError::new(13_609, 16, "JSON text is not properly formatted.").state(4))?;
    let path = path.trim();
    let (strict, path) = match path.strip_prefix("strict ") {
        Some(rest) => (true, rest),
        None => (false, path.strip_prefix("lax ").unwrap_or(path)),
    };
    let mut rest = path.trim().strip_prefix('$').ok_or_else(bad_path)?;
    let mut at = Some(&json);
    while !rest.is_empty() {
        if let Some(r) = rest.strip_prefix('.') {
            let (name, after) = match r.strip_prefix('"') {
                Some(q) => {
                    let (name, after) = q.split_once('"').ok_or_else(bad_path)?;
                    (name, after)
                }
                None => {
                    let end = r.find(['.', '[']).unwrap_or(r.len());
                    r.split_at(end)
                }
            };
            if name.is_empty() {
                return Err(bad_path());
            }
            at = at.and_then(|j| j.get(name));
            rest = after;
        } else if let Some(r) = rest.strip_prefix('[') {
            let (index, after) = r.split_once(']').ok_or_else(bad_path)?;
            let index: usize = index.parse().map_err(|_| bad_path())?;
            at = at.and_then(|j| j.get(index));
            rest = after;
        } else {
            return Err(bad_path());
        }
    }
    Ok(match at {
        Some(serde_json::Value::String(s)) if utf16_len(s) <= 4000 => Value::str(s),
        Some(serde_json::Value::Number(x)) => Value::str(x.to_string()),
        Some(serde_json::Value::Bool(b)) => Value::str(b.to_string()),
        _ if strict => {
            return Err(SqlError::new(
                13_608,
                16,
                "Property cannot be found on the specified JSON path.",
            ));
        }
        _ => Value::Null,
    })
}

pub(crate) fn quotename(_: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    let Some(s) = text(v, 0).filter(|s| utf16_len(s) <= 128) else { return Ok(Value::Null) };
    let quote = match v.get(1) {
        None => '[',
        Some(q) => q.as_str().and_then(|q| q.chars().next()).unwrap_or('['),
    };
    let (open, close) = match quote {
        '[' | ']' => ('[', ']'),
        '\'' | '"' | '`' => (quote, quote),
        '(' | ')' => ('(', ')'),
        '<' | '>' => ('<', '>'),
        '{' | '}' => ('{', '}'),
        _ => return Ok(Value::Null),
    };
    let doubled: String =
        s.chars().flat_map(|c| std::iter::repeat_n(c, if c == close { 2 } else { 1 })).collect();
    Ok(Value::str(format!("{open}{doubled}{close}")))
}

pub(crate) fn parsename(_: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    let Some(name) = text(v, 0).and_then(crate::tds::parse::object_name) else {
        return Ok(Value::Null);
    };
    let part = match v[1].as_i64() {
        Some(1) => Some(name.name),
        Some(2) => name.schema,
        Some(3) => name.db,
        _ => None,
    };
    Ok(part.map_or(Value::Null, Value::str))
}
