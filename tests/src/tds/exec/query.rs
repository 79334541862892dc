//! Queries: joins, grouping, windows, order.

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

/// What a reader does with a row that another session has changed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Wait,
    Committed,
    Dirty,
    Skip,
}

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

struct Accumulator {
    count: i64,
    sum: Option<Value>,
    best: Option<Value>,
    texts: Vec<(Vec<Value>, String)>,
    separator: String,
    seen: HashSet<Vec<u8>>,
}

impl Accumulator {
    fn new() -> Accumulator {
        Accumulator {
            count: 0,
            sum: None,
            best: None,
            texts: Vec::new(),
            separator: String::new(),
            seen: HashSet::new(),
        }
    }

    fn add(&mut self, ctx: &mut Ctx<'_>, a: &Aggregate, env: &Env<'_>) -> Result<()> {
        let Some(arg) = &a.arg else {
            self.count += 1;
            return Ok(());
        };
        let v = value(ctx, arg, env)?;
        if v.is_null() {
            return Ok(());
        }
        if a.distinct {
            let mut k = Vec::new();
            key::push(&mut k, &v, arg.label.coll());
            if !self.seen.insert(k) {
                return Ok(());
            }
        }
        self.count += 1;
        match a.kind {
            AggKind::Sum | AggKind::Avg => {
                let v = if a.ty == SqlType::Float {
                    convert::cast(&v, arg.ty, SqlType::Float, None)?
                } else {
                    v
                };
                self.sum = Some(match self.sum.take() {
                    None => v,
                    Some(Value::Float(x)) => match v {
                        Value::Float(y) => Value::Float(x + y),
                        _ => Value::Float(x),
                    },
                    Some(s) => {
                        let (Some((x, xs)), Some((y, ys))) = (s.as_dec(), v.as_dec()) else {
                            return Ok(());
                        };
                        let at = xs.max(ys);
                        let sum = decimal::rescale(x, xs, at)
                            .zip(decimal::rescale(y, ys, at))
                            .and_then(|(x, y)| x.checked_add(y))
                            .ok_or_else(|| overflow("expression to data type numeric"))?;
                        Value::dec(sum, at)
                    }
                });
            }
            AggKind::Min | AggKind::Max => {
                let better = self.best.as_ref().is_none_or(|b| {
                    let o = key::compare(&v, b, arg.label.coll());
                    if a.kind == AggKind::Min {
                        o == Ordering::Less
                    } else {
                        o == Ordering::Greater
                    }
                });
                if better {
                    self.best = Some(v);
                }
            }
            AggKind::StringAgg => {
                if let Some(sep) = &a.separator {
                    self.separator = value(ctx, sep, env)?.as_str().unwrap_or_default().to_owned();
                }
                let mut keys = Vec::new();
                for (e, _) in &a.order {
                    keys.push(value(ctx, e, env)?);
                }
                self.texts.push((keys, v.as_str().unwrap_or_default().to_owned()));
            }
            AggKind::Count | AggKind::CountBig | AggKind::CountStar => {}
        }
        Ok(())
    }

