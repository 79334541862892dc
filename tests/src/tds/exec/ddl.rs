//! Tables, indexes, schemas, views, databases.

mod builder;
use builder::*;
mod alter;
use alter::*;
mod index;
use index::*;
mod container;
use container::*;

use std::sync::Arc;

use super::constraints::{bind_check, duplicate};
use super::dml::{Writer, replace_storage};
use super::eval::truth;
use super::{Cell, Ctx, Env, Tuple, ddl_name, query};
use crate::tds::bind::{
    Binder, Found, Rows, Scope, Source, base_columns, find_object, find_schema, find_table,
};
use crate::tds::engine::ObjectId;
use crate::tds::engine::catalog::{
    Check, Column, Database, Default as ColumnDefault, ForeignKey, Generated, Index, IndexKind,
    Schema, Securable, TableDef, ViewDef, same,
};
use crate::tds::engine::permission;
use crate::tds::engine::state::filter_of;
use crate::tds::engine::table::TableData;
use crate::tds::engine::txn::Undo;
use crate::tds::error::{Reach, Result, SqlError, invalid_column, unsupported};
use crate::tds::parse::ast::{
    AlterTable, ColumnDef, ConstraintDef, ConstraintKind, Ddl, DropKind, IndexDef, ObjName,
};
use crate::tds::types::{Coll, SqlType, Value, convert, datetime};

pub(crate) fn already_there(name: &str) -> SqlError {
    SqlError::new(2714, 16, format!("There is already an object named '{name}' in the database."))
        .state(6)
        .reach(Reach::Batch)
}

pub(crate) fn duplicate_column(column: &str, table: &str) -> SqlError {
    SqlError::new(
        2705,
        16,
        format!("Column names in each table must be unique. Column name '{column}' in table '{table}' is specified more than once."),
    )
    .state(3)
    .reach(Reach::Batch)
}

fn no_schema(name: &str) -> SqlError {
    SqlError::new(
        2760,
        16,
        format!("The specified schema name \"{name}\" either does not exist or you do not have permission to use it."),
    )
    .reach(Reach::Batch)
}

/// Whether a statement changes more than the session's own temporary tables.
fn shared(ddl: &Ddl) -> bool {
    match ddl {
        Ddl::CreateTable { name, .. } | Ddl::AlterTable { name, .. } => !name.is_temp(),
        Ddl::CreateIndex(index) => !index.table.is_temp(),
        Ddl::DropIndex { table, .. } => !table.is_temp(),
        Ddl::Drop { kind: DropKind::Table, names, .. } => names.iter().any(|n| !n.is_temp()),
        _ => true,
    }
}

pub(crate) fn run(ctx: &mut Ctx<'_>, ddl: &Ddl) -> Result<()> {
    if shared(ddl) {
        // A rollback restores the whole catalog, so only one transaction may change it.
        lock_name(ctx, -1, -1, "")?;
    }
    match ddl {
        Ddl::CreateTable { name, columns, constraints } => {
            create_table(ctx, name, columns, constraints)
        }
        Ddl::AlterTable { name, change } => alter_table(ctx, name, change),
        Ddl::CreateIndex(index) => create_index(ctx, index),
        Ddl::DropIndex { name, table, if_exists } => drop_index(ctx, name, table, *if_exists),
        Ddl::CreateSchema { name, owner } => create_schema(ctx, name, owner.as_deref()),
        Ddl::CreateView { name, columns, text, alter } => {
            create_view(ctx, name, columns, text, *alter)
        }
        Ddl::CreateDatabase { name, collation } => create_database(ctx, name, collation.as_deref()),
        Ddl::AlterDatabase { name, settings } => alter_database(ctx, name.as_deref(), settings),
        Ddl::Drop { kind: DropKind::Table, names, if_exists } => {
            names.iter().try_for_each(|n| drop_table(ctx, n, *if_exists))
        }
        Ddl::Drop { kind: DropKind::View, names, if_exists } => {
            names.iter().try_for_each(|n| drop_view(ctx, n, *if_exists))
        }
        Ddl::Drop { kind: DropKind::Schema, names, if_exists } => {
            names.iter().try_for_each(|n| drop_schema(ctx, &n.name, *if_exists))
        }
        Ddl::Drop { kind: DropKind::Database, names, if_exists } => {
            names.iter().try_for_each(|n| drop_database(ctx, &n.name, *if_exists))
        }
        other => super::security::run(ctx, other),
    }
}

/// Takes the lock that serialises changes of the catalog, and marks a name as in doubt.
pub(crate) fn lock_name(ctx: &mut Ctx<'_>, db: i32, schema: i32, name: &str) -> Result<()> {
    let me = ctx.sess.id;
    match &mut ctx.state.locks.ddl {
        Some((holder, _)) if *holder != me => {
            let holder = *holder;
            return Err(ctx.state.wait_for(holder));
        }
        Some((_, names)) => names.push(ddl_name(db, schema, name)),
        None => ctx.state.locks.ddl = Some((me, vec![ddl_name(db, schema, name)])),
    }
    Ok(())
}

