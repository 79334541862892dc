//! Joins: which source first, and how each is found.

use super::visit::{has_outer, mask_of, mask_of_pred, pred_has_outer};
use super::{Access, Binder, JoinPlan, Kind, Pred, Rows, Source, Step, StepKind, TExpr};
use crate::tds::error::{Result, unsupported};
use crate::tds::parse::ast::BinOp;
use crate::tds::types::{Coll, key};

/// A FROM element in the order of the text.
pub(crate) struct Flat {
    pub(crate) source: usize,
    pub(crate) kind: StepKind,
    pub(crate) on: Vec<Pred>,
    /// A derived table that reads its neighbours (APPLY).
    pub(crate) lateral: bool,
}

impl Binder<'_, '_> {
    pub(crate) fn plan_join(
        &mut self,
        sources: Vec<Source>,
        flat: Vec<Flat>,
        pool: Vec<Pred>,
    ) -> Result<JoinPlan> {
        if sources.len() > 60 {
            return Err(unsupported("more than 60 tables in one FROM"));
        }
        let full = flat.iter().any(|f| f.kind == StepKind::Full);
        let mut pool: Vec<(Pred, u64)> = pool
            .into_iter()
            .map(|p| {
                let m = mask_of_pred(&p);
                (p, m)
            })
            .collect();
        let mut first = Vec::new();
        if !full {
            pool.retain(|(p, mask)| {
                if *mask == 0 {
                    first.push(p.clone());
                }
                *mask != 0
            });
        }
        let free = flat.iter().take_while(|f| f.kind == StepKind::Inner && !f.lateral).count();
        let mut steps: Vec<Step> = Vec::new();
        let mut available = 0_u64;
        let mut waiting: Vec<usize> = flat[..free].iter().map(|f| f.source).collect();
        while !waiting.is_empty() {
            let pick = self.cheapest(&sources, &waiting, available, &pool, full);
            let source = waiting.remove(pick);
            let step = self.step(
                &sources,
                source,
                StepKind::Inner,
                Vec::new(),
                available,
                &mut pool,
                full,
            )?;
            available |= 1 << source;
            steps.push(step);
        }
        for f in flat.into_iter().skip(free) {
            let step = self.step(&sources, f.source, f.kind, f.on, available, &mut pool, full)?;
            available |= 1 << f.source;
            steps.push(step);
        }
        match steps.last_mut() {
            Some(last) => last.after.extend(pool.into_iter().map(|(p, _)| p)),
            None => first.extend(pool.into_iter().map(|(p, _)| p)),
        }
        Ok(JoinPlan { sources, steps, first })
    }

    /// Which waiting source to take next: one with an index, else the smallest.
    fn cheapest(
        &self,
        sources: &[Source],
        waiting: &[usize],
        available: u64,
        pool: &[(Pred, u64)],
        full: bool,
    ) -> usize {
        let cost = |s: usize| -> (u8, usize) {
            let size = self.size(&sources[s]);
            if full {
                return (0, s);
            }
            let equal = equalities(s, available, pool.iter().map(|(p, _)| p));
            match self.index_for(&sources[s], s, &equal) {
                Some((_, true)) => (0, 1),
                Some((_, false)) => (1, size / 10),
                None if available == 0 => (2, size),
                None if !equal.is_empty() => (2, size),
                None => (3, size),
            }
        };
        (0..waiting.len()).min_by_key(|i| cost(waiting[*i])).unwrap_or(0)
    }

    fn size(&self, source: &Source) -> usize {
        match &source.rows {
            Rows::Table { id, .. } => self.ctx.state.tables.get(id).map_or(0, |t| t.live),
            Rows::Query { .. } => 1000,
            Rows::Values(rows) => rows.len(),
            Rows::Fixed(rows) => rows.len(),
            Rows::Supplied => 1,
        }
    }

    /// The index that serves the equalities best, and whether they fix a unique key.
    fn index_for(&self, source: &Source, s: usize, equal: &[Equality]) -> Option<(usize, bool)> {
        let Rows::Table { id, .. } = &source.rows else { return None };
        let data = self.ctx.state.tables.get(id)?;
        let mut best: Option<(usize, usize, bool)> = None;
        for (i, index) in data.indexes.iter().enumerate() {
            if index.filter.is_some() {
                continue;
            }
            let prefix = index
                .columns
                .iter()
                .take_while(|(c, coll)| equal.iter().any(|e| e.serves(s, *c, *coll)))
                .count();
            if prefix == 0 {
                continue;
            }
            let full = prefix == index.columns.len() && index.unique;
            if best.is_none_or(|(_, p, f)| (full, prefix) > (f, p)) {
                best = Some((i, prefix, full));
            }
        }
        best.map(|(i, _, full)| (i, full))
    }

