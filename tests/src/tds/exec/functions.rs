//! Bodies of the scalar functions on values. Catalog and session functions are re-exported.

mod dates;
pub(crate) use dates::*;
mod numbers;
pub(crate) use numbers::*;
mod texts;
pub(crate) use texts::*;

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