/// Where a new object goes, if the session may create it there.
fn place(ctx: &mut Ctx<'_>, name: &ObjName, permission: &str) -> Result<(i32, i32)> {
    let catalog = ctx.state.catalog.clone();
    let db = match &name.db {
        Some(n) => catalog.database(n).ok_or_else(|| no_database(n))?,
        None => ctx.database(&catalog),
    };
    let user = ctx.user_in(db).unwrap_or(0);
    let schema = find_schema(ctx, db, name.schema.as_deref())
        .ok_or_else(|| no_schema(name.schema.as_deref().unwrap_or("dbo")))?;
    if !permission::allowed(db, user, permission, Securable::Database) {
        return Err(SqlError::new(
            262,
            14,
            format!("{permission} permission denied in database '{}'.", db.name),
        ));
    }
    if !permission::allowed(db, user, "ALTER", Securable::Schema(schema)) {
        return Err(no_schema(db.schema_name(schema)));
    }
    Ok((db.id, schema))
}

pub(crate) fn no_database(name: &str) -> SqlError {
    SqlError::new(
        911,
        16,
        format!("Database '{name}' does not exist. Make sure that the name is entered correctly."),
    )
    .reach(Reach::Batch)
}

pub(crate) fn database_mut<'s>(ctx: &'s mut Ctx<'_>, db: i32) -> Result<&'s mut Database> {
    let me = ctx.sess.id;
    ctx.state.catalog_mut(me).database_mut(db).ok_or_else(|| no_database(&db.to_string()))
}

fn empty_def(id: ObjectId, schema: i32, name: &str) -> TableDef {
    let now = datetime::now();
    TableDef {
        id,
        schema,
        name: name.to_owned(),
        columns: Vec::new(),
        indexes: Vec::new(),
        checks: Vec::new(),
        foreign_keys: Vec::new(),
        created: now,
        modified: now,
        next_column: 1,
    }
}

fn create_table(
    ctx: &mut Ctx<'_>,
    name: &ObjName,
    columns: &[ColumnDef],
    constraints: &[ConstraintDef],
) -> Result<()> {
    if name.is_temp() {
        let collation = ctx.state.catalog.server_collation;
        return create_temp(ctx, name, columns, constraints, collation);
    }
    let (db, schema) = place(ctx, name, "CREATE TABLE")?;
    lock_name(ctx, db, schema, &name.name)?;
    let me = ctx.sess.id;
    let exists = ctx
        .state
        .catalog
        .databases
        .iter()
        .any(|d| d.id == db && d.object_exists(schema, &name.name));
    if exists {
        return Err(already_there(&name.name));
    }
    let id = ctx.state.catalog_mut(me).new_id();
    let collation = ctx
        .state
        .catalog
        .databases
        .iter()
        .find(|d| d.id == db)
        .map_or(ctx.database_collation(), |d| d.collation);
    let mut def = empty_def(id, schema, &name.name);
    build(ctx, &mut def, columns, constraints, collation, false)?;
    install(ctx, db, def)
}

fn build(
    ctx: &mut Ctx<'_>,
    def: &mut TableDef,
    columns: &[ColumnDef],
    constraints: &[ConstraintDef],
    collation: Coll,
    temp: bool,
) -> Result<()> {
    let mut b = Builder { def, collation, temp };
    for c in columns {
        b.column(ctx, c)?;
    }
    for k in constraints {
        b.constraint(ctx, k, false)?;
    }
    for check in def.checks.clone() {
        bind_check(ctx, def, &check.text)?;
    }
    Ok(())
}

/// Puts a new table into the catalog, with storage.
fn install(ctx: &mut Ctx<'_>, db: i32, def: TableDef) -> Result<()> {
    let me = ctx.sess.id;
    let data = TableData::new(&def, &filter_of(&def));
    let id = def.id;
    database_mut(ctx, db)?.tables.insert(id, Arc::new(def));
    ctx.state.tables.insert(id, data);
    ctx.state.push_undo(me, Undo::Storage(id, None));
    Ok(())
}

/// A temporary table or table variable of this session (`##` of all).
pub(crate) fn create_temp(
    ctx: &mut Ctx<'_>,
    name: &ObjName,
    columns: &[ColumnDef],
    constraints: &[ConstraintDef],
    collation: Coll,
) -> Result<()> {
    let id = ctx.state.new_temp_id();
    let mut def = empty_def(id, 1, &name.name);
    build(ctx, &mut def, columns, constraints, collation, true)?;
    install_temp(ctx, def)
}

fn temp_owner(ctx: &Ctx<'_>, name: &str) -> i32 {
    if name.starts_with("##") { 0 } else { ctx.sess.id }
}

