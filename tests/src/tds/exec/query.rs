//! Queries: joins, grouping, windows, order.

mod group;
use group::*;
mod join;
pub(crate) use join::*;

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use super::eval::{truth, value};
use super::{Cached, Cell, Ctx, Env, HashTable, Tuple};
use crate::tds::bind::{
    Access, AggKind, Aggregate, Grouping, JoinPlan, OrderKey, OutCol, Pred, QueryPlan, Rows,
    SelectPlan, SetPlan, Step, StepKind, TExpr, Window, WindowKind,
};
use crate::tds::engine::ObjectId;
use crate::tds::engine::table::{RowId, Slot};
use crate::tds::error::{Result, SqlError, overflow, unsupported};
use crate::tds::parse::ast::{Hints, Isolation, SetOp};
use crate::tds::types::{Row, SqlType, Value, convert, decimal, key};

/// Receives each joined tuple; false stops the join.
type Emit<'f> = &'f mut dyn FnMut(&mut Ctx<'_>, &Tuple) -> Result<bool>;

/// All rows of a query.
pub(crate) fn rows(
    ctx: &mut Ctx<'_>,
    plan: &QueryPlan,
    parent: Option<&Env<'_>>,
) -> Result<Vec<Row>> {
    let mut out = match &plan.body {
        SetPlan::Select(s) => select(ctx, s, &plan.columns, parent)?,
        SetPlan::Op { .. } => {
            let mut out = set(ctx, &plan.body, &plan.columns, parent)?;
            out.sort_by(|a, b| {
                for (i, desc) in &plan.order {
                    let o = key::compare_nulls_first(&a[*i], &b[*i], plan.columns[*i].label.coll());
                    if o != Ordering::Equal {
                        return if *desc { o.reverse() } else { o };
                    }
                }
                Ordering::Equal
            });
            out
        }
    };
    if let Some(offset) = &plan.offset {
        let n = count_of(ctx, offset)?;
        out.drain(..n.min(out.len()));
    }
    if let Some(fetch) = &plan.fetch {
        let n = count_of(ctx, fetch)?;
        out.truncate(n);
    }
    Ok(out)
}

/// The rows of a subquery, kept for the statement when they depend on nothing outside.
pub(crate) fn rows_cached(
    ctx: &mut Ctx<'_>,
    plan: &QueryPlan,
    env: &Env<'_>,
) -> Result<Rc<Vec<Row>>> {
    if let Some(Cached::Rows(rows)) = ctx.cache.get(&plan.cache) {
        return Ok(rows.clone());
    }
    let out = Rc::new(rows(ctx, plan, Some(env))?);
    if !plan.correlated {
        ctx.cache.insert(plan.cache, Cached::Rows(out.clone()));
    }
    Ok(out)
}

pub(crate) fn exists(ctx: &mut Ctx<'_>, plan: &QueryPlan, env: &Env<'_>) -> Result<bool> {
    if let Some(s) = plan.single()
        && s.grouping.is_none()
        && s.top.is_none()
        && plan.offset.is_none()
        && plan.fetch.is_none()
        && plan.correlated
    {
        let mut found = false;
        join(ctx, &s.join, Some(env), None, &mut |_, _| {
            found = true;
            Ok(false)
        })?;
        return Ok(found);
    }
    Ok(!rows_cached(ctx, plan, env)?.is_empty())
}

/// The value of TOP, OFFSET or FETCH.
pub(crate) fn count_of(ctx: &mut Ctx<'_>, e: &TExpr) -> Result<usize> {
    let v = value(ctx, e, &Env::default())?;
    let n = convert::cast(&v, e.ty, SqlType::BigInt, None)?.as_i64();
    n.and_then(|n| usize::try_from(n).ok()).ok_or_else(|| {
        SqlError::new(1060, 15, "The number of rows provided for a TOP or FETCH clauses row count parameter must be an integer.")
    })
}

fn row_key(row: &[Value], columns: &[OutCol]) -> Vec<u8> {
    let mut out = Vec::new();
    for (v, c) in row.iter().zip(columns) {
        key::push(&mut out, v, c.label.coll());
    }
    out
}

fn distinct(rows: Vec<Row>, columns: &[OutCol]) -> Vec<Row> {
    let mut seen = HashSet::new();
    rows.into_iter().filter(|r| seen.insert(row_key(r, columns))).collect()
}

fn set(
    ctx: &mut Ctx<'_>,
    plan: &SetPlan,
    columns: &[OutCol],
    parent: Option<&Env<'_>>,
) -> Result<Vec<Row>> {
    match plan {
        SetPlan::Select(s) => select(ctx, s, columns, parent),
        SetPlan::Op { op, left, right } => {
            let mut l = set(ctx, left, columns, parent)?;
            let r = set(ctx, right, columns, parent)?;
            Ok(match op {
                SetOp::UnionAll => {
                    l.extend(r);
                    l
                }
                SetOp::Union => {
                    l.extend(r);
                    distinct(l, columns)
                }
                SetOp::Except | SetOp::Intersect => {
                    let keys: HashSet<Vec<u8>> = r.iter().map(|x| row_key(x, columns)).collect();
                    let keep = *op == SetOp::Intersect;
                    let rest = l
                        .into_iter()
                        .filter(|x| keys.contains(&row_key(x, columns)) == keep)
                        .collect();
                    distinct(rest, columns)
                }
            })
        }
    }
}

/// One SELECT: joined, grouped, projected, ordered, cut.
fn select(
    ctx: &mut Ctx<'_>,
    s: &SelectPlan,
    columns: &[OutCol],
    parent: Option<&Env<'_>>,
) -> Result<Vec<Row>> {
    let top = match &s.top {
        Some(e) => Some(count_of(ctx, e)?),
        None => None,
    };
    if top == Some(0) {
        return Ok(Vec::new());
    }
    if let Some(g) = &s.grouping {
        let groups = group(ctx, s, g, parent)?;
        return finish(ctx, s, columns, parent, groups, top);
    }
    let simple = s.order.is_empty() && !s.distinct && s.windows.is_empty();
    if simple && s.assigns.is_empty() {
        let mut out = Vec::new();
        join(ctx, &s.join, parent, None, &mut |ctx, tuple| {
            let env = Env { tuple, parent, ..Env::default() };
            out.push(project(ctx, &s.items, &env)?);
            Ok(top.is_none_or(|n| out.len() < n))
        })?;
        return Ok(out);
    }
    let mut tuples = Vec::new();
    join(ctx, &s.join, parent, None, &mut |_, tuple| {
        tuples.push((tuple.clone(), Vec::new()));
        Ok(true)
    })?;
    finish(ctx, s, columns, parent, tuples, top)
}

fn project(ctx: &mut Ctx<'_>, items: &[TExpr], env: &Env<'_>) -> Result<Row> {
    let mut row = Vec::with_capacity(items.len());
    for item in items {
        row.push(value(ctx, item, env)?);
    }
    Ok(Arc::from(row))
}

/// Tuples with the values of their aggregates.
type Grouped = Vec<(Tuple, Vec<Value>)>;

fn finish(
    ctx: &mut Ctx<'_>,
    s: &SelectPlan,
    columns: &[OutCol],
    parent: Option<&Env<'_>>,
    tuples: Grouped,
    top: Option<usize>,
) -> Result<Vec<Row>> {
    let windows = windows(ctx, &s.windows, parent, &tuples)?;
    let mut out: Vec<(Row, Vec<Value>, usize)> = Vec::with_capacity(tuples.len());
    for (n, (tuple, aggregates)) in tuples.iter().enumerate() {
        let env =
            Env { tuple, aggregates, windows: windows.get(n).map_or(&[], Vec::as_slice), parent };
        let row = project(ctx, &s.items, &env)?;
        let mut keys = Vec::with_capacity(s.order.len());
        for (k, _) in &s.order {
            keys.push(match k {
                OrderKey::Output(i) => row[*i].clone(),
                OrderKey::Expr(e) => value(ctx, e, &env)?,
            });
        }
        out.push((row, keys, n));
    }
    if s.distinct {
        let mut seen = HashSet::new();
        out.retain(|(r, _, _)| seen.insert(row_key(r, columns)));
    }
    if !s.order.is_empty() {
        let colls: Vec<_> = s
            .order
            .iter()
            .map(|(k, _)| match k {
                OrderKey::Output(i) => columns[*i].label.coll(),
                OrderKey::Expr(e) => e.label.coll(),
            })
            .collect();
        out.sort_by(|a, b| {
            for (i, (_, desc)) in s.order.iter().enumerate() {
                let o = key::compare_nulls_first(&a.1[i], &b.1[i], colls[i]);
                if o != Ordering::Equal {
                    return if *desc { o.reverse() } else { o };
                }
            }
            Ordering::Equal
        });
    }
    if let Some(n) = top {
        out.truncate(n);
    }
    if !s.assigns.is_empty() {
        for (_, _, n) in &out {
            let (tuple, aggregates) = &tuples[*n];
            let env = Env {
                tuple,
                aggregates,
                windows: windows.get(*n).map_or(&[], Vec::as_slice),
                parent,
            };
            for (var, e) in &s.assigns {
                let v = value(ctx, e, &env)?;
                ctx.sess.vars[*var].value = v;
            }
        }
    }
    Ok(out.into_iter().map(|(r, _, _)| r).collect())
}