    fn finish(mut self, a: &Aggregate) -> Result<Value> {
        Ok(match a.kind {
            AggKind::Count | AggKind::CountStar | AggKind::CountBig => Value::Int(self.count),
            AggKind::Min | AggKind::Max => self.best.unwrap_or(Value::Null),
            AggKind::Sum => match self.sum {
                None => Value::Null,
                Some(Value::Float(f)) => Value::Float(f),
                Some(v) => {
                    let (n, s) = v.as_dec().unwrap_or_default();
                    convert::cast(&Value::dec(n, s), SqlType::Decimal(38, s), a.ty, None).map_err(
                        |_| overflow(&format!("expression to data type {}", a.ty.name())),
                    )?
                }
            },
            AggKind::Avg => match self.sum {
                None => Value::Null,
                Some(Value::Float(f)) => Value::Float(f / int_to_f64(self.count)),
                Some(v) => {
                    let (_, scale) = a.ty.as_decimal();
                    let n = decimal::divide(
                        v.as_dec().unwrap_or_default(),
                        (i128::from(self.count), 0),
                        scale,
                    )
                    .ok_or_else(|| overflow("expression to data type numeric"))?;
                    convert::cast(&Value::dec(n, scale), SqlType::Decimal(38, scale), a.ty, None)?
                }
            },
            AggKind::StringAgg => {
                if self.texts.is_empty() {
                    return Ok(Value::Null);
                }
                self.texts.sort_by(|x, y| {
                    for (i, (e, desc)) in a.order.iter().enumerate() {
                        let o = key::compare_nulls_first(&x.0[i], &y.0[i], e.label.coll());
                        if o != Ordering::Equal {
                            return if *desc { o.reverse() } else { o };
                        }
                    }
                    Ordering::Equal
                });
                let all: Vec<&str> = self.texts.iter().map(|(_, t)| t.as_str()).collect();
                Value::str(all.join(&self.separator))
            }
        })
    }
}

fn int_to_f64(n: i64) -> f64 {
    n.to_string().parse().unwrap_or(f64::NAN)
}

fn group(
    ctx: &mut Ctx<'_>,
    s: &SelectPlan,
    g: &Grouping,
    parent: Option<&Env<'_>>,
) -> Result<Grouped> {
    let mut index: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut groups: Vec<(Tuple, Vec<Accumulator>)> = Vec::new();
    let fresh = || g.aggregates.iter().map(|_| Accumulator::new()).collect::<Vec<_>>();
    join(ctx, &s.join, parent, None, &mut |ctx, tuple| {
        let env = Env { tuple, parent, ..Env::default() };
        let mut k = Vec::new();
        for e in &g.keys {
            let v = value(ctx, e, &env)?;
            key::push(&mut k, &v, e.label.coll());
        }
        let at = *index.entry(k).or_insert_with(|| {
            groups.push((tuple.clone(), fresh()));
            groups.len() - 1
        });
        for (acc, a) in groups[at].1.iter_mut().zip(&g.aggregates) {
            acc.add(ctx, a, &env)?;
        }
        Ok(true)
    })?;
    if groups.is_empty() && g.scalar {
        groups.push((vec![None; s.join.sources.len()], fresh()));
    }
    let mut out = Vec::new();
    for (tuple, accs) in groups {
        let mut values = Vec::with_capacity(accs.len());
        for (acc, a) in accs.into_iter().zip(&g.aggregates) {
            values.push(acc.finish(a)?);
        }
        if let Some(having) = &g.having {
            let env = Env { tuple: &tuple, aggregates: &values, parent, windows: &[] };
            if truth(ctx, having, &env)? != Some(true) {
                continue;
            }
        }
        out.push((tuple, values));
    }
    Ok(out)
}

/// The window functions of every tuple.
fn windows(
    ctx: &mut Ctx<'_>,
    list: &[Window],
    parent: Option<&Env<'_>>,
    tuples: &Grouped,
) -> Result<Vec<Vec<Value>>> {
    if list.is_empty() {
        return Ok(Vec::new());
    }
    let mut out = vec![Vec::with_capacity(list.len()); tuples.len()];
    for w in list {
        let mut parts: HashMap<Vec<u8>, Vec<(usize, Vec<Value>)>> = HashMap::new();
        for (n, (tuple, aggregates)) in tuples.iter().enumerate() {
            let env = Env { tuple, aggregates, parent, windows: &[] };
            let mut k = Vec::new();
            for e in &w.partition {
                let v = value(ctx, e, &env)?;
                key::push(&mut k, &v, e.label.coll());
            }
            let mut order = Vec::new();
            for (e, _) in &w.order {
                order.push(value(ctx, e, &env)?);
            }
            parts.entry(k).or_default().push((n, order));
        }
        let mut values = vec![Value::Null; tuples.len()];
        for mut part in parts.into_values() {
            part.sort_by(|a, b| order_values(&a.1, &b.1, &w.order));
            one_window(ctx, w, parent, tuples, &part, &mut values)?;
        }
        for (row, v) in out.iter_mut().zip(values) {
            row.push(v);
        }
    }
    Ok(out)
}

