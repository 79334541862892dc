//! What UPDATE and DELETE share: the target among the sources, and the rows found.

use super::*;

/// FROM and WHERE of an UPDATE or DELETE, joined, with the target's place among the sources.
pub(super) struct Modify {
    pub(super) join: JoinPlan,
    pub(super) target: usize,
    pub(super) writer: Writer,
}

/// Where the target stands in FROM: by alias, else as the table itself.
pub(super) fn place_in_from(from: &[TableRef], name: &ObjName) -> Option<String> {
    pub(super) fn walk(t: &TableRef, name: &ObjName, found: &mut Option<String>, exact: bool) {
        match t {
            TableRef::Join { left, right, .. } => {
                walk(left, name, found, exact);
                walk(right, name, found, exact);
            }
            TableRef::Table { name: n, alias, .. } => {
                let by_alias =
                    name.schema.is_none() && alias.as_ref().is_some_and(|a| same(a, &name.name));
                let by_name = same(&n.name, &name.name)
                    && (name.schema.is_none()
                        || n.schema.is_none()
                        || name
                            .schema
                            .as_ref()
                            .zip(n.schema.as_ref())
                            .is_some_and(|(a, b)| same(a, b)));
                if found.is_none()
                    && if exact { by_alias || (by_name && alias.is_none()) } else { by_name }
                {
                    *found = Some(alias.clone().unwrap_or_else(|| n.name.clone()));
                }
            }
            TableRef::Variable { name: n, alias } => {
                let shown = alias.as_ref().unwrap_or(n);
                if found.is_none() && (same(shown, &name.name) || same(n, &name.name)) {
                    *found = Some(shown.clone());
                }
            }
            TableRef::Derived { .. } | TableRef::Values { .. } => {}
        }
    }
    let mut found = None;
    for exact in [true, false] {
        from.iter().for_each(|t| walk(t, name, &mut found, exact));
    }
    found
}

/// Binds what UPDATE and DELETE share; `bind` binds the rest in the same scope.
pub(super) fn modify<T>(
    ctx: &mut Ctx<'_>,
    ctes: &[crate::tds::parse::ast::Cte],
    target: &Target,
    from: &[TableRef],
    filter: Option<&Expr>,
    asked: &str,
    bind: impl FnOnce(&mut Binder<'_, '_>, &Writer, usize) -> Result<(T, Vec<TExpr>)>,
) -> Result<(Modify, T)> {
    let (name, hints) = target_name(target);
    let place = place_in_from(from, &name);
    if place.is_none() && ctes.iter().any(|c| same(&c.name, &name.name)) {
        return Err(unsupported("writing through a common table expression"));
    }
    let mut from = from.to_vec();
    let alias = match place {
        Some(alias) => alias,
        None => {
            from.insert(
                0,
                match target {
                    Target::Table(..) => TableRef::Table { name: name.clone(), alias: None, hints },
                    Target::Variable(v) => TableRef::Variable { name: v.clone(), alias: None },
                },
            );
            name.name.clone()
        }
    };
    let mut b = Binder::new(ctx);
    b.ctes = ctes.to_vec();
    b.scopes.push(Scope::default());
    // Reading the target needs SELECT only if a column of it is read.
    let readable = target_object(&mut b, &from, &alias)?;
    b.trusted = true;
    let (flat, mut pool) = b.from(&from)?;
    b.trusted = false;
    let target = b
        .scope()
        .sources
        .iter()
        .position(|s| same(&s.alias, &alias) && matches!(s.rows, Rows::Table { .. }))
        .ok_or_else(|| invalid_object(&name.display()))?;
    let (db, def) = readable;
    for (i, source) in b.scopes[0].sources.iter().enumerate() {
        if i != target {
            check_source(b.ctx, source)?;
        }
    }
    b.ctx.require(db, asked, &def)?;
    let writer = Writer::new(b.ctx, db, def)?;
    if let Some(f) = filter {
        let p = b.predicate(f)?;
        split(p, &mut pool);
    }
    let (bound, read) = bind(&mut b, &writer, target)?;
    let mut mask = 0;
    pool.iter().for_each(|p| mask |= crate::tds::bind::mask_of_pred(p));
    flat.iter().flat_map(|f| &f.on).for_each(|p| mask |= crate::tds::bind::mask_of_pred(p));
    read.iter().for_each(|e| mask |= crate::tds::bind::mask_of(e));
    if mask & (1 << target) != 0 {
        b.ctx.require(writer.db, "SELECT", &writer.def)?;
    }
    let mut sources = std::mem::take(&mut b.scopes[0].sources);
    sources.truncate(
        sources.iter().position(|s| matches!(s.rows, Rows::Supplied)).unwrap_or(sources.len()),
    );
    let join = b.plan_join(sources, flat, pool)?;
    Ok((Modify { join, target, writer }, bound))
}

pub(super) fn split(p: Pred, out: &mut Vec<Pred>) {
    if let Pred::And(a, b) = p {
        split(*a, out);
        split(*b, out);
    } else {
        out.push(p);
    }
}

/// Other tables of FROM need SELECT; derived tables were checked as they were bound... unless trusted.
pub(super) fn check_source(ctx: &mut Ctx<'_>, source: &Source) -> Result<()> {
    if let Rows::Table { id, .. } = &source.rows {
        let catalog = ctx.state.catalog.clone();
        for db in &catalog.databases {
            if let Some(def) = db.tables.get(id) {
                ctx.require(db.id, "SELECT", def)?;
            }
        }
    }
    Ok(())
}

pub(super) fn target_object(
    b: &mut Binder<'_, '_>,
    from: &[TableRef],
    alias: &str,
) -> Result<(i32, Arc<TableDef>)> {
    pub(super) fn walk(t: &TableRef, alias: &str) -> Option<ObjName> {
        match t {
            TableRef::Join { left, right, .. } => walk(left, alias).or_else(|| walk(right, alias)),
            TableRef::Table { name, alias: a, .. } => {
                same(a.as_ref().unwrap_or(&name.name), alias).then(|| name.clone())
            }
            TableRef::Variable { name, alias: a } => {
                same(a.as_ref().unwrap_or(name), alias).then(|| ObjName::bare(name))
            }
            _ => None,
        }
    }
    let name = from.iter().find_map(|t| walk(t, alias)).ok_or_else(|| invalid_object(alias))?;
    find_table(b.ctx, &name)
}

pub(super) struct Change {
    pub(super) id: RowId,
    pub(super) tuple: Tuple,
    pub(super) old: Row,
}

/// The target rows, each once.
pub(super) fn collect(ctx: &mut Ctx<'_>, m: &Modify, top: Option<usize>) -> Result<Vec<Change>> {
    let mut seen = HashSet::new();
    let mut out = Vec::new();
    query::join(ctx, &m.join, None, Some(m.target), &mut |_, tuple| {
        if let Some(Some(cell)) = tuple.get(m.target) {
            if top.is_some_and(|n| out.len() >= n) {
                return Ok(false);
            }
            if seen.insert(cell.id) {
                out.push(Change { id: cell.id, tuple: tuple.clone(), old: cell.row.clone() });
            }
        }
        Ok(true)
    })?;
    Ok(out)
}
