//! Aggregates and window functions.

use super::{AggKind, Aggregate, Binder, Kind, Label, TExpr, Window, WindowKind};
use crate::tds::error::{Reach, Result, SqlError, unsupported};
use crate::tds::parse::ast::{Expr, OrderItem, Over};
use crate::tds::types::{Len, SqlType};

fn kind_of(name: &str, star: bool) -> Option<AggKind> {
    Some(match name {
        "COUNT" if star => AggKind::CountStar,
        "COUNT" => AggKind::Count,
        "COUNT_BIG" => AggKind::CountBig,
        "SUM" => AggKind::Sum,
        "MIN" => AggKind::Min,
        "MAX" => AggKind::Max,
        "AVG" => AggKind::Avg,
        "STRING_AGG" => AggKind::StringAgg,
        _ => return None,
    })
}

impl Binder<'_, '_> {
    /// The aggregate or window function of that name, if it is one.
    pub(super) fn aggregate_or_window(
        &mut self,
        name: &str,
        args: &[Expr],
        distinct: bool,
        star: bool,
        over: Option<&Over>,
        within: &[OrderItem],
    ) -> Result<Option<TExpr>> {
        let ranking = matches!(name, "ROW_NUMBER" | "RANK" | "DENSE_RANK" | "LAG" | "LEAD");
        if ranking {
            return Ok(Some(self.ranking(name, args, over)?));
        }
        let Some(kind) = kind_of(name, star) else { return Ok(None) };
        if over.is_none() && !self.scope().allow_aggregates {
            return Err(SqlError::new(
                147,
                15,
                "An aggregate may not appear in the WHERE clause unless it is in a subquery contained in a HAVING clause or a select list, and the column being aggregated is an outer reference.",
            )
            .reach(Reach::Batch));
        }
        let aggregate = self.aggregate(name, kind, args, distinct, star, within)?;
        let ty = aggregate.ty;
        let label = aggregate
            .arg
            .as_ref()
            .map_or(Label::None, |a| if ty.is_text() { a.label } else { Label::None });
        let nullable = !matches!(kind, AggKind::Count | AggKind::CountStar | AggKind::CountBig);
        let kind = match over {
            Some(over) => self.window(WindowKind::Aggregate(aggregate), over)?,
            None => {
                let aggregates = &mut self.scope().aggregates;
                aggregates.push(aggregate);
                Kind::Aggregate(aggregates.len() - 1)
            }
        };
        Ok(Some(TExpr { ty, label, nullable, kind }))
    }