fn order_values(a: &[Value], b: &[Value], order: &[(TExpr, bool)]) -> Ordering {
    for (i, (e, desc)) in order.iter().enumerate() {
        let o = key::compare_nulls_first(&a[i], &b[i], e.label.coll());
        if o != Ordering::Equal {
            return if *desc { o.reverse() } else { o };
        }
    }
    Ordering::Equal
}

fn one_window(
    ctx: &mut Ctx<'_>,
    w: &Window,
    parent: Option<&Env<'_>>,
    tuples: &Grouped,
    part: &[(usize, Vec<Value>)],
    values: &mut [Value],
) -> Result<()> {
    let number = |i: usize| Value::Int(i64::try_from(i).unwrap_or(i64::MAX));
    match &w.kind {
        WindowKind::RowNumber => {
            for (i, (n, _)) in part.iter().enumerate() {
                values[*n] = number(i + 1);
            }
        }
        WindowKind::Rank | WindowKind::DenseRank => {
            let (mut rank, mut dense) = (0, 0);
            for (i, (n, keys)) in part.iter().enumerate() {
                if i == 0 || order_values(&part[i - 1].1, keys, &w.order) != Ordering::Equal {
                    rank = i + 1;
                    dense += 1;
                }
                values[*n] = number(if matches!(w.kind, WindowKind::Rank) { rank } else { dense });
            }
        }
        WindowKind::Lag(e, step) => {
            for (i, (n, _)) in part.iter().enumerate() {
                let other = i64::try_from(i).unwrap_or(0) + step;
                if let Some((m, _)) = usize::try_from(other).ok().and_then(|o| part.get(o)) {
                    let (tuple, aggregates) = &tuples[*m];
                    let env = Env { tuple, aggregates, parent, windows: &[] };
                    values[*n] = value(ctx, e, &env)?;
                }
            }
        }
        WindowKind::Aggregate(a) => {
            let mut acc = Accumulator::new();
            for (n, _) in part {
                let (tuple, aggregates) = &tuples[*n];
                let env = Env { tuple, aggregates, parent, windows: &[] };
                acc.add(ctx, a, &env)?;
            }
            let v = acc.finish(a)?;
            for (n, _) in part {
                values[*n] = v.clone();
            }
        }
    }
    Ok(())
}

/// Joins the sources depth first; `target` is the source that will be written.
pub(crate) fn join(
    ctx: &mut Ctx<'_>,
    plan: &JoinPlan,
    parent: Option<&Env<'_>>,
    target: Option<usize>,
    emit: Emit<'_>,
) -> Result<()> {
    let mut tuple: Tuple = vec![None; plan.sources.len()];
    for p in &plan.first {
        let env = Env { tuple: &tuple, parent, ..Env::default() };
        if truth(ctx, p, &env)? != Some(true) {
            return Ok(());
        }
    }
    let mut run = Run { plan, parent, target, matched: HashSet::new(), local: HashMap::new() };
    if !run.step(ctx, 0, &mut tuple, emit)? {
        return Ok(());
    }
    run.unmatched(ctx, emit)
}

struct Run<'p> {
    plan: &'p JoinPlan,
    parent: Option<&'p Env<'p>>,
    target: Option<usize>,
    /// Rows of a full join's right side that found a partner.
    matched: HashSet<RowId>,
    /// Rows of sources that may not be cached for the whole statement.
    local: HashMap<usize, Rc<Vec<Cell>>>,
}

