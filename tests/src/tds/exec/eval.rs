//! Values of expressions, truth of predicates.

use std::cmp::Ordering;

use super::{Cached, Cell, Ctx, Env};
use crate::tds::bind::{Kind, Pred, QueryPlan, TExpr};
use crate::tds::error::{Result, SqlError, overflow};
use crate::tds::parse::ast::BinOp;
use crate::tds::types::value::utf16_len;
use crate::tds::types::{Coll, Len, Row, SqlType, Value, convert, datetime, decimal, key};

pub(crate) fn value(ctx: &mut Ctx<'_>, e: &TExpr, env: &Env<'_>) -> Result<Value> {
    match &e.kind {
        Kind::Const(v) => Ok(v.clone()),
        Kind::Var(i) => Ok(ctx.sess.vars[*i].value.clone()),
        Kind::Column { depth, source, column } => Ok(column_of(env, *depth, *source, *column)),
        Kind::Cast { inner, style, attempt } => {
            let v = value(ctx, inner, env)?;
            let style = match style {
                Some(s) => value(ctx, s, env)?.as_i64(),
                None => None,
            };
            match convert::cast(&v, inner.ty, e.ty, style) {
                Err(x) if *attempt && x.number != 529 && x.number < 50_000 => Ok(Value::Null),
                other => other,
            }
        }
        Kind::Arith(op, a, b) => {
            let (x, y) = (value(ctx, a, env)?, value(ctx, b, env)?);
            if x.is_null() || y.is_null() {
                return Ok(Value::Null);
            }
            arithmetic(*op, &x, &y, e.ty)
        }
        Kind::Concat(a, b) => {
            let (x, y) = (value(ctx, a, env)?, value(ctx, b, env)?);
            Ok(concat(&x, &y, e.ty))
        }
        Kind::Negate(a) => match value(ctx, a, env)? {
            Value::Null => Ok(Value::Null),
            Value::Real(f) => Ok(Value::Real(-f)),
            Value::Float(f) => Ok(Value::Float(-f)),
            Value::Dec { hi, lo, scale } => Ok(Value::dec(-decimal::join(hi, lo), scale)),
            v => convert::cast(
                &Value::dec(-i128::from(v.as_i64().unwrap_or(0)), 0),
                SqlType::Decimal(38, 0),
                e.ty,
                None,
            ),
        },
        Kind::BitNot(a) => match value(ctx, a, env)? {
            Value::Bit(b) => Ok(Value::Bit(!b)),
            Value::Int(n) if e.ty == SqlType::TinyInt => Ok(Value::Int(255 - n)),
            Value::Int(n) => Ok(Value::Int(!n)),
            _ => Ok(Value::Null),
        },
        Kind::Case { whens, otherwise } => {
            for (test, then) in whens {
                if truth(ctx, test, env)? == Some(true) {
                    return value(ctx, then, env);
                }
            }
            match otherwise {
                Some(e) => value(ctx, e, env),
                None => Ok(Value::Null),
            }
        }
        Kind::Coalesce(list) => {
            for e in list {
                let v = value(ctx, e, env)?;
                if !v.is_null() {
                    return Ok(v);
                }
            }
            Ok(Value::Null)
        }
        Kind::Func { body, args, .. } => {
            let mut values = Vec::with_capacity(args.len());
            let mut types = Vec::with_capacity(args.len() + 1);
            for a in args {
                values.push(value(ctx, a, env)?);
                types.push(a.ty);
            }
            types.push(e.ty);
            body(ctx, &values, &types)
        }
        Kind::Subquery(plan) => {
            let rows = subquery_rows(ctx, plan, env)?;
            match rows.as_slice() {
                [] => Ok(Value::Null),
                [row] => Ok(row[0].clone()),
                _ => Err(many_rows()),
            }
        }
        Kind::Aggregate(i) => Ok(env.aggregates.get(*i).cloned().unwrap_or(Value::Null)),
        Kind::Window(i) => Ok(env.windows.get(*i).cloned().unwrap_or(Value::Null)),
    }
}

fn many_rows() -> SqlError {
    SqlError::new(
        512,
        16,
        "Subquery returned more than 1 value. This is not permitted when the subquery follows =, !=, <, <= , >, >= or when the subquery is used as an expression.",
    )
}

fn column_of(env: &Env<'_>, depth: usize, source: usize, column: usize) -> Value {
    let mut at = env;
    for _ in 0..depth {
        match at.parent {
            Some(p) => at = p,
            None => return Value::Null,
        }
    }
    match at.tuple.get(source) {
        Some(Some(Cell { row, .. })) => row[column].clone(),
        _ => Value::Null,
    }
}