    fn aggregate(
        &mut self,
        name: &str,
        kind: AggKind,
        args: &[Expr],
        distinct: bool,
        star: bool,
        within: &[OrderItem],
    ) -> Result<Aggregate> {
        let expected = usize::from(!star) + usize::from(kind == AggKind::StringAgg);
        if args.len() != expected {
            return Err(SqlError::new(
                174,
                15,
                format!("The {} function requires {expected} argument(s).", name.to_lowercase()),
            )
            .reach(Reach::Batch));
        }
        let (aggregates, windows) = {
            let scope = self.scope();
            (
                std::mem::replace(&mut scope.allow_aggregates, false),
                std::mem::replace(&mut scope.allow_windows, false),
            )
        };
        let arg = args.first().map(|a| self.value(a)).transpose();
        let separator = args.get(1).map(|a| self.value(a)).transpose();
        let order = self.order_exprs(within);
        let scope = self.scope();
        scope.allow_aggregates = aggregates;
        scope.allow_windows = windows;
        let (arg, separator, order) = (arg?, separator?, order?);
        let ty = match (kind, &arg) {
            (AggKind::CountStar | AggKind::Count, _) => SqlType::Int,
            (AggKind::CountBig, _) => SqlType::BigInt,
            (_, None) => return Err(unsupported(format!("{name}(*)"))),
            (AggKind::Sum | AggKind::Avg, Some(a)) => match a.ty {
                SqlType::TinyInt | SqlType::SmallInt | SqlType::Int | SqlType::Null => SqlType::Int,
                SqlType::BigInt => SqlType::BigInt,
                SqlType::Decimal(_, s) if kind == AggKind::Sum => SqlType::Decimal(38, s),
                SqlType::Decimal(_, s) => SqlType::Decimal(38, s.max(6)),
                SqlType::Money | SqlType::SmallMoney => SqlType::Money,
                SqlType::Real | SqlType::Float => SqlType::Float,
                other => {
                    return Err(SqlError::new(
                        8117,
                        16,
                        format!(
                            "Operand data type {} is invalid for {} operator.",
                            other.name(),
                            name.to_lowercase()
                        ),
                    )
                    .reach(Reach::Batch));
                }
            },
            (AggKind::Min | AggKind::Max, Some(a)) => {
                if a.ty == SqlType::Bit {
                    return Err(SqlError::new(
                        8117,
                        16,
                        format!(
                            "Operand data type bit is invalid for {} operator.",
                            name.to_lowercase()
                        ),
                    )
                    .reach(Reach::Batch));
                }
                a.ty
            }
            (AggKind::StringAgg, Some(a)) => match a.ty {
                SqlType::NVarChar(Len::Max) => a.ty,
                SqlType::VarChar(Len::Max) => a.ty,
                SqlType::VarChar(_) | SqlType::Char(_) => SqlType::VarChar(Len::N(8000)),
                _ => SqlType::NVarChar(Len::N(4000)),
            },
        };
        let arg = match (kind, arg) {
            (AggKind::StringAgg, Some(a)) if !a.ty.is_text() => {
                let label = Label::Default(self.ctx.database_collation());
                Some(TExpr { label, ..super::assign_cast(a, SqlType::NVarChar(Len::N(4000)))? })
            }
            (_, a) => a,
        };
        Ok(Aggregate { kind, arg, separator, distinct, order, ty })
    }

    fn ranking(&mut self, name: &str, args: &[Expr], over: Option<&Over>) -> Result<TExpr> {
        let over = over.ok_or_else(|| {
            SqlError::new(
                10_753,
                15,
                format!("The function '{}' must have an OVER clause.", name.to_lowercase()),
            )
            .reach(Reach::Batch)
        })?;
        if over.order.is_empty() {
            return Err(SqlError::new(
                4112,
                15,
                format!(
                    "The function '{}' must have an OVER clause with ORDER BY.",
                    name.to_lowercase()
                ),
            )
            .reach(Reach::Batch));
        }
        let (kind, ty, label) = match (name, args) {
            ("ROW_NUMBER", []) => (WindowKind::RowNumber, SqlType::BigInt, Label::None),
            ("RANK", []) => (WindowKind::Rank, SqlType::BigInt, Label::None),
            ("DENSE_RANK", []) => (WindowKind::DenseRank, SqlType::BigInt, Label::None),
            ("LAG" | "LEAD", [arg]) => {
                let arg = self.value(arg)?;
                let (ty, label) = (arg.ty, arg.label);
                (WindowKind::Lag(Box::new(arg), if name == "LAG" { -1 } else { 1 }), ty, label)
            }
            _ => return Err(unsupported(format!("{name} with these arguments"))),
        };
        let kind = self.window(kind, over)?;
        Ok(TExpr { ty, label, nullable: true, kind })
    }

    fn window(&mut self, kind: WindowKind, over: &Over) -> Result<Kind> {
        if !self.scope().allow_windows {
            return Err(SqlError::new(
                4108,
                15,
                "Windowed functions can only appear in the SELECT or ORDER BY clauses.",
            )
            .reach(Reach::Batch));
        }
        if matches!(kind, WindowKind::Aggregate(_)) && !over.order.is_empty() {
            return Err(unsupported("an aggregate OVER (... ORDER BY ...)"));
        }
        let partition = over.partition.iter().map(|e| self.value(e)).collect::<Result<Vec<_>>>()?;
        let order = self.order_exprs(&over.order)?;
        let windows = &mut self.scope().windows;
        windows.push(Window { kind, partition, order });
        Ok(Kind::Window(windows.len() - 1))
    }

    fn order_exprs(&mut self, items: &[OrderItem]) -> Result<Vec<(TExpr, bool)>> {
        items.iter().map(|i| Ok((self.value(&i.expr)?, i.desc))).collect()
    }
}
