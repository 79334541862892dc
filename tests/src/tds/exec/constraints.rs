//! What must hold when a statement ends: unique keys, checks, foreign keys.

use std::sync::Arc;

use super::dml::full_name;
use super::eval::truth;
use super::{Cell, Ctx, Env, Tuple};
use crate::tds::bind::{Binder, Pred, Rows, Scope, Source, base_columns};
use crate::tds::engine::ObjectId;
use crate::tds::engine::catalog::{ForeignKey, Index, IndexKind, TableDef};
use crate::tds::engine::table::RowId;
use crate::tds::error::{Result, SqlError};
use crate::tds::types::{Value, key};

/// The definition of a table, temporary or not, and its database.
pub(crate) fn definition(ctx: &Ctx<'_>, id: ObjectId) -> Option<(i32, Arc<TableDef>)> {
    if id < 0 {
        let temp = ctx.state.temp.values().flat_map(|m| m.values());
        return temp.map(|(d, _)| d).find(|d| d.id == id).map(|d| (ctx.sess.db, d.clone()));
    }
    ctx.state.catalog.databases.iter().find_map(|d| d.tables.get(&id).map(|t| (d.id, t.clone())))
}

/// Checks every row that the statement changed.
pub(crate) fn check_changed(ctx: &mut Ctx<'_>, verb: &str) -> Result<()> {
    let changed = std::mem::take(&mut ctx.changed);
    let mut tables: Vec<ObjectId> = changed.iter().map(|(t, _)| *t).collect();
    tables.sort_unstable();
    tables.dedup();
    for table in tables {
        let Some((db, def)) = definition(ctx, table) else { continue };
        let ids: Vec<RowId> =
            changed.iter().filter(|(t, _)| *t == table).map(|(_, id)| *id).collect();
        unique(ctx, db, &def, &ids)?;
        // A bulk load without CHECK_CONSTRAINTS tests keys only.
        if verb == "BULK" {
            continue;
        }
        checks(ctx, db, &def, &ids, verb)?;
        foreign(ctx, db, &def, &ids, verb)?;
        if verb != "INSERT" {
            referenced(ctx, db, &def, &ids, verb)?;
        }
    }
    Ok(())
}

enum Clash {
    Wait(i32),
    Duplicate { index: usize, values: Vec<Value> },
}

fn unique(ctx: &mut Ctx<'_>, db: i32, def: &TableDef, ids: &[RowId]) -> Result<()> {
    let me = ctx.sess.id;
    let clash = {
        let Some(data) = ctx.state.tables.get(&def.id) else { return Ok(()) };
        let mut clash = None;
        'rows: for id in ids {
            let Some(row) = data.slot(*id).and_then(|s| s.cur.as_ref()) else { continue };
            for (n, index) in data.indexes.iter().enumerate().filter(|(_, i)| i.unique) {
                let Some(k) = index.key(row) else { continue };
                let Some(others) = index.map.get(&k) else { continue };
                for other in others.as_slice().iter().filter(|o| *o != id) {
                    let Some(slot) = data.slot(*other) else { continue };
                    if let Some(d) = slot.dirty.as_ref().filter(|d| d.writer != me) {
                        clash = Some(Clash::Wait(d.writer));
                        break 'rows;
                    }
                    if slot.cur.as_ref().and_then(|r| index.key(r)).as_ref() == Some(&k) {
                        let values = index.columns.iter().map(|(c, _)| row[*c].clone()).collect();
                        clash = Some(Clash::Duplicate { index: n, values });
                        break 'rows;
                    }
                }
            }
        }
        clash
    };
    match clash {
        None => Ok(()),
        Some(Clash::Wait(holder)) => Err(ctx.state.wait_for(holder)),
        Some(Clash::Duplicate { index, values }) => {
            Err(duplicate(ctx, db, def, &def.indexes[index], &values))
        }
    }
}

pub(crate) fn duplicate(
    ctx: &Ctx<'_>,
    db: i32,
    def: &TableDef,
    index: &Index,
    values: &[Value],
) -> SqlError {
    let schema = ctx
        .state
        .catalog
        .databases
        .iter()
        .find(|d| d.id == db)
        .map_or_else(|| "dbo".to_owned(), |d| d.schema_name(def.schema).to_owned());
    let schema = if def.id < 0 { "dbo".to_owned() } else { schema };
    let object = format!("{schema}.{}", def.name);
    let shown: Vec<String> = values.iter().map(key::display).collect();
    let shown = shown.join(", ");
    let (number, text) = match index.kind {
        IndexKind::PrimaryKey => (
            2627,
            format!(
                "Violation of PRIMARY KEY constraint '{}'. Cannot insert duplicate key in object '{object}'. The duplicate key value is ({shown}).",
                index.name
            ),
        ),
        IndexKind::UniqueConstraint => (
            2627,
            format!(
                "Violation of UNIQUE KEY constraint '{}'. Cannot insert duplicate key in object '{object}'. The duplicate key value is ({shown}).",
                index.name
            ),
        ),
        IndexKind::Index => (
            2601,
            format!(
                "Cannot insert duplicate key row in object '{object}' with unique index '{}'. The duplicate key value is ({shown}).",
                index.name
            ),
        ),
    };
    SqlError::new(number, 14, text)
}

/// A check constraint over a row that the executor supplies.
pub(crate) fn bind_check(ctx: &mut Ctx<'_>, def: &TableDef, text: &str) -> Result<Pred> {
    let e = crate::tds::parse::expression(text)?;
    let source = Source {
        alias: def.name.clone(),
        qualifier: Vec::new(),
        columns: base_columns(def),
        rows: Rows::Supplied,
    };
    let mut b = Binder::new(ctx);
    b.scopes.push(Scope { sources: vec![source], ..Scope::default() });
    b.predicate(&e)
}