fn concat(x: &Value, y: &Value, ty: SqlType) -> Value {
    match (x, y) {
        (Value::Str(a), Value::Str(b)) => {
            let limit = ty.len().map_or(usize::MAX, Len::units);
            let text = format!("{a}{b}");
            let length = if ty.is_wide() { utf16_len(&text) } else { text.chars().count() };
            if length > limit {
                Value::str(convert::cut(&text, limit, ty.is_wide()))
            } else {
                Value::str(text)
            }
        }
        (Value::Bin(a), Value::Bin(b)) => {
            let mut all = a.to_vec();
            all.extend_from_slice(b);
            Value::bin(all)
        }
        _ => Value::Null,
    }
}

fn divide_by_zero() -> SqlError {
    SqlError::new(8134, 16, "Divide by zero error encountered.")
}

pub(crate) fn arithmetic(op: BinOp, x: &Value, y: &Value, ty: SqlType) -> Result<Value> {
    match ty {
        SqlType::Real | SqlType::Float => float_arithmetic(op, x, y, ty),
        SqlType::DateTime | SqlType::SmallDateTime => {
            let (Value::DateTime(d, t), Value::DateTime(e, u)) = (x, y) else {
                return Ok(Value::Null);
            };
            let by =
                i128::from(*e - datetime::DAYS_1900) * i128::from(datetime::DAY) + i128::from(*u);
            let by = if op == BinOp::Sub { -by } else { by };
            let (d, t) = datetime::shift(*d, *t, by)
                .ok_or_else(|| overflow("expression to data type datetime"))?;
            convert::temporal(d, t, None, ty)
        }
        _ if ty.is_integer() => {
            let (Some(a), Some(b)) = (x.as_i64(), y.as_i64()) else { return Ok(Value::Null) };
            let (a, b) = (i128::from(a), i128::from(b));
            let n = match op {
                BinOp::Add => a + b,
                BinOp::Sub => a - b,
                BinOp::Mul => a * b,
                BinOp::Div if b == 0 => return Err(divide_by_zero()),
                BinOp::Mod if b == 0 => return Err(divide_by_zero()),
                BinOp::Div => a / b,
                BinOp::Mod => a % b,
                BinOp::BitAnd => a & b,
                BinOp::BitOr => a | b,
                _ => a ^ b,
            };
            let (low, high) = convert::int_range(ty);
            if (low..=high).contains(&n) {
                return Ok(Value::Int(i64::try_from(n).unwrap_or_default()));
            }
            Err(overflow(&format!("expression to data type {}", ty.name())))
        }
        _ => {
            let (Some(a), Some(b)) = (x.as_dec(), y.as_dec()) else { return Ok(Value::Null) };
            let (precision, scale) = ty.as_decimal();
            let over = || {
                overflow(&format!(
                    "expression to data type {}",
                    if ty.is_money() { ty.name() } else { "numeric" }
                ))
            };
            let n = match op {
                BinOp::Add | BinOp::Sub => {
                    let at = a.1.max(b.1);
                    let (p, q) = (decimal::rescale(a.0, a.1, at), decimal::rescale(b.0, b.1, at));
                    let (Some(p), Some(q)) = (p, q) else { return Err(over()) };
                    let sum = if op == BinOp::Add { p.checked_add(q) } else { p.checked_sub(q) };
                    sum.and_then(|s| decimal::rescale(s, at, scale))
                }
                BinOp::Mul => decimal::multiply(a, b, scale),
                BinOp::Div | BinOp::Mod if b.0 == 0 => return Err(divide_by_zero()),
                BinOp::Div => decimal::divide(a, b, scale),
                _ => {
                    let at = a.1.max(b.1);
                    match (decimal::rescale(a.0, a.1, at), decimal::rescale(b.0, b.1, at)) {
                        (Some(p), Some(q)) => decimal::rescale(p % q, at, scale),
                        _ => None,
                    }
                }
            };
            let n = n.ok_or_else(over)?;
            if !decimal::fits(n, precision) {
                return Err(over());
            }
            Ok(Value::dec(n, scale))
        }
    }
}

