//! ALTER TABLE: new columns, types, constraints; the rows follow.

use super::*;

/// Makes a row of the new shape from one of the old.
pub(super) type NewRow<'f> = &'f mut dyn FnMut(&mut Ctx<'_>, Vec<Value>) -> Result<Vec<Value>>;

/// Copies the rows into new storage under a new definition; `f` makes the new row.
pub(super) fn rewrite(
    ctx: &mut Ctx<'_>,
    db: i32,
    old: &TableDef,
    def: TableDef,
    f: NewRow<'_>,
) -> Result<()> {
    let mut rows = Vec::new();
    let mut identity = None;
    if let Some(data) = ctx.state.tables.get(&old.id) {
        identity = data.identity;
        rows.extend(data.slots.iter().filter_map(|s| s.cur.clone()));
    }
    let mut new_rows = Vec::with_capacity(rows.len());
    for row in rows {
        new_rows.push(f(ctx, row.to_vec())?);
    }
    redefine(ctx, db, def.clone())?;
    replace_storage(ctx, &def);
    let me = ctx.sess.id;
    let mut changed = Vec::new();
    for row in new_rows {
        if let Some(data) = ctx.state.tables.get_mut(&def.id) {
            let id = data.allocate();
            ctx.state.set_row(me, def.id, id, Some(Arc::from(row)));
            changed.push((def.id, id));
        }
    }
    if let Some(data) = ctx.state.tables.get_mut(&def.id) {
        data.identity = identity;
    }
    ctx.changed.extend(changed);
    crate::tds::exec::constraints::check_changed(ctx, "ALTER TABLE")
}

pub(super) fn alter_table(ctx: &mut Ctx<'_>, name: &ObjName, change: &AlterTable) -> Result<()> {
    let (db, old) = alterable(ctx, name, "alter")?;
    let mut def = (*old).clone();
    match change {
        AlterTable::Add { columns, constraints, check } => {
            let width = def.columns.len();
            let collation = if def.id < 0 {
                ctx.state.catalog.server_collation
            } else {
                ctx.database_collation()
            };
            let (checks, keys) = (def.checks.len(), def.foreign_keys.len());
            build(ctx, &mut def, columns, constraints, collation, old.id < 0)?;
            if !*check {
                for c in &mut def.checks[checks..] {
                    c.trusted = false;
                }
                for f in &mut def.foreign_keys[keys..] {
                    f.trusted = false;
                }
            }
            if columns.is_empty() {
                return add_constraints(ctx, db, &old, def, checks, keys, *check);
            }
            let writer = Writer::new(ctx, db, Arc::new(def.clone()))?;
            let any = ctx.state.tables.get(&old.id).is_some_and(|d| d.live > 0);
            for c in &def.columns[width..] {
                if !c.nullable
                    && c.default.is_none()
                    && c.identity.is_none()
                    && c.computed.is_none()
                    && any
                {
                    return Err(SqlError::new(
                        4901,
                        16,
                        format!("ALTER TABLE only allows columns to be added that can contain nulls, or have a DEFAULT definition specified, or the column being added is an identity or timestamp column, or alternatively if none of the previous conditions are satisfied the table must be empty to allow addition of this column. Column '{}' cannot be added to non-empty table '{}' because it does not satisfy these conditions.", c.name, def.name),
                    )
                    .reach(Reach::Batch));
                }
            }
            let mut next: Option<i64> = None;
            let columns = def.columns.clone();
            rewrite(ctx, db, &old, def, &mut |ctx, mut row| {
                for (i, c) in columns.iter().enumerate().skip(width) {
                    let v = if let Some((seed, step)) = c.identity {
                        let n = next.map_or(seed, |n| n + step);
                        next = Some(n);
                        Value::Int(n)
                    } else if let (Some(d), false) = (&c.default, c.nullable) {
                        let e = crate::tds::parse::expression(&d.text)?;
                        let e = Binder::new(ctx).value(&e)?;
                        let v = crate::tds::exec::eval::value(ctx, &e, &Env::default())?;
                        writer.store(ctx, i, &v, e.ty, "ALTER TABLE")?
                    } else {
                        Value::Null
                    };
                    row.push(v);
                }
                writer.compute(ctx, &mut row)?;
                Ok(row)
            })
        }
        AlterTable::AlterColumn { name: column, ty, collation, nullable } => {
            let at = def.column(column).ok_or_else(|| {
                SqlError::new(
                    4924,
                    16,
                    format!("ALTER TABLE ALTER COLUMN failed because column '{column}' does not exist in table '{}'.", old.name),
                )
                .reach(Reach::Batch)
            })?;
            let from = def.columns[at].ty;
            let used = def.indexes.iter().any(|i| i.keys.iter().any(|(c, _)| *c == at))
                && !(from.is_text()
                    && ty.is_text()
                    && ty.max_length() >= from.max_length()
                    && from.is_wide() == ty.is_wide()
                    && collation.is_none());
            if used && from != *ty {
                return Err(SqlError::new(
                    5074,
                    16,
                    format!(
                        "The object '{}' is dependent on column '{column}'.",
                        def.indexes
                            .iter()
                            .find(|i| i.keys.iter().any(|(c, _)| *c == at))
                            .map_or("", |i| &i.name)
                    ),
                )
                .reach(Reach::Batch));
            }
            let c = &mut def.columns[at];
            c.ty = *ty;
            c.nullable = nullable.unwrap_or(true);
            c.collation = if ty.is_text() {
                Some(match collation {
                    Some(n) => Coll::parse(n)?,
                    None => c.collation.unwrap_or(ctx.database_collation()),
                })
            } else {
                None
            };
            let writer = Writer::new(ctx, db, Arc::new(def.clone()))?;
            rewrite(ctx, db, &old, def, &mut |ctx, mut row| {
                row[at] = writer.store(ctx, at, &row[at], from, "UPDATE")?;
                Ok(row)
            })
        }
        AlterTable::Drop { columns, constraints, if_exists } => {
            for k in constraints {
                drop_constraint(&mut def, k, *if_exists)?;
            }
            if columns.is_empty() {
                redefine(ctx, db, def.clone())?;
                return reindex(ctx, &def);
            }
            let mut gone = Vec::new();
            for c in columns {
                match def.column(c) {
                    Some(at) => {
                        check_unused(&def, at, c)?;
                        gone.push(at);
                    }
                    None if *if_exists => {}
                    None => {
                        return Err(SqlError::new(
                            4924,
                            16,
                            format!("ALTER TABLE DROP COLUMN failed because column '{c}' does not exist in table '{}'.", old.name),
                        )
                        .reach(Reach::Batch));
                    }
                }
            }
            gone.sort_unstable();
            remove_columns(&mut def, &gone);
            rewrite(ctx, db, &old, def, &mut |_, row| {
                Ok(row
                    .into_iter()
                    .enumerate()
                    .filter(|(i, _)| !gone.contains(i))
                    .map(|(_, v)| v)
                    .collect())
            })
        }
        AlterTable::EnableConstraint { name, enable } => {
            let mut hit = name.is_none();
            let is = |n: &str| name.as_ref().is_none_or(|x| same(x, n));
            for c in def.checks.iter_mut().filter(|c| is(&c.name)) {
                c.disabled = !enable;
                c.trusted = c.trusted && *enable;
                hit = true;
            }
            for f in def.foreign_keys.iter_mut().filter(|f| is(&f.name)) {
                f.disabled = !enable;
                f.trusted = f.trusted && *enable;
                hit = true;
            }
            if !hit {
                return Err(SqlError::new(
                    4917,
                    16,
                    format!("Constraint '{}' does not exist.", name.as_deref().unwrap_or_default()),
                )
                .reach(Reach::Batch));
            }
            redefine(ctx, db, def)
        }
    }
}

pub(super) fn add_constraints(
    ctx: &mut Ctx<'_>,
    db: i32,
    old: &TableDef,
    def: TableDef,
    checks: usize,
    keys: usize,
    validate: bool,
) -> Result<()> {
    if def.indexes.len() > old.indexes.len() {
        for (c, _) in def.indexes[old.indexes.len()..]
            .iter()
            .filter(|i| i.kind == IndexKind::PrimaryKey)
            .flat_map(|i| &i.keys)
        {
            if old.columns[*c].nullable {
                return Err(SqlError::new(
                    8111,
                    16,
                    format!(
                        "Cannot define PRIMARY KEY constraint on nullable column in table '{}'.",
                        def.name
                    ),
                )
                .reach(Reach::Batch));
            }
        }
    }
    redefine(ctx, db, def.clone())?;
    if def.indexes.len() > old.indexes.len() {
        reindex(ctx, &def)?;
        no_duplicates(ctx, db, &def, old.indexes.len())?;
    }
    if validate {
        let rows: Vec<_> = ctx
            .state
            .tables
            .get(&def.id)
            .map(|d| d.slots.iter().filter_map(|s| s.cur.clone()).collect())
            .unwrap_or_default();
        for check in &def.checks[checks..] {
            let p = bind_check(ctx, &def, &check.text)?;
            for row in &rows {
                let tuple: Tuple = vec![Some(Cell { row: row.clone(), id: 0 })];
                if truth(ctx, &p, &Env { tuple: &tuple, ..Env::default() })? == Some(false) {
                    return Err(SqlError::new(
                        547,
                        16,
                        format!("The ALTER TABLE statement conflicted with the CHECK constraint \"{}\".", check.name),
                    )
                    .state(0));
                }
            }
        }
        if def.foreign_keys.len() > keys {
            let ids: Vec<_> =
                ctx.state.tables.get(&def.id).map(|d| d.ids().collect()).unwrap_or_default();
            crate::tds::exec::constraints::foreign(ctx, db, &def, &ids, "ALTER TABLE")?;
        }
    }
    Ok(())
}

/// Error 1505 when rows that exist violate a new unique index.
pub(super) fn no_duplicates(ctx: &mut Ctx<'_>, db: i32, def: &TableDef, from: usize) -> Result<()> {
    let Some(data) = ctx.state.tables.get(&def.id) else { return Ok(()) };
    for (n, index) in data.indexes.iter().enumerate().skip(from).filter(|(_, i)| i.unique) {
        if let Some((_, ids)) = index.map.iter().find(|(_, ids)| ids.as_slice().len() > 1) {
            let row = data.slot(ids.as_slice()[0]).and_then(|s| s.cur.clone());
            let values: Vec<Value> = row
                .map(|r| index.columns.iter().map(|(c, _)| r[*c].clone()).collect())
                .unwrap_or_default();
            let mut e = duplicate(ctx, db, def, &def.indexes[n], &values);
            let shown: Vec<String> = values.iter().map(crate::tds::types::key::display).collect();
            e.number = 1505;
            e.class = 16;
            e.message = format!(
                "The CREATE UNIQUE INDEX statement terminated because a duplicate key was found for the object name '{}' and the index name '{}'. The duplicate key value is ({}).",
                def.name,
                def.indexes[n].name,
                shown.join(", ")
            );
            return Err(e);
        }
    }
    Ok(())
}

pub(super) fn drop_constraint(def: &mut TableDef, name: &str, if_exists: bool) -> Result<()> {
    let before = def.indexes.len() + def.checks.len() + def.foreign_keys.len();
    def.indexes.retain(|i| i.kind == IndexKind::Index || !same(&i.name, name));
    def.checks.retain(|c| !same(&c.name, name));
    def.foreign_keys.retain(|f| !same(&f.name, name));
    let mut hit = def.indexes.len() + def.checks.len() + def.foreign_keys.len() < before;
    for c in &mut def.columns {
        if c.default.as_ref().is_some_and(|d| same(&d.name, name)) {
            c.default = None;
            hit = true;
        }
    }
    if hit || if_exists {
        return Ok(());
    }
    Err(SqlError::new(3728, 16, format!("'{name}' is not a constraint.")).reach(Reach::Batch))
}

pub(super) fn check_unused(def: &TableDef, at: usize, name: &str) -> Result<()> {
    let user = def
        .indexes
        .iter()
        .find(|i| i.keys.iter().any(|(c, _)| *c == at) || i.include.contains(&at))
        .map(|i| i.name.clone())
        .or_else(|| def.columns[at].default.as_ref().map(|d| d.name.clone()))
        .or_else(|| {
            def.foreign_keys.iter().find(|f| f.columns.contains(&at)).map(|f| f.name.clone())
        });
    match user {
        Some(user) => Err(SqlError::new(
            5074,
            16,
            format!("The object '{user}' is dependent on column '{name}'."),
        )
        .reach(Reach::Batch)),
        None => Ok(()),
    }
}

pub(super) fn remove_columns(def: &mut TableDef, gone: &[usize]) {
    let moved = |c: usize| c - gone.iter().filter(|g| **g < c).count();
    let mut at = 0;
    def.columns.retain(|_| {
        at += 1;
        !gone.contains(&(at - 1))
    });
    for i in &mut def.indexes {
        for (c, _) in &mut i.keys {
            *c = moved(*c);
        }
        for c in &mut i.include {
            *c = moved(*c);
        }
    }
    for f in &mut def.foreign_keys {
        for c in &mut f.columns {
            *c = moved(*c);
        }
    }
}
