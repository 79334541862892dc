//! Walking over bound expressions and plans.

use super::{Access, JoinPlan, Kind, OrderKey, Pred, QueryPlan, Rows, SelectPlan, SetPlan, TExpr};

/// Calls `f` with every expression below and its nesting level.
pub(crate) fn expr(e: &TExpr, level: usize, f: &mut dyn FnMut(&TExpr, usize)) {
    f(e, level);
    match &e.kind {
        Kind::Const(_)
        | Kind::Var(_)
        | Kind::Column { .. }
        | Kind::Aggregate(_)
        | Kind::Window(_) => {}
        Kind::Cast { inner, style, .. } => {
            expr(inner, level, f);
            style.iter().for_each(|s| expr(s, level, f));
        }
        Kind::Arith(_, a, b) | Kind::Concat(a, b) => {
            expr(a, level, f);
            expr(b, level, f);
        }
        Kind::Negate(a) | Kind::BitNot(a) => expr(a, level, f),
        Kind::Case { whens, otherwise } => {
            for (p, e) in whens {
                pred(p, level, f);
                expr(e, level, f);
            }
            otherwise.iter().for_each(|e| expr(e, level, f));
        }
        Kind::Coalesce(list) | Kind::Func { args: list, .. } => {
            list.iter().for_each(|e| expr(e, level, f));
        }
        Kind::Subquery(plan) => query(plan, level + 1, f),
    }
}

pub(crate) fn pred(p: &Pred, level: usize, f: &mut dyn FnMut(&TExpr, usize)) {
    match p {
        Pred::Compare { left, right, .. } => {
            expr(left, level, f);
            expr(right, level, f);
        }
        Pred::And(a, b) | Pred::Or(a, b) => {
            pred(a, level, f);
            pred(b, level, f);
        }
        Pred::Not(a) => pred(a, level, f),
        Pred::IsNull(e) => expr(e, level, f),
        Pred::InList { expr: e, list, .. } => {
            expr(e, level, f);
            list.iter().for_each(|e| expr(e, level, f));
        }
        Pred::InQuery { expr: e, plan, .. } | Pred::Quantified { expr: e, plan, .. } => {
            expr(e, level, f);
            query(plan, level + 1, f);
        }
        Pred::Exists(plan) => query(plan, level + 1, f),
        Pred::Like { expr: e, pattern, escape, .. } => {
            expr(e, level, f);
            expr(pattern, level, f);
            escape.iter().for_each(|e| expr(e, level, f));
        }
    }
}

fn query(plan: &QueryPlan, level: usize, f: &mut dyn FnMut(&TExpr, usize)) {
    set(&plan.body, level, f);
}

fn set(plan: &SetPlan, level: usize, f: &mut dyn FnMut(&TExpr, usize)) {
    match plan {
        SetPlan::Select(s) => select(s, level, f),
        SetPlan::Op { left, right, .. } => {
            set(left, level, f);
            set(right, level, f);
        }
    }
}

fn select(s: &SelectPlan, level: usize, f: &mut dyn FnMut(&TExpr, usize)) {
    join(&s.join, level, f);
    for item in s.items.iter().chain(s.assigns.iter().map(|(_, e)| e)) {
        expr(item, level, f);
    }
    if let Some(g) = &s.grouping {
        g.keys.iter().for_each(|e| expr(e, level, f));
        g.aggregates.iter().flat_map(|a| a.arg.iter()).for_each(|e| expr(e, level, f));
        g.having.iter().for_each(|p| pred(p, level, f));
    }
    for w in &s.windows {
        w.partition.iter().for_each(|e| expr(e, level, f));
        w.order.iter().for_each(|(e, _)| expr(e, level, f));
    }
    for (key, _) in &s.order {
        if let OrderKey::Expr(e) = key {
            expr(e, level, f);
        }
    }
}

fn join(plan: &JoinPlan, level: usize, f: &mut dyn FnMut(&TExpr, usize)) {
    for source in &plan.sources {
        match &source.rows {
            Rows::Query { plan, .. } => query(plan, level + 1, f),
            Rows::Values(rows) => rows.iter().flatten().for_each(|e| expr(e, level, f)),
            Rows::Table { .. } | Rows::Fixed(_) | Rows::Supplied => {}
        }
    }
    plan.first.iter().for_each(|p| pred(p, level, f));
    for step in &plan.steps {
        for p in step.local.iter().chain(&step.on).chain(&step.after) {
            pred(p, level, f);
        }
        match &step.access {
            Access::Scan => {}
            Access::Index { keys, .. } => keys.iter().for_each(|e| expr(e, level, f)),
            Access::Hash { probe, .. } => probe.iter().for_each(|e| expr(e, level, f)),
        }
    }
}

/// The sources of this level that a predicate reads, as a bit mask.
pub(crate) fn mask_of_pred(p: &Pred) -> u64 {
    let mut mask = 0;
    pred(p, 0, &mut |e, level| add(e, level, &mut mask));
    mask
}

pub(crate) fn mask_of(e: &TExpr) -> u64 {
    let mut mask = 0;
    expr(e, 0, &mut |e, level| add(e, level, &mut mask));
    mask
}

fn add(e: &TExpr, level: usize, mask: &mut u64) {
    if let Kind::Column { depth, source, .. } = &e.kind
        && *depth == level
    {
        *mask |= 1 << source;
    }
}

/// Whether a predicate reads columns of an enclosing query.
pub(crate) fn pred_has_outer(p: &Pred) -> bool {
    let mut found = false;
    pred(p, 0, &mut |e, level| found |= is_outer(e, level));
    found
}

/// Whether an expression reads columns of an enclosing query.
pub(crate) fn has_outer(e: &TExpr) -> bool {
    let mut found = false;
    expr(e, 0, &mut |e, level| found |= is_outer(e, level));
    found
}

fn is_outer(e: &TExpr, level: usize) -> bool {
    matches!(&e.kind, Kind::Column { depth, .. } if *depth > level)
}