fn checks(ctx: &mut Ctx<'_>, db: i32, def: &TableDef, ids: &[RowId], verb: &str) -> Result<()> {
    for check in def.checks.iter().filter(|c| !c.disabled) {
        let pred = bind_check(ctx, def, &check.text)?;
        for id in ids {
            let row =
                ctx.state.tables.get(&def.id).and_then(|d| d.slot(*id)).and_then(|s| s.cur.clone());
            let Some(row) = row else { continue };
            let tuple: Tuple = vec![Some(Cell { row, id: *id })];
            let env = Env { tuple: &tuple, ..Env::default() };
            if truth(ctx, &pred, &env)? == Some(false) {
                return Err(conflict(ctx, db, def, verb, "CHECK", &check.name));
            }
        }
    }
    Ok(())
}

fn conflict(
    ctx: &Ctx<'_>,
    db: i32,
    def: &TableDef,
    verb: &str,
    kind: &str,
    name: &str,
) -> SqlError {
    let full = full_name(ctx, db, def);
    let (database, table) = full.split_once('.').unwrap_or(("", &full));
    SqlError::new(
        547,
        16,
        format!("The {verb} statement conflicted with the {kind} constraint \"{name}\". The conflict occurred in database \"{database}\", table \"{table}\"."),
    )
    .state(0)
}

/// Rows of this table must find the row they refer to.
pub(crate) fn foreign(
    ctx: &mut Ctx<'_>,
    db: i32,
    def: &TableDef,
    ids: &[RowId],
    verb: &str,
) -> Result<()> {
    for fk in def.foreign_keys.iter().filter(|f| !f.disabled) {
        for id in ids {
            let row =
                ctx.state.tables.get(&def.id).and_then(|d| d.slot(*id)).and_then(|s| s.cur.clone());
            let Some(row) = row else { continue };
            let values: Vec<Value> = fk.columns.iter().map(|c| row[*c].clone()).collect();
            if values.iter().any(Value::is_null) {
                continue;
            }
            if !row_with(ctx, fk.table, &fk.referenced, &values)? {
                let target =
                    definition(ctx, fk.table).map_or_else(|| Arc::new(def.clone()), |(_, d)| d);
                return Err(conflict(ctx, db, &target, verb, "FOREIGN KEY", &fk.name));
            }
        }
    }
    Ok(())
}

/// Rows that refer to a row changed here must still find it.
fn referenced(ctx: &mut Ctx<'_>, db: i32, def: &TableDef, ids: &[RowId], verb: &str) -> Result<()> {
    let catalog = ctx.state.catalog.clone();
    let Some(database) = catalog.databases.iter().find(|d| d.id == db) else { return Ok(()) };
    let referring: Vec<(&Arc<TableDef>, &ForeignKey)> = database
        .tables
        .values()
        .flat_map(|t| t.foreign_keys.iter().map(move |f| (t, f)))
        .filter(|(_, f)| f.table == def.id && !f.disabled)
        .collect();
    for (table, fk) in referring {
        for id in ids {
            let old = ctx
                .state
                .tables
                .get(&def.id)
                .and_then(|d| d.slot(*id))
                .and_then(|s| s.dirty.as_ref())
                .and_then(|d| d.committed.clone());
            let Some(old) = old else { continue };
            let values: Vec<Value> = fk.referenced.iter().map(|c| old[*c].clone()).collect();
            if row_with(ctx, def.id, &fk.referenced, &values)? {
                continue;
            }
            if row_with(ctx, table.id, &fk.columns, &values)? {
                return Err(conflict(ctx, db, table, verb, "REFERENCE", &fk.name));
            }
        }
    }
    Ok(())
}

/// Whether a table has a row with these values; waits for rows in doubt.
fn row_with(
    ctx: &mut Ctx<'_>,
    table: ObjectId,
    columns: &[usize],
    values: &[Value],
) -> Result<bool> {
    let Some((_, def)) = definition(ctx, table) else { return Ok(false) };
    let me = ctx.sess.id;
    let matches = |row: &[Value]| {
        columns
            .iter()
            .zip(values)
            .all(|(c, v)| !row[*c].is_null() && key::equal(&row[*c], v, def.columns[*c].collation))
    };
    let mut holder = None;
    let mut found = false;
    if let Some(data) = ctx.state.tables.get(&table) {
        let index = data.indexes.iter().find(|i| {
            i.filter.is_none()
                && i.columns.len() == columns.len()
                && i.columns.iter().zip(columns).all(|((c, _), d)| c == d)
        });
        let ids: Vec<RowId> = match index {
            Some(i) => {
                let mut k = Vec::new();
                for (v, (_, coll)) in values.iter().zip(&i.columns) {
                    key::push(&mut k, v, *coll);
                }
                i.map.get(k.as_slice()).map(|ids| ids.as_slice().to_vec()).unwrap_or_default()
            }
            None => data.ids().collect(),
        };
        for id in ids {
            let Some(slot) = data.slot(id) else { continue };
            let now = slot.cur.as_ref().is_some_and(|r| matches(r));
            match slot.dirty.as_ref().filter(|d| d.writer != me) {
                Some(d) => {
                    if now || d.committed.as_ref().is_some_and(|r| matches(r)) {
                        holder = Some(d.writer);
                    }
                }
                None => found |= now,
            }
        }
    }
    match holder {
        Some(h) if !found => Err(ctx.state.wait_for(h)),
        _ => Ok(found),
    }
}