impl Run<'_> {
    fn step(
        &mut self,
        ctx: &mut Ctx<'_>,
        n: usize,
        tuple: &mut Tuple,
        emit: Emit<'_>,
    ) -> Result<bool> {
        let plan = self.plan;
        let Some(step) = plan.steps.get(n) else { return emit(ctx, tuple) };
        let candidates = self.candidates(ctx, step, tuple)?;
        let mut found = false;
        for (i, cell) in candidates.iter().enumerate() {
            if i % 4096 == 4095 {
                ctx.check_cancel()?;
            }
            tuple[step.source] = Some(cell.clone());
            if !self.all(ctx, &step.on, tuple)? {
                continue;
            }
            found = true;
            if step.kind == StepKind::Full {
                self.matched.insert(cell.id);
            }
            if self.all(ctx, &step.after, tuple)? && !self.step(ctx, n + 1, tuple, emit)? {
                tuple[step.source] = None;
                return Ok(false);
            }
        }
        tuple[step.source] = None;
        if !found && step.kind != StepKind::Inner && self.all(ctx, &step.after, tuple)? {
            return self.step(ctx, n + 1, tuple, emit);
        }
        Ok(true)
    }

    /// The right rows of a full join that nothing matched.
    fn unmatched(&mut self, ctx: &mut Ctx<'_>, emit: Emit<'_>) -> Result<()> {
        let plan = self.plan;
        let Some(n) = plan.steps.iter().position(|s| s.kind == StepKind::Full) else {
            return Ok(());
        };
        let step = &plan.steps[n];
        let all = self.source_rows(ctx, step)?;
        for cell in all.iter() {
            if self.matched.contains(&cell.id) {
                continue;
            }
            let mut tuple: Tuple = vec![None; plan.sources.len()];
            tuple[step.source] = Some(cell.clone());
            if self.all(ctx, &step.after, &tuple)? && !self.step(ctx, n + 1, &mut tuple, emit)? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn all(&self, ctx: &mut Ctx<'_>, preds: &[Pred], tuple: &Tuple) -> Result<bool> {
        let env = Env { tuple, parent: self.parent, ..Env::default() };
        for p in preds {
            if truth(ctx, p, &env)? != Some(true) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn candidates(
        &mut self,
        ctx: &mut Ctx<'_>,
        step: &Step,
        tuple: &Tuple,
    ) -> Result<Rc<Vec<Cell>>> {
        match &step.access {
            Access::Scan => self.source_rows_at(ctx, step, tuple),
            Access::Hash { build, probe, colls } => {
                let table = self.hash_table(ctx, step, build, colls)?;
                let env = Env { tuple, parent: self.parent, ..Env::default() };
                let mut k = Vec::new();
                for (e, coll) in probe.iter().zip(colls) {
                    let v = value(ctx, e, &env)?;
                    if v.is_null() {
                        return Ok(Rc::default());
                    }
                    key::push(&mut k, &v, *coll);
                }
                Ok(table.get(&k).cloned().unwrap_or_default())
            }
            Access::Index { index, keys, full } => {
                self.index_rows(ctx, step, tuple, *index, keys, *full)
            }
        }
    }

    fn hash_table(
        &mut self,
        ctx: &mut Ctx<'_>,
        step: &Step,
        build: &[TExpr],
        colls: &[Option<crate::tds::types::Coll>],
    ) -> Result<Rc<HashTable>> {
        let slot = usize::MAX / 2 + step.cache;
        if step.cache != 0
            && let Some(Cached::Hash(t)) = ctx.cache.get(&slot)
        {
            return Ok(t.clone());
        }
        let all = self.source_rows(ctx, step)?;
        let mut table: HashMap<Vec<u8>, Vec<Cell>> = HashMap::new();
        let mut tuple: Tuple = vec![None; self.plan.sources.len()];
        'rows: for cell in all.iter() {
            tuple[step.source] = Some(cell.clone());
            let env = Env { tuple: &tuple, parent: self.parent, ..Env::default() };
            let mut k = Vec::new();
            for (e, coll) in build.iter().zip(colls) {
                let v = value(ctx, e, &env)?;
                if v.is_null() {
                    continue 'rows;
                }
                key::push(&mut k, &v, *coll);
            }
            table.entry(k).or_default().push(cell.clone());
        }
        let table: Rc<HashTable> =
            Rc::new(table.into_iter().map(|(k, v)| (k, Rc::new(v))).collect());
        if step.cache != 0 {
            ctx.cache.insert(slot, Cached::Hash(table.clone()));
        }
        Ok(table)
    }

    fn source_rows(&mut self, ctx: &mut Ctx<'_>, step: &Step) -> Result<Rc<Vec<Cell>>> {
        let tuple: Tuple = vec![None; self.plan.sources.len()];
        self.source_rows_at(ctx, step, &tuple)
    }

    /// Every row of a source that passes its own predicates.
    fn source_rows_at(
        &mut self,
        ctx: &mut Ctx<'_>,
        step: &Step,
        tuple: &Tuple,
    ) -> Result<Rc<Vec<Cell>>> {
        if step.cache != 0
            && let Some(Cached::Cells(c)) = ctx.cache.get(&step.cache)
        {
            return Ok(c.clone());
        }
        let source = &self.plan.sources[step.source];
        let correlated = matches!(source.rows, Rows::Query { correlated: true, .. });
        if step.cache == 0
            && !correlated
            && let Some(c) = self.local.get(&step.source)
        {
            return Ok(c.clone());
        }
        let env = Env { tuple, parent: self.parent, ..Env::default() };
        let number = |n: usize| RowId::try_from(n).unwrap_or(RowId::MAX);
        let cells: Vec<Cell> = match &source.rows {
            Rows::Table { id, hints } => self.scan(ctx, *id, *hints, step.source)?,
            Rows::Query { plan, .. } => {
                let out = rows(ctx, plan, Some(&env))?;
                out.into_iter().enumerate().map(|(n, row)| Cell { row, id: number(n) }).collect()
            }
            Rows::Values(list) => {
                let mut out = Vec::new();
                for (n, row) in list.iter().enumerate() {
                    out.push(Cell { row: project(ctx, row, &env)?, id: number(n) });
                }
                out
            }
            Rows::Fixed(rows) => rows
                .iter()
                .enumerate()
                .map(|(n, row)| Cell { row: row.clone(), id: number(n) })
                .collect(),
            Rows::Supplied => return Err(unsupported("this use of inserted or deleted")),
        };
        let cells = self.filter_local(ctx, step, cells)?;
        let cells = Rc::new(cells);
        if step.cache != 0 {
            ctx.cache.insert(step.cache, Cached::Cells(cells.clone()));
        } else if !correlated {
            self.local.insert(step.source, cells.clone());
        }
        Ok(cells)
    }

    fn filter_local(
        &mut self,
        ctx: &mut Ctx<'_>,
        step: &Step,
        cells: Vec<Cell>,
    ) -> Result<Vec<Cell>> {
        let locking = self.locking(ctx, step.source);
        if step.local.is_empty() && locking.is_none() {
            return Ok(cells);
        }
        let mut out = Vec::new();
        let mut tuple: Tuple = vec![None; self.plan.sources.len()];
        for cell in cells {
            tuple[step.source] = Some(cell.clone());
            if self.all(ctx, &step.local, &tuple)? {
                if let Some(table) = locking {
                    lock_row(ctx, table, &cell.row)?;
                }
                out.push(cell);
            }
        }
        Ok(out)
    }

    /// The table, when rows that are read must stay locked until the transaction ends.
    fn locking(&self, ctx: &Ctx<'_>, source: usize) -> Option<ObjectId> {
        let Rows::Table { id, hints } = &self.plan.sources[source].rows else { return None };
        let level = ctx.sess.options.isolation;
        let repeatable = matches!(level, Isolation::RepeatableRead | Isolation::Serializable);
        (hints.updlock
            || hints.xlock
            || hints.repeatable
            || hints.serializable
            || (repeatable && !hints.nolock))
            .then_some(*id)
    }

    fn reading(&self, ctx: &Ctx<'_>, hints: Hints, source: usize) -> Reading {
        if self.target == Some(source) {
            return if hints.readpast { Reading::Skip } else { Reading::Wait };
        }
        let level = ctx.sess.options.isolation;
        if hints.nolock || level == Isolation::ReadUncommitted {
            return Reading::Dirty;
        }
        if hints.readpast {
            return Reading::Skip;
        }
        let locks = hints.updlock || hints.xlock || hints.serializable || hints.repeatable;
        let rcsi = ctx.database(&ctx.state.catalog).read_committed_snapshot;
        if rcsi && !locks && level == Isolation::ReadCommitted {
            Reading::Committed
        } else {
            Reading::Wait
        }
    }

    fn scan(
        &mut self,
        ctx: &mut Ctx<'_>,
        id: ObjectId,
        hints: Hints,
        source: usize,
    ) -> Result<Vec<Cell>> {
        self.table_locks(ctx, id, hints, source)?;
        let level = ctx.sess.options.isolation;
        if id > 0 && (hints.serializable || (level == Isolation::Serializable && !hints.nolock)) {
            // A scan under SERIALIZABLE locks every range, which is the table.
            lock_table(ctx, id, false)?;
        }
        let reading = self.reading(ctx, hints, source);
        let me = ctx.sess.id;
        let mut out = Vec::new();
        let mut blocker = None;
        if let Some(data) = ctx.state.tables.get(&id) {
            out.reserve(data.live);
            for n in data.ids() {
                let Some(slot) = data.slot(n) else { continue };
                match visible(slot, me, reading) {
                    Ok(Some(row)) => out.push(Cell { row, id: n }),
                    Ok(None) => {}
                    Err(holder) => {
                        blocker = Some(holder);
                        break;
                    }
                }
            }
        }
        match blocker {
            Some(holder) => Err(ctx.state.wait_for(holder)),
            None => Ok(out),
        }
    }

    fn table_locks(
        &self,
        ctx: &mut Ctx<'_>,
        id: ObjectId,
        hints: Hints,
        source: usize,
    ) -> Result<()> {
        if id < 0 {
            return Ok(());
        }
        if hints.tablockx || (hints.tablock && (hints.xlock || self.target == Some(source))) {
            lock_table(ctx, id, true)?;
        } else if hints.tablock && (hints.serializable || hints.updlock) {
            lock_table(ctx, id, false)?;
        }
        if !hints.nolock {
            let write = self.target == Some(source);
            if let Some(holder) = ctx.state.locks.table_holder(id, ctx.sess.id, write) {
                return Err(ctx.state.wait_for(holder));
            }
        }
        Ok(())
    }

    fn index_rows(
        &mut self,
        ctx: &mut Ctx<'_>,
        step: &Step,
        tuple: &Tuple,
        index: usize,
        keys: &[TExpr],
        full: bool,
    ) -> Result<Rc<Vec<Cell>>> {
        let Rows::Table { id, hints } = &self.plan.sources[step.source].rows else {
            return Ok(Rc::default());
        };
        let (id, hints) = (*id, *hints);
        let columns = match ctx.state.tables.get(&id).and_then(|d| d.indexes.get(index)) {
            Some(i) => i.columns.clone(),
            None => return Ok(Rc::default()),
        };
        let env = Env { tuple, parent: self.parent, ..Env::default() };
        let mut probe = Vec::new();
        for (e, (_, coll)) in keys.iter().zip(&columns) {
            let v = value(ctx, e, &env)?;
            if v.is_null() {
                return Ok(Rc::default());
            }
            key::push(&mut probe, &v, *coll);
        }
        self.table_locks(ctx, id, hints, step.source)?;
        let locking = self.locking(ctx, step.source).is_some();
        if locking && id > 0 {
            if full {
                let k = probe.clone().into_boxed_slice();
                if let Err(holder) = ctx.state.locks.key_lock(id, &k, ctx.sess.id) {
                    return Err(ctx.state.wait_for(holder));
                }
            } else if hints.serializable || ctx.sess.options.isolation == Isolation::Serializable {
                lock_table(ctx, id, false)?;
            }
        }
        let reading = self.reading(ctx, hints, step.source);
        let me = ctx.sess.id;
        let mut out = Vec::new();
        let mut blocker = None;
        if let Some(data) = ctx.state.tables.get(&id) {
            let i = &data.indexes[index];
            let mut take = |ids: &[RowId]| {
                for n in ids {
                    let Some(slot) = data.slot(*n) else { continue };
                    match visible(slot, me, reading) {
                        Ok(Some(row)) => {
                            // An entry may stand for a version that is not the visible one.
                            if i.key(&row).is_some_and(|k| k.starts_with(&probe)) {
                                out.push(Cell { row, id: *n });
                            }
                        }
                        Ok(None) => {}
                        Err(holder) => blocker = Some(holder),
                    }
                }
            };
            if keys.len() == columns.len() {
                if let Some(ids) = i.map.get(probe.as_slice()) {
                    take(ids.as_slice());
                }
            } else {
                let from = probe.clone().into_boxed_slice();
                for (k, ids) in i.map.range(from..) {
                    if !k.starts_with(&probe) {
                        break;
                    }
                    take(ids.as_slice());
                }
            }
        }
        if let Some(holder) = blocker {
            return Err(ctx.state.wait_for(holder));
        }
        Ok(Rc::new(self.filter_local(ctx, step, out)?))
    }
}

/// The version of a row that a session sees, or who stands in the way.
fn visible(slot: &Slot, me: i32, reading: Reading) -> std::result::Result<Option<Row>, i32> {
    match &slot.dirty {
        Some(d) if d.writer != me => match reading {
            Reading::Wait => Err(d.writer),
            Reading::Committed => Ok(d.committed.clone()),
            Reading::Dirty => Ok(slot.cur.clone()),
            Reading::Skip => Ok(None),
        },
        _ => Ok(slot.cur.clone()),
    }
}

/// Locks the row by its unique key, or the table when it has none.
fn lock_row(ctx: &mut Ctx<'_>, table: ObjectId, row: &Row) -> Result<()> {
    if table < 0 {
        return Ok(());
    }
    let k = ctx
        .state
        .tables
        .get(&table)
        .and_then(|d| d.indexes.iter().find(|i| i.unique && i.filter.is_none()))
        .and_then(|i| i.key(row));
    match k {
        Some(k) => match ctx.state.locks.key_lock(table, &k, ctx.sess.id) {
            Ok(()) => Ok(()),
            Err(holder) => Err(ctx.state.wait_for(holder)),
        },
        None => lock_table(ctx, table, false),
    }
}

pub(crate) fn lock_table(ctx: &mut Ctx<'_>, table: ObjectId, exclusive: bool) -> Result<()> {
    if table < 0 {
        return Ok(());
    }
    let me = ctx.sess.id;
    if let Err(holder) = ctx.state.locks.table_lock(table, me, exclusive) {
        return Err(ctx.state.wait_for(holder));
    }
    // Rows that others changed and have not committed stand against a table lock too.
    let blocker = ctx.state.tables.get(&table).and_then(|d| {
        d.slots.iter().filter_map(|s| s.dirty.as_ref()).map(|d| d.writer).find(|w| *w != me)
    });
    match blocker {
        Some(holder) => Err(ctx.state.wait_for(holder)),
        None => Ok(()),
    }
}
