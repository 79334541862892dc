//! Queries: FROM, select list, grouping, order, set operators.

use super::expr::{conjuncts, merge};
use super::plan::Flat;
use super::visit;
use super::{
    Binder, Grouping, Kind, Label, OrderKey, OutCol, Pred, QueryPlan, Rows, Scope, SelectPlan,
    SetPlan, Source, StepKind, TExpr, convert_to,
};
use crate::tds::engine::catalog::same;
use crate::tds::error::{Reach, Result, SqlError, unsupported};
use crate::tds::parse::ast::{Expr, Item, JoinKind, Query, Select, SetExpr, SetOp, TableRef};
use crate::tds::types::sqltype::common;
use crate::tds::types::{SqlType, Value};

impl QueryPlan {
    /// Makes the output columns have these types.
    pub(crate) fn convert_columns(&mut self, types: &[SqlType]) {
        convert_set(&mut self.body, types);
        for (c, ty) in self.columns.iter_mut().zip(types) {
            c.ty = *ty;
        }
    }

    /// The plan of the only SELECT, if it is not a set operation.
    pub(crate) fn single(&self) -> Option<&SelectPlan> {
        match &self.body {
            SetPlan::Select(s) => Some(s),
            SetPlan::Op { .. } => None,
        }
    }
}

fn convert_set(plan: &mut SetPlan, types: &[SqlType]) {
    match plan {
        SetPlan::Select(s) => {
            for (item, ty) in s.items.iter_mut().zip(types) {
                let old = std::mem::replace(item, TExpr::constant(Value::Null, SqlType::Null));
                *item = convert_to(old, *ty);
            }
        }
        SetPlan::Op { left, right, .. } => {
            convert_set(left, types);
            convert_set(right, types);
        }
    }
}

impl Binder<'_, '_> {
    /// A subquery of an expression: one level deeper.
    pub(crate) fn subquery(&mut self, q: &Query) -> Result<QueryPlan> {
        if !q.order.is_empty() && q.offset.is_none() && !has_top(&q.body) {
            return Err(SqlError::new(
                1033,
                15,
                "The ORDER BY clause is invalid in views, inline functions, derived tables, subqueries, and common table expressions, unless TOP, OFFSET or FOR XML is also specified.",
            )
            .reach(Reach::Batch));
        }
        self.query(q)
    }

    /// EXISTS does not care what is selected.
    pub(crate) fn exists_query(&mut self, q: &Query) -> Result<QueryPlan> {
        self.subquery(q)
    }

    pub(crate) fn query(&mut self, q: &Query) -> Result<QueryPlan> {
        let ctes = self.ctes.len();
        self.ctes.extend(q.ctes.iter().cloned());
        let out = self.query_body(q);
        self.ctes.truncate(ctes);
        out
    }

    fn query_body(&mut self, q: &Query) -> Result<QueryPlan> {
        let (body, columns, uses_outer, order) = match &q.body {
            SetExpr::Select(s) => {
                let (plan, columns, outer) = self.select(s, Some(q))?;
                (SetPlan::Select(Box::new(plan)), columns, outer, Vec::new())
            }
            SetExpr::Op(..) => {
                let (body, columns, outer) = self.set_expr(&q.body)?;
                let mut order = Vec::new();
                for item in &q.order {
                    order.push((output_position(&item.expr, &columns)?, item.desc));
                }
                (body, columns, outer, order)
            }
        };
        let offset = q.offset.as_ref().map(|e| self.value(e)).transpose()?;
        let fetch = q.fetch.as_ref().map(|e| self.value(e)).transpose()?;
        let cache = self.ctx.new_cache();
        Ok(QueryPlan { body, columns, order, offset, fetch, correlated: uses_outer, cache })
    }