    #[allow(clippy::too_many_arguments)]
    fn step(
        &mut self,
        sources: &[Source],
        source: usize,
        kind: StepKind,
        on: Vec<Pred>,
        available: u64,
        pool: &mut Vec<(Pred, u64)>,
        full: bool,
    ) -> Result<Step> {
        let me = 1_u64 << source;
        let cacheable = match &sources[source].rows {
            Rows::Query { correlated, .. } => !correlated,
            Rows::Values(rows) => !rows.iter().flatten().any(has_outer),
            Rows::Table { .. } | Rows::Fixed(_) => true,
            Rows::Supplied => false,
        };
        let cache = if cacheable { self.ctx.new_cache() } else { 0 };
        let mut step = Step {
            source,
            kind,
            access: Access::Scan,
            local: Vec::new(),
            on: Vec::new(),
            after: Vec::new(),
            cache,
        };
        let mut usable: Vec<Pred> = Vec::new();
        if kind == StepKind::Inner && !full {
            let now = available | me;
            let (ready, rest): (Vec<_>, Vec<_>) =
                pool.drain(..).partition(|(_, m)| m & !now == 0 && m & me != 0);
            *pool = rest;
            usable.extend(ready.into_iter().map(|(p, _)| p));
        } else {
            usable = on;
            if !full {
                let now = available | me;
                let (ready, rest): (Vec<_>, Vec<_>) =
                    pool.drain(..).partition(|(_, m)| m & !now == 0);
                *pool = rest;
                step.after.extend(ready.into_iter().map(|(p, _)| p));
            }
        }
        let equal = equalities(source, available, usable.iter());
        step.access = self.access(&sources[source], source, &equal);
        for p in usable {
            let mask = mask_of_pred(&p);
            if mask == me && !has_subquery(&p) && !pred_has_outer(&p) {
                step.local.push(p);
            } else {
                step.on.push(p);
            }
        }
        if kind == StepKind::Full && !matches!(step.access, Access::Scan) {
            // The rows that match nothing must be seen too.
            step.access = match step.access {
                hash @ Access::Hash { .. } => hash,
                _ => hash(&equal).unwrap_or(Access::Scan),
            };
        }
        Ok(step)
    }

    fn access(&mut self, source: &Source, s: usize, equal: &[Equality]) -> Access {
        if let Some((index, full)) = self.index_for(source, s, equal)
            && let Rows::Table { id, .. } = &source.rows
            && let Some(data) = self.ctx.state.tables.get(id)
        {
            let columns = &data.indexes[index].columns;
            let keys: Vec<TExpr> = columns
                .iter()
                .map_while(|(c, coll)| {
                    equal.iter().find(|e| e.serves(s, *c, *coll)).map(|e| e.other.clone())
                })
                .collect();
            return Access::Index { index, keys, full };
        }
        let correlated =
            matches!(source.rows, Rows::Query { correlated: true, .. } | Rows::Supplied);
        if correlated {
            return Access::Scan;
        }
        hash(equal).unwrap_or(Access::Scan)
    }
}

fn hash(equal: &[Equality]) -> Option<Access> {
    if equal.is_empty() {
        return None;
    }
    Some(Access::Hash {
        build: equal.iter().map(|e| e.mine.clone()).collect(),
        probe: equal.iter().map(|e| e.other.clone()).collect(),
        colls: equal.iter().map(|e| e.coll).collect(),
    })
}

fn has_subquery(p: &Pred) -> bool {
    let mut found = false;
    super::visit::pred(p, 0, &mut |e, level| {
        found |= level > 0 || matches!(e.kind, Kind::Subquery(_));
    });
    found
}

/// `mine = other`, where `mine` reads only this source and `other` only earlier ones.
struct Equality {
    mine: TExpr,
    other: TExpr,
    coll: Option<Coll>,
}

impl Equality {
    /// Whether it fixes a column of an index.
    fn serves(&self, s: usize, column: usize, coll: Option<Coll>) -> bool {
        let (inner, cast_to) = match &self.mine.kind {
            Kind::Cast { inner, style: None, attempt: false } => (inner.as_ref(), self.mine.ty),
            _ => (&self.mine, self.mine.ty),
        };
        let hit = matches!(inner.kind, Kind::Column { depth: 0, source, column: c } if source == s && c == column);
        hit && key::same_key_space(inner.ty, cast_to)
            && key::same_key_space(inner.ty, self.other.ty)
            && (self.coll == coll || !inner.ty.is_text())
    }
}

fn equalities<'p>(
    s: usize,
    available: u64,
    preds: impl Iterator<Item = &'p Pred>,
) -> Vec<Equality> {
    let me = 1_u64 << s;
    let mut out = Vec::new();
    for p in preds {
        let Pred::Compare { op: BinOp::Eq, left, right, coll } = p else { continue };
        let (l, r) = (mask_of(left), mask_of(right));
        for (mine, mine_mask, other, other_mask) in [(left, l, right, r), (right, r, left, l)] {
            if mine_mask == me
                && other_mask & !available == 0
                && other_mask & me == 0
                && !has_outer(mine)
            {
                out.push(Equality {
                    mine: (**mine).clone(),
                    other: (**other).clone(),
                    coll: *coll,
                });
                break;
            }
        }
    }
    out
}
