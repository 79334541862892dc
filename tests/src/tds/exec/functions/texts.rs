//! Texts.

use super::*;

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

pub(super) fn map_text(v: &[Value], f: impl FnOnce(&str) -> String) -> Out {
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

pub(super) fn length_error(name: &str) -> SqlError {
    SqlError::new(537, 16, format!("Invalid length parameter passed to the {name} function."))
}

/// `count` units from `from` (0-based).
pub(super) fn slice(s: &str, from: usize, count: usize, wide: bool) -> String {
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

pub(super) fn replace_with(v: &[Value], fold: bool) -> Out {
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

pub(super) fn find(v: &[Value], fold: bool) -> Out {
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

pub(super) fn shown(v: &Value, t: SqlType) -> Result<String> {
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
