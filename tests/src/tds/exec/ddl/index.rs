//! CREATE INDEX, DROP INDEX.

use super::*;

/// Makes the indexes anew; a rollback brings the old ones back with the old storage.
pub(super) fn reindex(ctx: &mut Ctx<'_>, def: &TableDef) -> Result<()> {
    rewrite_same(ctx, def);
    let ids: Vec<_> = ctx.state.tables.get(&def.id).map(|d| d.ids().collect()).unwrap_or_default();
    for id in ids {
        ctx.changed.push((def.id, id));
    }
    Ok(())
}

pub(super) fn rewrite_same(ctx: &mut Ctx<'_>, def: &TableDef) {
    let rows: Vec<_> = ctx
        .state
        .tables
        .get(&def.id)
        .map(|d| d.slots.iter().filter_map(|s| s.cur.clone()).collect())
        .unwrap_or_default();
    let identity = ctx.state.tables.get(&def.id).and_then(|d| d.identity);
    replace_storage(ctx, def);
    let me = ctx.sess.id;
    for row in rows {
        if let Some(data) = ctx.state.tables.get_mut(&def.id) {
            let id = data.allocate();
            ctx.state.set_row(me, def.id, id, Some(row));
        }
    }
    if let Some(data) = ctx.state.tables.get_mut(&def.id) {
        data.identity = identity;
    }
}

pub(super) fn create_index(ctx: &mut Ctx<'_>, index: &IndexDef) -> Result<()> {
    let (_, found) = find_table(ctx, &index.table)
        .map_err(|_| cannot_find("alter", "table", &index.table.display()))?;
    let _ = found;
    let (db, old) = alterable(ctx, &index.table, "alter")?;
    if old.indexes.iter().any(|i| same(&i.name, &index.name)) {
        return Err(SqlError::new(
            1913,
            16,
            format!("The operation failed because an index or statistics with name '{}' already exists on table '{}'.", index.name, index.table.display()),
        )
        .reach(Reach::Batch));
    }
    if index.ignore_dup_key {
        return Err(unsupported("IGNORE_DUP_KEY = ON"));
    }
    let mut def = (*old).clone();
    let at = |n: &String| {
        old.column(n).ok_or_else(|| {
            SqlError::new(
                1911,
                16,
                format!("Column name '{n}' does not exist in the target table or view."),
            )
            .reach(Reach::Batch)
        })
    };
    let mut keys = Vec::new();
    for (n, desc) in &index.columns {
        keys.push((at(n)?, *desc));
    }
    let include = index.include.iter().map(at).collect::<Result<Vec<_>>>()?;
    if let Some(f) = &index.filter {
        bind_check(ctx, &old, &f.text)?;
    }
    Builder { def: &mut def, collation: ctx.database_collation(), temp: old.id < 0 }.index(
        Index {
            id: 0,
            object: 0,
            name: index.name.clone(),
            kind: IndexKind::Index,
            unique: index.unique,
            ignore_dup_key: false,
            system_named: false,
            keys,
            include,
            filter: index.filter.as_ref().map(|f| f.text.clone()),
        },
        index.clustered,
    )?;
    redefine(ctx, db, def.clone())?;
    reindex(ctx, &def)?;
    ctx.changed.clear();
    no_duplicates(ctx, db, &def, old.indexes.len())
}

pub(super) fn drop_index(
    ctx: &mut Ctx<'_>,
    name: &str,
    table: &ObjName,
    if_exists: bool,
) -> Result<()> {
    if if_exists && find_object(ctx, table)?.is_none() {
        return Ok(());
    }
    let (db, old) = alterable(ctx, table, "alter")?;
    let mut def = (*old).clone();
    let hit = def.indexes.iter().find(|i| same(&i.name, name));
    match hit {
        None if if_exists => return Ok(()),
        None => return Err(cannot_find("drop", "index", &format!("{}.{name}", table.display()))),
        Some(i) if i.kind != IndexKind::Index => {
            return Err(SqlError::new(
                3723,
                16,
                format!(
                    "An explicit DROP INDEX is not allowed on index '{}.{name}'. It is being used for constraint enforcement.",
                    table.display()
                ),
            ));
        }
        Some(_) => {}
    }
    def.indexes.retain(|i| !same(&i.name, name));
    redefine(ctx, db, def.clone())?;
    reindex(ctx, &def)?;
    ctx.changed.clear();
    Ok(())
}