    fn set_expr(&mut self, e: &SetExpr) -> Result<(SetPlan, Vec<OutCol>, bool)> {
        match e {
            SetExpr::Select(s) => {
                let (plan, columns, outer) = self.select(s, None)?;
                Ok((SetPlan::Select(Box::new(plan)), columns, outer))
            }
            SetExpr::Op(op, l, r) => {
                let (mut left, lc, lo) = self.set_expr(l)?;
                let (mut right, rc, ro) = self.set_expr(r)?;
                if lc.len() != rc.len() {
                    return Err(SqlError::new(
                        205,
                        16,
                        "All queries combined using a UNION, INTERSECT or EXCEPT operator must have an equal number of expressions in their target lists.",
                    )
                    .reach(Reach::Batch));
                }
                let words = match op {
                    SetOp::Union => "UNION",
                    SetOp::UnionAll => "UNION ALL",
                    SetOp::Except => "EXCEPT",
                    SetOp::Intersect => "INTERSECT",
                };
                let mut columns = Vec::new();
                for (a, b) in lc.iter().zip(&rc) {
                    let label = merge(a.label, b.label, words)?;
                    if let (Label::Conflict(x, y), false) = (label, *op == SetOp::UnionAll) {
                        return Err(super::collation_conflict(y, x, words));
                    }
                    columns.push(OutCol {
                        name: a.name.clone(),
                        ty: common(a.ty, b.ty),
                        label,
                        nullable: a.nullable || b.nullable,
                        identity: false,
                        computed: true,
                    });
                }
                let types: Vec<SqlType> = columns.iter().map(|c| c.ty).collect();
                convert_set(&mut left, &types);
                convert_set(&mut right, &types);
                Ok((
                    SetPlan::Op { op: *op, left: Box::new(left), right: Box::new(right) },
                    columns,
                    lo || ro,
                ))
            }
        }
    }

    fn select(&mut self, s: &Select, q: Option<&Query>) -> Result<(SelectPlan, Vec<OutCol>, bool)> {
        self.scopes.push(Scope::default());
        let out = self.select_in_scope(s, q);
        let uses_outer = self.scopes.pop().is_some_and(|s| s.uses_outer);
        let (plan, columns) = out?;
        Ok((plan, columns, uses_outer))
    }

    fn select_in_scope(
        &mut self,
        s: &Select,
        q: Option<&Query>,
    ) -> Result<(SelectPlan, Vec<OutCol>)> {
        let (flat, mut pool) = self.from(&s.from)?;
        if let Some(filter) = &s.filter {
            let p = self.predicate(filter)?;
            conjuncts(p, &mut pool);
        }
        let keys = s.group.iter().map(|e| self.value(e)).collect::<Result<Vec<_>>>()?;
        self.scope().allow_aggregates = true;
        self.scope().allow_windows = true;
        let (mut items, mut columns, mut assigns) = (Vec::new(), Vec::new(), Vec::new());
        for item in &s.items {
            match item {
                Item::Star(qualifier) => self.star(qualifier, &mut items, &mut columns)?,
                Item::Expr { expr, alias } => {
                    let e = self.value(expr)?;
                    columns.push(
                        self.out_column(&e, alias.clone().unwrap_or_else(|| implied_name(expr))),
                    );
                    items.push(e);
                }
                Item::Assign { var, op, expr } => {
                    let (index, ty) = self.ctx.variable(var)?;
                    let mut e = self.value(expr)?;
                    if let Some(op) = op {
                        let var = self.value(&Expr::Var(var.clone()))?;
                        e = super::expr::arithmetic(*op, var, e)?;
                    }
                    assigns.push((index, super::assign_cast(e, ty)?));
                }
            }
        }
        if !assigns.is_empty() && !items.is_empty() {
            return Err(SqlError::new(
                141,
                15,
                "A SELECT statement that assigns a value to a variable must not be combined with data-retrieval operations.",
            )
            .reach(Reach::Batch));
        }
        let having = s.having.as_ref().map(|e| self.predicate(e)).transpose()?;
        let mut order = Vec::new();
        if let Some(q) = q {
            for item in &q.order {
                let key = match output_position(&item.expr, &columns) {
                    Ok(i) => OrderKey::Output(i),
                    Err(_) => OrderKey::Expr(self.value(&item.expr)?),
                };
                order.push((key, item.desc));
            }
        }
        let top = s.top.as_ref().map(|e| self.value(e)).transpose()?;
        let scope = self.scope();
        let aggregates = std::mem::take(&mut scope.aggregates);
        let windows = std::mem::take(&mut scope.windows);
        let grouping = if s.group.is_empty() && aggregates.is_empty() && having.is_none() {
            None
        } else {
            self.check_grouped(&keys, &items, &assigns, &order)?;
            Some(Grouping { scalar: keys.is_empty(), keys, aggregates, having })
        };
        let sources = std::mem::take(&mut self.scope().sources);
        let join = self.plan_join(sources, flat, pool)?;
        let plan = SelectPlan {
            join,
            grouping,
            windows,
            items,
            assigns,
            distinct: s.distinct,
            top,
            order,
        };
        Ok((plan, columns))
    }