fn install_temp(ctx: &mut Ctx<'_>, def: TableDef) -> Result<()> {
    let owner = temp_owner(ctx, &def.name);
    let key = def.name.to_lowercase();
    let before = ctx.state.temp.entry(owner).or_default().clone();
    if before.get(&key).is_some_and(|(_, nest)| *nest == ctx.sess.nest || owner == 0) {
        return Err(already_there(&def.name));
    }
    if before.contains_key(&key) {
        return Err(unsupported("a temporary table that hides one of an outer scope"));
    }
    let me = ctx.sess.id;
    ctx.state.push_undo(me, Undo::Temp(owner, before));
    let data = TableData::new(&def, &filter_of(&def));
    let id = def.id;
    ctx.state.tables.insert(id, data);
    ctx.state.push_undo(me, Undo::Storage(id, None));
    let nest = ctx.sess.nest;
    ctx.state.temp.entry(owner).or_default().insert(key, (Arc::new(def), nest));
    Ok(())
}

/// A table from finished columns, for SELECT INTO.
pub(crate) fn create_plain(
    ctx: &mut Ctx<'_>,
    name: &ObjName,
    columns: Vec<Column>,
) -> Result<Arc<TableDef>> {
    let next_column = i32::try_from(columns.len() + 1).unwrap_or(i32::MAX);
    if name.is_temp() {
        let id = ctx.state.new_temp_id();
        let def = TableDef { columns, next_column, ..empty_def(id, 1, &name.name) };
        install_temp(ctx, def.clone())?;
        return Ok(Arc::new(def));
    }
    let (db, schema) = place(ctx, name, "CREATE TABLE")?;
    lock_name(ctx, db, schema, &name.name)?;
    let me = ctx.sess.id;
    let id = ctx.state.catalog_mut(me).new_id();
    let def = TableDef { columns, next_column, ..empty_def(id, schema, &name.name) };
    install(ctx, db, def.clone())?;
    Ok(Arc::new(def))
}

fn cannot_find(verb: &str, what: &str, name: &str) -> SqlError {
    if verb == "alter" {
        return SqlError::new(
            4902,
            16,
            format!("Cannot find the object \"{name}\" because it does not exist or you do not have permissions."),
        )
        .reach(Reach::Batch);
    }
    SqlError::new(3701, 11, format!("Cannot {verb} the {what} '{name}', because it does not exist or you do not have permission.")).state(5)
}

/// The table, if it may be altered.
fn alterable(ctx: &mut Ctx<'_>, name: &ObjName, verb: &str) -> Result<(i32, Arc<TableDef>)> {
    let missing = || cannot_find(verb, "table", &name.display());
    match find_object(ctx, name)? {
        Some(Found::Table { db, def }) => {
            if def.id < 0 {
                return Ok((db, def));
            }
            ctx.require(db, "ALTER", &def).map_err(|_| missing())?;
            let me = ctx.sess.id;
            if let Some(holder) = ctx.state.locks.table_holder(def.id, me, true) {
                return Err(ctx.state.wait_for(holder));
            }
            lock_name(ctx, db, def.schema, &def.name)?;
            query::lock_table(ctx, def.id, true)?;
            Ok((db, def))
        }
        _ => Err(missing()),
    }
}

/// Replaces a definition, temporary or not.
fn redefine(ctx: &mut Ctx<'_>, db: i32, mut def: TableDef) -> Result<()> {
    def.modified = datetime::now();
    if def.id < 0 {
        let owner = temp_owner(ctx, &def.name);
        let me = ctx.sess.id;
        let before = ctx.state.temp.entry(owner).or_default().clone();
        let nest = before.get(&def.name.to_lowercase()).map_or(0, |(_, n)| *n);
        ctx.state.push_undo(me, Undo::Temp(owner, before));
        ctx.state
            .temp
            .entry(owner)
            .or_default()
            .insert(def.name.to_lowercase(), (Arc::new(def), nest));
        return Ok(());
    }
    database_mut(ctx, db)?.tables.insert(def.id, Arc::new(def));
    Ok(())
}

fn drop_table(ctx: &mut Ctx<'_>, name: &ObjName, if_exists: bool) -> Result<()> {
    let found = find_object(ctx, name)?;
    let Some(Found::Table { .. }) = found else {
        return if if_exists { Ok(()) } else { Err(cannot_find("drop", "table", &name.display())) };
    };
    let (db, def) = alterable(ctx, name, "drop")?;
    let me = ctx.sess.id;
    if def.id < 0 {
        let owner = temp_owner(ctx, &def.name);
        let before = ctx.state.temp.entry(owner).or_default().clone();
        ctx.state.push_undo(me, Undo::Temp(owner, before));
        ctx.state.temp.entry(owner).or_default().remove(&def.name.to_lowercase());
    } else {
        let catalog = ctx.state.catalog.clone();
        let user = catalog
            .databases
            .iter()
            .flat_map(|d| d.tables.values())
            .find(|t| t.id != def.id && t.foreign_keys.iter().any(|f| f.table == def.id));
        if user.is_some() {
            return Err(SqlError::new(
                3726,
                16,
                format!(
                    "Could not drop object '{}' because it is referenced by a FOREIGN KEY constraint.",
                    name.display()
                ),
            ));
        }
        let d = database_mut(ctx, db)?;
        d.tables.remove(&def.id);
        d.permissions.retain(|p| p.on != Securable::Object(def.id));
    }
    let data = ctx.state.tables.remove(&def.id);
    ctx.state.push_undo(me, Undo::Storage(def.id, data.map(Box::new)));
    Ok(())
}
