//! Scalar expressions and predicates.

mod operator;
pub(crate) use operator::*;
mod collate;
pub(crate) use collate::*;

use super::{Binder, Kind, Label, Pred, TExpr};
use crate::tds::error::{Reach, Result, SqlError, invalid_column, syntax, unsupported};
use crate::tds::parse::ast::{BinOp, Expr};
use crate::tds::types::sqltype::{common, fit_decimal};
use crate::tds::types::value::utf16_len;
use crate::tds::types::{Coll, Len, SqlType, Value, convert, decimal};

/// `expr` as `ty`, unless it is that already.
pub(crate) fn convert_to(expr: TExpr, ty: SqlType) -> TExpr {
    if expr.ty == ty {
        return expr;
    }
    if let Kind::Const(v) = &expr.kind {
        // Constants that convert are converted once; the others fail when they are reached.
        if let Ok(value) = convert::cast(v, expr.ty, ty, None) {
            return TExpr {
                ty,
                label: expr.label,
                nullable: value.is_null(),
                kind: Kind::Const(value),
            };
        }
    }
    TExpr {
        ty,
        label: expr.label,
        nullable: expr.nullable,
        kind: Kind::Cast { inner: Box::new(expr), style: None, attempt: false },
    }
}

/// `expr` as `ty` where SQL Server allows it without CAST.
pub(crate) fn assign_cast(expr: TExpr, ty: SqlType) -> Result<TExpr> {
    if !convert::implicit_allowed(expr.ty, ty) {
        return Err(convert::clash(expr.ty, ty));
    }
    Ok(convert_to(expr, ty))
}

pub(crate) fn conjuncts(pred: Pred, out: &mut Vec<Pred>) {
    match pred {
        Pred::And(a, b) => {
            conjuncts(*a, out);
            conjuncts(*b, out);
        }
        other => out.push(other),
    }
}

impl Binder<'_, '_> {
    fn default_label(&self) -> Label {
        Label::Default(self.ctx.database_collation())
    }

    fn text(&self, value: &str, wide: bool) -> TExpr {
        let n = if wide { utf16_len(value) } else { value.chars().count() };
        let ty = if wide {
            SqlType::NVarChar(Len::of(n, 4000))
        } else {
            SqlType::VarChar(Len::of(n, 8000))
        };
        let value = if wide {
            Value::str(value)
        } else {
            Value::str(crate::tds::types::codepage::lossy(value.to_owned()))
        };
        TExpr { ty, label: self.default_label(), nullable: false, kind: Kind::Const(value) }
    }

    pub(crate) fn value(&mut self, e: &Expr) -> Result<TExpr> {
        match e {
            Expr::Null => Ok(TExpr::constant(Value::Null, SqlType::Null)),
            Expr::Default => Err(syntax("DEFAULT")),
            Expr::Number(n) => number(n),
            Expr::Str(s) => Ok(self.text(s, false)),
            Expr::NStr(s) => Ok(self.text(s, true)),
            Expr::Hex(b) => {
                Ok(TExpr::constant(Value::bin(b), SqlType::VarBinary(Len::of(b.len(), 8000))))
            }
            Expr::Column(parts) => self.column(parts),
            Expr::Var(name) => self.variable(name),
            Expr::SysVar(name) => self.system_variable(name),
            Expr::Negate(inner) => {
                let inner = self.value(inner)?;
                if !inner.ty.is_numeric() {
                    return Err(operand(inner.ty, "minus"));
                }
                Ok(TExpr {
                    ty: inner.ty,
                    label: Label::None,
                    nullable: inner.nullable,
                    kind: Kind::Negate(Box::new(inner)),
                })
            }
            Expr::BitNot(inner) => {
                let inner = self.value(inner)?;
                if !inner.ty.is_integer() {
                    return Err(operand(inner.ty, "'~'"));
                }
                Ok(TExpr {
                    ty: inner.ty,
                    label: Label::None,
                    nullable: inner.nullable,
                    kind: Kind::BitNot(Box::new(inner)),
                })
            }
            Expr::Binary(op, a, b) if !op.is_comparison() => {
                let (a, b) = (self.value(a)?, self.value(b)?);
                arithmetic(*op, a, b)
            }
            Expr::Case { operand, whens, otherwise } => {
                self.case(operand.as_deref(), whens, otherwise.as_deref())
            }
            Expr::Cast { expr, ty, style, attempt } => {
                let inner = self.value(expr)?;
                let style = style.as_ref().map(|s| self.value(s)).transpose()?;
                let label = match inner.label {
                    Label::None if ty.is_text() => self.default_label(),
                    label if ty.is_text() => label,
                    _ => Label::None,
                };
                Ok(TExpr {
                    ty: *ty,
                    label,
                    nullable: inner.nullable || *attempt,
                    kind: Kind::Cast {
                        inner: Box::new(inner),
                        style: style.map(Box::new),
                        attempt: *attempt,
                    },
                })
            }
            Expr::Collate(inner, name) => {
                let inner = self.value(inner)?;
                let coll = if name.eq_ignore_ascii_case("DATABASE_DEFAULT")
                    || name.eq_ignore_ascii_case("CATALOG_DEFAULT")
                {
                    self.ctx.database_collation()
                } else {
                    Coll::parse(name)?
                };
                if !inner.ty.is_text() && inner.ty != SqlType::Null {
                    return Err(SqlError::new(
                        447,
                        16,
                        format!(
                            "Expression type {} is invalid for COLLATE clause.",
                            inner.ty.name()
                        ),
                    )
                    .reach(Reach::Batch));
                }
                Ok(TExpr { label: Label::Explicit(coll), ..inner })
            }
            Expr::Func { name, args, distinct, star, over, within } => {
                self.function(name, args, *distinct, *star, over.as_ref(), within)
            }
            Expr::Subquery(q) => {
                let plan = self.subquery(q)?;
                let [column] = plan.columns.as_slice() else {
                    return Err(one_column());
                };
                Ok(TExpr {
                    ty: column.ty,
                    label: column.label,
                    nullable: true,
                    kind: Kind::Subquery(Box::new(plan)),
                })
            }
            Expr::AtTimeZone => Err(unsupported("AT TIME ZONE")),
            _ => Err(SqlError::new(
                4145,
                15,
                "An expression of boolean type was used where a value is expected.",
            )
            .reach(Reach::Batch)),
        }
    }