fn float_arithmetic(op: BinOp, x: &Value, y: &Value, ty: SqlType) -> Result<Value> {
    let get = |v: &Value| match v {
        Value::Real(f) => f64::from(*f),
        Value::Float(f) => *f,
        _ => f64::NAN,
    };
    let (a, b) = (get(x), get(y));
    let f = match op {
        BinOp::Add => a + b,
        BinOp::Sub => a - b,
        BinOp::Mul => a * b,
        BinOp::Div if b == 0.0 => return Err(divide_by_zero()),
        BinOp::Div => a / b,
        _ => {
            return Err(SqlError::new(
                402,
                16,
                format!(
                    "The data types float and float are incompatible in the {} operator.",
                    op.words()
                ),
            ));
        }
    };
    if !f.is_finite() {
        return Err(overflow(&format!("expression to data type {}", ty.name())));
    }
    convert::cast(&Value::Float(f), SqlType::Float, ty, None)
}

fn compare(op: BinOp, a: &Value, b: &Value, coll: Option<Coll>) -> bool {
    match op {
        BinOp::Eq => key::equal(a, b, coll),
        BinOp::Ne => !key::equal(a, b, coll),
        _ => {
            let order = key::compare(a, b, coll);
            match op {
                BinOp::Lt => order == Ordering::Less,
                BinOp::Le => order != Ordering::Greater,
                BinOp::Gt => order == Ordering::Greater,
                _ => order != Ordering::Less,
            }
        }
    }
}