    pub(crate) fn out_column(&mut self, e: &TExpr, name: String) -> OutCol {
        let mut col = OutCol {
            name,
            ty: e.ty,
            label: e.label,
            nullable: e.nullable,
            identity: false,
            computed: true,
        };
        if let Kind::Column { depth: 0, source, column } = &e.kind
            && let Some(c) = self.scope().sources.get(*source).and_then(|s| s.columns.get(*column))
        {
            col.identity = c.identity;
            col.computed = c.computed;
        }
        col
    }

    pub(crate) fn star(
        &mut self,
        qualifier: &[String],
        items: &mut Vec<TExpr>,
        columns: &mut Vec<OutCol>,
    ) -> Result<()> {
        let mut hit = false;
        for (s, source) in self.scope().sources.iter().enumerate() {
            if !qualifier.is_empty() && !source.answers_to(qualifier) {
                continue;
            }
            hit = true;
            for (c, col) in source.columns.iter().enumerate() {
                items.push(TExpr {
                    ty: col.ty,
                    label: col.label,
                    nullable: col.nullable,
                    kind: Kind::Column { depth: 0, source: s, column: c },
                });
                columns.push(col.clone());
            }
        }
        if hit {
            return Ok(());
        }
        if qualifier.is_empty() {
            return Err(
                SqlError::new(263, 16, "Must specify table to select from.").reach(Reach::Batch)
            );
        }
        Err(SqlError::new(
            107,
            15,
            format!("The column prefix '{}' does not match with a table name or alias name used in the query.", qualifier.join(".")),
        )
        .reach(Reach::Batch))
    }

    /// Error 8120 for columns that are neither grouped nor aggregated.
    fn check_grouped(
        &mut self,
        keys: &[TExpr],
        items: &[TExpr],
        assigns: &[(usize, TExpr)],
        order: &[(OrderKey, bool)],
    ) -> Result<()> {
        let keys: Vec<String> = keys.iter().map(|k| format!("{:?}", k.kind)).collect();
        let ordered = order.iter().filter_map(|(k, _)| match k {
            OrderKey::Expr(e) => Some(e),
            OrderKey::Output(_) => None,
        });
        for e in items.iter().chain(assigns.iter().map(|(_, e)| e)).chain(ordered) {
            if let Some((source, column)) = ungrouped(e, &keys) {
                let sources = &self.scope().sources;
                let name =
                    format!("{}.{}", sources[source].alias, sources[source].columns[column].name);
                return Err(SqlError::new(
                    8120,
                    16,
                    format!("Column '{name}' is invalid in the select list because it is not contained in either an aggregate function or the GROUP BY clause."),
                )
                .reach(Reach::Batch));
            }
        }
        Ok(())
    }

    /// Binds FROM into the current scope; returns the join order of the text and the inner predicates.
    pub(crate) fn from(&mut self, from: &[TableRef]) -> Result<(Vec<Flat>, Vec<Pred>)> {
        let mut flat = Vec::new();
        let mut pool = Vec::new();
        for t in from {
            let part = self.table_ref(t, &mut pool, false)?;
            flat.extend(part);
        }
        self.check_names()?;
        Ok((flat, pool))
    }

    fn check_names(&mut self) -> Result<()> {
        let sources = &self.scope().sources;
        for (i, a) in sources.iter().enumerate() {
            let clash =
                sources[..i].iter().any(|b| same(&a.alias, &b.alias) && a.qualifier == b.qualifier);
            if clash {
                return Err(SqlError::new(
                    1013,
                    16,
                    format!("The objects \"{0}\" and \"{0}\" in the FROM clause have the same exposed names. Use correlation names to distinguish them.", a.alias),
                )
                .reach(Reach::Batch));
            }
        }
        Ok(())
    }

