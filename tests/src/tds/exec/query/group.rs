//! GROUP BY, aggregates, window functions.

use super::*;

pub(super) struct Accumulator {
    pub(super) count: i64,
    pub(super) sum: Option<Value>,
    pub(super) best: Option<Value>,
    pub(super) texts: Vec<(Vec<Value>, String)>,
    pub(super) separator: String,
    pub(super) seen: HashSet<Vec<u8>>,
}

impl Accumulator {
    pub(super) fn new() -> Accumulator {
        Accumulator {
            count: 0,
            sum: None,
            best: None,
            texts: Vec::new(),
            separator: String::new(),
            seen: HashSet::new(),
        }
    }

    pub(super) fn add(&mut self, ctx: &mut Ctx<'_>, a: &Aggregate, env: &Env<'_>) -> Result<()> {
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

    pub(super) fn finish(mut self, a: &Aggregate) -> Result<Value> {
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

pub(super) fn int_to_f64(n: i64) -> f64 {
    n.to_string().parse().unwrap_or(f64::NAN)
}

pub(super) fn group(
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
pub(super) fn windows(
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

pub(super) fn order_values(a: &[Value], b: &[Value], order: &[(TExpr, bool)]) -> Ordering {
    for (i, (e, desc)) in order.iter().enumerate() {
        let o = key::compare_nulls_first(&a[i], &b[i], e.label.coll());
        if o != Ordering::Equal {
            return if *desc { o.reverse() } else { o };
        }
    }
    Ordering::Equal
}

pub(super) fn one_window(
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