    fn variable(&mut self, name: &str) -> Result<TExpr> {
        let (index, ty) = self.ctx.variable(name)?;
        let label = if ty.is_text() { self.default_label() } else { Label::None };
        Ok(TExpr { ty, label, nullable: true, kind: Kind::Var(index) })
    }

    fn column(&mut self, parts: &[String]) -> Result<TExpr> {
        let (name, qualifier) = parts.split_last().ok_or_else(|| syntax("."))?;
        let top = self.scopes.len();
        for depth in 0..top {
            let scope = &self.scopes[top - 1 - depth];
            if scope.closed {
                continue;
            }
            let mut hit = None;
            for (s, source) in scope.sources.iter().enumerate() {
                if !qualifier.is_empty() && !source.answers_to(qualifier) {
                    continue;
                }
                if let Some(c) = source
                    .columns
                    .iter()
                    .position(|c| crate::tds::engine::catalog::same(&c.name, name))
                {
                    if hit.is_some() {
                        return Err(SqlError::new(
                            209,
                            16,
                            format!("Ambiguous column name '{name}'."),
                        )
                        .reach(Reach::Batch));
                    }
                    hit = Some((s, c));
                }
            }
            if let Some((source, column)) = hit {
                let col = self.scopes[top - 1 - depth].sources[source].columns[column].clone();
                for inner in &mut self.scopes[top - depth..] {
                    inner.uses_outer = true;
                }
                return Ok(TExpr {
                    ty: col.ty,
                    label: col.label,
                    nullable: col.nullable,
                    kind: Kind::Column { depth, source, column },
                });
            }
        }
        let known = self
            .scopes
            .iter()
            .filter(|s| !s.closed)
            .flat_map(|s| &s.sources)
            .any(|s| s.answers_to(qualifier));
        if qualifier.is_empty() || known {
            Err(invalid_column(name))
        } else {
            Err(SqlError::new(
                4104,
                16,
                format!("The multi-part identifier \"{}\" could not be bound.", parts.join(".")),
            )
            .reach(Reach::Batch))
        }
    }

    fn case(
        &mut self,
        operand: Option<&Expr>,
        whens: &[(Expr, Expr)],
        otherwise: Option<&Expr>,
    ) -> Result<TExpr> {
        let mut tests = Vec::new();
        let mut results = Vec::new();
        for (when, then) in whens {
            let test = match operand {
                Some(o) => self.compare(BinOp::Eq, o, when)?,
                None => self.predicate(when)?,
            };
            tests.push(test);
            results.push(self.value(then)?);
        }
        let otherwise = otherwise.map(|e| self.value(e)).transpose()?;
        let all: Vec<&TExpr> = results.iter().chain(otherwise.as_ref()).collect();
        let (ty, label) = self.unify(&all, "CASE")?;
        let nullable = otherwise.is_none() || all.iter().any(|e| e.nullable);
        let whens = tests.into_iter().zip(results).map(|(t, r)| (t, convert_to(r, ty))).collect();
        let otherwise = otherwise.map(|e| Box::new(convert_to(e, ty)));
        Ok(TExpr { ty, label, nullable, kind: Kind::Case { whens, otherwise } })
    }

    /// The type and collation in which several expressions meet.
    pub(crate) fn unify(&self, all: &[&TExpr], what: &str) -> Result<(SqlType, Label)> {
        let mut ty = SqlType::Null;
        let mut label = Label::None;
        for e in all {
            ty = common(ty, e.ty);
            label = merge(label, e.label, what)?;
        }
        for e in all {
            if !convert::implicit_allowed(e.ty, ty) {
                return Err(convert::clash(e.ty, ty));
            }
        }
        if ty.is_text() && label == Label::None {
            label = self.default_label();
        }
        if !ty.is_text() {
            label = Label::None;
        }
        Ok((ty, label))
    }