    fn table_ref(
        &mut self,
        t: &TableRef,
        pool: &mut Vec<Pred>,
        lateral: bool,
    ) -> Result<Vec<Flat>> {
        let one = |source: usize, lateral: bool| {
            vec![Flat { source, kind: StepKind::Inner, on: Vec::new(), lateral }]
        };
        match t {
            TableRef::Join { kind, left, right, on } => {
                let mut l = self.table_ref(left, pool, false)?;
                let apply = matches!(kind, JoinKind::CrossApply | JoinKind::OuterApply);
                let mut r = self.table_ref(right, pool, apply)?;
                let mut tests = Vec::new();
                if let Some(on) = on {
                    let p = self.predicate(on)?;
                    conjuncts(p, &mut tests);
                }
                let single = |side: &[Flat]| side.len() == 1 && side[0].kind == StepKind::Inner;
                match kind {
                    JoinKind::Inner | JoinKind::Cross | JoinKind::CrossApply => {
                        pool.append(&mut tests);
                    }
                    JoinKind::Left | JoinKind::OuterApply if single(&r) => {
                        r[0].kind = StepKind::Left;
                        r[0].on = tests;
                    }
                    JoinKind::Right if single(&l) && single(&r) => {
                        l[0].kind = StepKind::Left;
                        l[0].on = tests;
                        std::mem::swap(&mut l, &mut r);
                    }
                    JoinKind::Full if single(&l) && single(&r) => {
                        r[0].kind = StepKind::Full;
                        r[0].on = tests;
                    }
                    _ => {
                        return Err(unsupported(
                            "an outer join of more than one table on its optional side",
                        ));
                    }
                }
                l.extend(r);
                Ok(l)
            }
            TableRef::Table { name, alias, hints } => {
                let source = self.named_source(name, alias.as_deref(), *hints)?;
                Ok(one(self.add(source), false))
            }
            TableRef::Variable { name, alias } => {
                let object = crate::tds::parse::ast::ObjName::bare(name);
                let source = self.named_source(
                    &object,
                    alias.as_deref().or(Some(name)),
                    crate::tds::parse::ast::Hints::default(),
                )?;
                Ok(one(self.add(source), false))
            }
            TableRef::Derived { query, alias, columns } => {
                let source = self.derived(query, alias, columns, lateral)?;
                let correlated =
                    matches!(source.rows, Rows::Query { correlated: true, .. }) && lateral;
                Ok(one(self.add(source), correlated))
            }
            TableRef::Values { rows, alias, columns } => {
                let source = self.values(rows, alias, columns)?;
                Ok(one(self.add(source), false))
            }
        }
    }

    fn add(&mut self, source: Source) -> usize {
        let sources = &mut self.scope().sources;
        sources.push(source);
        sources.len() - 1
    }

    pub(crate) fn derived(
        &mut self,
        query: &Query,
        alias: &str,
        names: &[String],
        lateral: bool,
    ) -> Result<Source> {
        let closed = std::mem::replace(&mut self.scope().closed, !lateral);
        let plan = self.subquery(query);
        self.scope().closed = closed;
        let plan = plan?;
        source_of(plan, alias, names)
    }

    pub(crate) fn values(
        &mut self,
        rows: &[Vec<Expr>],
        alias: &str,
        names: &[String],
    ) -> Result<Source> {
        let mut bound: Vec<Vec<TExpr>> = Vec::new();
        for row in rows {
            bound.push(row.iter().map(|e| self.value(e)).collect::<Result<_>>()?);
        }
        let width = bound.first().map_or(0, Vec::len);
        if bound.iter().any(|r| r.len() != width) {
            return Err(SqlError::new(
                10_709,
                16,
                "The number of columns for each row in a table value constructor must be the same.",
            )
            .reach(Reach::Batch));
        }
        let mut columns = Vec::new();
        for i in 0..width {
            let all: Vec<&TExpr> = bound.iter().map(|r| &r[i]).collect();
            let (ty, label) = self.unify(&all, "VALUES")?;
            let nullable = all.iter().any(|e| e.nullable);
            let name = names.get(i).cloned().unwrap_or_default();
            columns.push(OutCol { name, ty, label, nullable, identity: false, computed: true });
        }
        if !names.is_empty() && names.len() != width {
            return Err(column_count(alias));
        }
        for row in &mut bound {
            let old = std::mem::take(row);
            *row = old.into_iter().zip(&columns).map(|(e, c)| convert_to(e, c.ty)).collect();
        }
        Ok(Source {
            alias: alias.to_owned(),
            qualifier: Vec::new(),
            columns,
            rows: Rows::Values(bound),
        })
    }
}