pub(crate) fn truth(ctx: &mut Ctx<'_>, p: &Pred, env: &Env<'_>) -> Result<Option<bool>> {
    Ok(match p {
        Pred::Compare { op, left, right, coll } => {
            let (a, b) = (value(ctx, left, env)?, value(ctx, right, env)?);
            if a.is_null() || b.is_null() {
                return Ok(None);
            }
            Some(compare(*op, &a, &b, *coll))
        }
        Pred::And(a, b) => match truth(ctx, a, env)? {
            Some(false) => Some(false),
            first => match (first, truth(ctx, b, env)?) {
                (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
        },
        Pred::Or(a, b) => match truth(ctx, a, env)? {
            Some(true) => Some(true),
            first => match (first, truth(ctx, b, env)?) {
                (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
        },
        Pred::Not(a) => truth(ctx, a, env)?.map(|b| !b),
        Pred::IsNull(e) => Some(value(ctx, e, env)?.is_null()),
        Pred::InList { expr, list, coll } => {
            let v = value(ctx, expr, env)?;
            if v.is_null() {
                return Ok(None);
            }
            let mut unknown = false;
            for item in list {
                let w = value(ctx, item, env)?;
                if w.is_null() {
                    unknown = true;
                } else if key::equal(&v, &w, *coll) {
                    return Ok(Some(true));
                }
            }
            if unknown { None } else { Some(false) }
        }
        Pred::InQuery { expr, plan, coll } => in_query(ctx, expr, plan, *coll, env)?,
        Pred::Exists(plan) => Some(super::query::exists(ctx, plan, env)?),
        Pred::Quantified { expr, op, all, plan, coll } => {
            let v = value(ctx, expr, env)?;
            let rows = subquery_rows(ctx, plan, env)?;
            let mut unknown = false;
            for row in rows.iter() {
                if v.is_null() || row[0].is_null() {
                    unknown = true;
                } else if compare(*op, &v, &row[0], *coll) != *all {
                    return Ok(Some(!*all));
                }
            }
            if unknown { None } else { Some(*all) }
        }
        Pred::Like { expr, pattern, escape, coll } => {
            let (v, p) = (value(ctx, expr, env)?, value(ctx, pattern, env)?);
            let escape = match escape {
                Some(e) => value(ctx, e, env)?.as_str().and_then(|s| s.chars().next()),
                None => None,
            };
            match (v.as_str(), p.as_str()) {
                (Some(v), Some(p)) => Some(like(v, p, escape, *coll)),
                _ => None,
            }
        }
    })
}

/// A predicate without variables, functions or subqueries, over one row.
pub(crate) fn pure_predicate(p: &Pred, row: &[Value]) -> Option<bool> {
    match p {
        Pred::And(a, b) => match (pure_predicate(a, row), pure_predicate(b, row)) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        },
        Pred::Or(a, b) => match (pure_predicate(a, row), pure_predicate(b, row)) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        },
        Pred::Not(a) => pure_predicate(a, row).map(|b| !b),
        Pred::IsNull(e) => Some(pure_value(e, row).is_null()),
        Pred::Compare { op, left, right, coll } => {
            let (a, b) = (pure_value(left, row), pure_value(right, row));
            (!a.is_null() && !b.is_null()).then(|| compare(*op, &a, &b, *coll))
        }
        Pred::InList { expr, list, coll } => {
            let v = pure_value(expr, row);
            (!v.is_null()).then(|| list.iter().any(|i| key::equal(&v, &pure_value(i, row), *coll)))
        }
        _ => None,
    }
}

fn pure_value(e: &TExpr, row: &[Value]) -> Value {
    match &e.kind {
        Kind::Const(v) => v.clone(),
        Kind::Column { column, .. } => row.get(*column).cloned().unwrap_or(Value::Null),
        Kind::Cast { inner, .. } => {
            convert::cast(&pure_value(inner, row), inner.ty, e.ty, None).unwrap_or(Value::Null)
        }
        _ => Value::Null,
    }
}

fn in_query(
    ctx: &mut Ctx<'_>,
    expr: &TExpr,
    plan: &QueryPlan,
    coll: Option<Coll>,
    env: &Env<'_>,
) -> Result<Option<bool>> {
    let v = value(ctx, expr, env)?;
    let keys = match ctx.cache.get(&(usize::MAX - plan.cache)) {
        Some(Cached::Keys(k)) => k.clone(),
        _ => {
            let rows = subquery_rows(ctx, plan, env)?;
            let mut set = std::collections::HashSet::new();
            let mut null = false;
            for row in rows.iter() {
                if row[0].is_null() {
                    null = true;
                } else {
                    let mut k = Vec::new();
                    key::push(&mut k, &row[0], coll);
                    set.insert(k);
                }
            }
            let keys = std::rc::Rc::new((set, null));
            if !plan.correlated {
                ctx.cache.insert(usize::MAX - plan.cache, Cached::Keys(keys.clone()));
            }
            keys
        }
    };
    if v.is_null() {
        return Ok(if keys.0.is_empty() && !keys.1 { Some(false) } else { None });
    }
    let mut k = Vec::new();
    key::push(&mut k, &v, coll);
    if keys.0.contains(&k) {
        return Ok(Some(true));
    }
    Ok(if keys.1 { None } else { Some(false) })
}

fn subquery_rows(
    ctx: &mut Ctx<'_>,
    plan: &QueryPlan,
    env: &Env<'_>,
) -> Result<std::rc::Rc<Vec<Row>>> {
    super::query::rows_cached(ctx, plan, env)
}

/// LIKE with `%`, `_`, `[a-z]`, `[^a]` and an escape character.
fn like(text: &str, pattern: &str, escape: Option<char>, coll: Option<Coll>) -> bool {
    let same = |a: char, b: char| {
        a == b
            || coll
                .is_some_and(|c| !c.is_case_sensitive() && c.equal(&a.to_string(), &b.to_string()))
    };
    let text: Vec<char> = text.chars().collect();
    let pattern: Vec<char> = pattern.chars().collect();
    like_at(&text, &pattern, escape, &same)
}

fn like_at(
    text: &[char],
    pattern: &[char],
    escape: Option<char>,
    same: &dyn Fn(char, char) -> bool,
) -> bool {
    let Some((&p, rest)) = pattern.split_first() else {
        // Trailing blanks of the text do not count.
        return text.iter().all(|c| *c == ' ');
    };
    if Some(p) == escape {
        let Some((&literal, rest)) = rest.split_first() else { return false };
        return text
            .split_first()
            .is_some_and(|(&c, t)| same(c, literal) && like_at(t, rest, escape, same));
    }
    match p {
        '%' => (0..=text.len()).any(|i| like_at(&text[i..], rest, escape, same)),
        '_' => text.split_first().is_some_and(|(_, t)| like_at(t, rest, escape, same)),
        '[' => {
            let Some(end) = rest.iter().skip(1).position(|c| *c == ']').map(|i| i + 1) else {
                return false;
            };
            let Some((&c, t)) = text.split_first() else { return false };
            let (set, rest) = (&rest[..end], &rest[end + 1..]);
            let (negated, set) =
                if set.first() == Some(&'^') { (true, &set[1..]) } else { (false, set) };
            let mut hit = false;
            let mut i = 0;
            while i < set.len() {
                if i + 2 < set.len() && set[i + 1] == '-' {
                    hit |= (set[i]..=set[i + 2]).contains(&c)
                        || (set[i]..=set[i + 2]).contains(&c.to_ascii_lowercase())
                            && same('a', 'A');
                    i += 3;
                } else {
                    hit |= same(set[i], c);
                    i += 1;
                }
            }
            hit != negated && like_at(t, rest, escape, same)
        }
        _ => text.split_first().is_some_and(|(&c, t)| same(c, p) && like_at(t, rest, escape, same)),
    }
}