    pub(crate) fn predicate(&mut self, e: &Expr) -> Result<Pred> {
        match e {
            Expr::And(a, b) => Ok(Pred::And(Box::new(self.predicate(a)?), Box::new(self.predicate(b)?))),
            Expr::Or(a, b) => Ok(Pred::Or(Box::new(self.predicate(a)?), Box::new(self.predicate(b)?))),
            Expr::Not(inner) => Ok(Pred::Not(Box::new(self.predicate(inner)?))),
            Expr::Binary(op, a, b) if op.is_comparison() => self.compare(*op, a, b),
            Expr::IsNull(inner, not) => {
                let test = Pred::IsNull(Box::new(self.value(inner)?));
                Ok(negate_if(test, *not))
            }
            Expr::Between { expr, low, high, not } => {
                let low = self.compare(BinOp::Ge, expr, low)?;
                let high = self.compare(BinOp::Le, expr, high)?;
                Ok(negate_if(Pred::And(Box::new(low), Box::new(high)), *not))
            }
            Expr::InList { expr, list, not } => {
                let expr = self.value(expr)?;
                let list = list.iter().map(|e| self.value(e)).collect::<Result<Vec<_>>>()?;
                let mut ty = expr.ty;
                let mut label = expr.label;
                for item in &list {
                    ty = common(ty, item.ty);
                    label = merge(label, item.label, "equal to")?;
                }
                let coll = compare_collation(label, Label::None, "equal to")?;
                let list = list.into_iter().map(|e| assign_cast(e, ty)).collect::<Result<Vec<_>>>()?;
                let expr = Box::new(assign_cast(expr, ty)?);
                Ok(negate_if(Pred::InList { expr, list, coll }, *not))
            }
            Expr::InQuery { expr, query, not } => {
                let (expr, plan, coll) = self.against_query(expr, query, "equal to")?;
                Ok(negate_if(Pred::InQuery { expr: Box::new(expr), plan: Box::new(plan), coll }, *not))
            }
            Expr::Quantified { expr, op, all, query } => {
                let (expr, plan, coll) = self.against_query(expr, query, op.words())?;
                Ok(Pred::Quantified { expr: Box::new(expr), op: *op, all: *all, plan: Box::new(plan), coll })
            }
            Expr::Exists(query) => Ok(Pred::Exists(Box::new(self.exists_query(query)?))),
            Expr::Like { expr, pattern, escape, not } => {
                let expr = self.textual(expr)?;
                let pattern = self.textual(pattern)?;
                let escape = escape.as_ref().map(|e| self.textual(e)).transpose()?.map(Box::new);
                let coll = compare_collation(expr.label, pattern.label, "like")?;
                Ok(negate_if(Pred::Like { expr: Box::new(expr), pattern: Box::new(pattern), escape, coll }, *not))
            }
            _ => Err(SqlError::new(
                4145,
                15,
                "An expression of non-boolean type specified in a context where a condition is expected.",
            )
            .reach(Reach::Batch)),
        }
    }

    /// A value as text, numbers converted.
    pub(crate) fn textual(&mut self, e: &Expr) -> Result<TExpr> {
        let e = self.value(e)?;
        if e.ty.is_text() {
            return Ok(e);
        }
        let label = self.default_label();
        let wide = SqlType::NVarChar(Len::N(4000));
        Ok(TExpr { label, ..assign_cast(e, wide)? })
    }

    pub(crate) fn compare(&mut self, op: BinOp, a: &Expr, b: &Expr) -> Result<Pred> {
        let (a, b) = (self.value(a)?, self.value(b)?);
        compare_values(op, a, b)
    }

    fn against_query(
        &mut self,
        expr: &Expr,
        query: &crate::tds::parse::ast::Query,
        words: &str,
    ) -> Result<(TExpr, super::QueryPlan, Option<Coll>)> {
        let expr = self.value(expr)?;
        let mut plan = self.subquery(query)?;
        let [column] = plan.columns.as_slice() else {
            return Err(one_column());
        };
        let ty = common(expr.ty, column.ty);
        let coll = compare_collation(expr.label, column.label, words)?;
        if !convert::implicit_allowed(column.ty, ty) {
            return Err(convert::clash(column.ty, ty));
        }
        plan.convert_columns(&[ty]);
        Ok((assign_cast(expr, ty)?, plan, coll))
    }
}

fn one_column() -> SqlError {
    SqlError::new(
        116,
        16,
        "Only one expression can be specified in the select list when the subquery is not introduced with EXISTS.",
    )
    .reach(Reach::Batch)
}

pub(crate) fn negate_if(pred: Pred, not: bool) -> Pred {
    if not { Pred::Not(Box::new(pred)) } else { pred }
}