pub(crate) fn source_of(plan: QueryPlan, alias: &str, names: &[String]) -> Result<Source> {
    let mut columns = plan.columns.clone();
    if !names.is_empty() {
        if names.len() != columns.len() {
            return Err(column_count(alias));
        }
        for (c, n) in columns.iter_mut().zip(names) {
            c.name.clone_from(n);
        }
    }
    for (i, c) in columns.iter().enumerate() {
        if c.name.is_empty() {
            return Err(SqlError::new(
                8155,
                16,
                format!("No column name was specified for column {} of '{alias}'.", i + 1),
            )
            .reach(Reach::Batch));
        }
        if columns[..i].iter().any(|b| same(&b.name, &c.name)) {
            return Err(SqlError::new(
                8156,
                16,
                format!("The column '{}' was specified multiple times for '{alias}'.", c.name),
            )
            .reach(Reach::Batch));
        }
    }
    let correlated = plan.correlated;
    Ok(Source {
        alias: alias.to_owned(),
        qualifier: Vec::new(),
        columns,
        rows: Rows::Query { plan: Box::new(plan), correlated },
    })
}

fn column_count(alias: &str) -> SqlError {
    SqlError::new(
        8158,
        16,
        format!("'{alias}' has more columns than were specified in the column list."),
    )
    .reach(Reach::Batch)
}

fn has_top(body: &SetExpr) -> bool {
    matches!(body, SetExpr::Select(s) if s.top.is_some())
}

/// The name of a column that is only a column.
fn implied_name(e: &Expr) -> String {
    match e {
        Expr::Column(parts) => parts.last().cloned().unwrap_or_default(),
        Expr::Collate(inner, _) => implied_name(inner),
        _ => String::new(),
    }
}

/// ORDER BY 2, or by the name of an output column.
fn output_position(e: &Expr, columns: &[OutCol]) -> Result<usize> {
    match e {
        Expr::Number(n) => match n.parse::<usize>() {
            Ok(i) if i >= 1 && i <= columns.len() => Ok(i - 1),
            _ => Err(SqlError::new(
                108,
                15,
                format!("The ORDER BY position number {n} is out of range of the number of items in the select list."),
            )
            .reach(Reach::Batch)),
        },
        Expr::Column(parts) if parts.len() == 1 => columns
            .iter()
            .position(|c| same(&c.name, &parts[0]))
            .ok_or_else(|| crate::tds::error::invalid_column(&parts[0])),
        _ => Err(SqlError::new(
            104,
            15,
            "ORDER BY items must appear in the select list if the statement contains a UNION, INTERSECT or EXCEPT operator.",
        )
        .reach(Reach::Batch)),
    }
}

fn ungrouped(e: &TExpr, keys: &[String]) -> Option<(usize, usize)> {
    if keys.contains(&format!("{:?}", e.kind)) {
        return None;
    }
    match &e.kind {
        Kind::Column { depth: 0, source, column } => Some((*source, *column)),
        Kind::Cast { inner, .. } | Kind::Negate(inner) | Kind::BitNot(inner) => {
            ungrouped(inner, keys)
        }
        Kind::Arith(_, a, b) | Kind::Concat(a, b) => {
            ungrouped(a, keys).or_else(|| ungrouped(b, keys))
        }
        Kind::Coalesce(list) | Kind::Func { args: list, .. } => {
            list.iter().find_map(|e| ungrouped(e, keys))
        }
        Kind::Case { whens, otherwise } => {
            let mut hit = None;
            for (p, then) in whens {
                visit::pred(p, 0, &mut |e, level| {
                    if level == 0
                        && hit.is_none()
                        && let Kind::Column { depth: 0, source, column } = &e.kind
                        && !keys.contains(&format!("{:?}", e.kind))
                    {
                        hit = Some((*source, *column));
                    }
                });
                hit = hit.or_else(|| ungrouped(then, keys));
            }
            hit.or_else(|| otherwise.as_ref().and_then(|e| ungrouped(e, keys)))
        }
        _ => None,
    }
}
