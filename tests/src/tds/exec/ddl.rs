//! Tables, indexes, schemas, views, databases.

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
    Check, Column, Database, Default as ColumnDefault, ForeignKey, Index, IndexKind, Schema,
    Securable, TableDef, ViewDef, same,
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

struct Builder<'d> {
    def: &'d mut TableDef,
    collation: Coll,
    temp: bool,
}

fn system_name(prefix: &str, table: &str, id: i32) -> String {
    let short: String = table.chars().take(9).collect();
    format!("{prefix}__{short:_<9}__{id:08X}")
}

impl Builder<'_> {
    fn column(&mut self, ctx: &mut Ctx<'_>, c: &ColumnDef) -> Result<()> {
        if self.def.column(&c.name).is_some() {
            return Err(duplicate_column(&c.name, &self.def.name));
        }
        let id = self.def.next_column;
        self.def.next_column += 1;
        let mut column = Column {
            id,
            name: c.name.clone(),
            ty: c.ty.unwrap_or(SqlType::Int),
            collation: None,
            nullable: c.nullable.unwrap_or(true),
            identity: c.identity,
            computed: None,
            default: None,
        };
        if let Some((text, persisted)) = &c.computed {
            let e = crate::tds::parse::expression(&text.text)?;
            let mut b = Binder::new(ctx);
            let source = Source {
                alias: self.def.name.clone(),
                qualifier: Vec::new(),
                columns: base_columns(self.def),
                rows: Rows::Supplied,
            };
            b.scopes.push(Scope { sources: vec![source], ..Scope::default() });
            let bound = b.value(&e)?;
            column.ty = bound.ty;
            column.nullable = c.nullable.unwrap_or(bound.nullable);
            column.computed = Some((text.text.clone(), *persisted));
        }
        if column.ty == SqlType::Variant {
            return Err(unsupported("a sql_variant column"));
        }
        if column.ty.is_text() {
            column.collation = Some(match &c.collation {
                Some(n) if n.eq_ignore_ascii_case("DATABASE_DEFAULT") => ctx.database_collation(),
                Some(n) => Coll::parse(n)?,
                None => self.collation,
            });
        }
        if let Some((_, step)) = c.identity {
            let exact = column.ty.is_integer() && column.ty != SqlType::Bit
                || matches!(column.ty, SqlType::Decimal(_, 0));
            if !exact || step == 0 || c.nullable == Some(true) {
                return Err(SqlError::new(
                    2749,
                    16,
                    format!("Identity column '{}' must be of data type int, bigint, smallint, tinyint, or decimal or numeric with a scale of 0, unencrypted, and constrained to be nonnullable.", c.name),
                )
                .reach(Reach::Batch));
            }
            if self.def.columns.iter().any(|x| x.identity.is_some()) {
                return Err(SqlError::new(2744, 16, format!("Multiple identity columns specified for table '{}'. Only one identity column per table is allowed.", self.def.name)).reach(Reach::Batch));
            }
            column.nullable = false;
        }
        self.def.columns.push(column);
        for k in &c.constraints {
            self.constraint(ctx, k, c.nullable == Some(true))?;
        }
        Ok(())
    }

    fn name_for(
        &self,
        ctx: &mut Ctx<'_>,
        given: Option<&String>,
        prefix: &str,
    ) -> (ObjectId, String, bool) {
        let id = if self.temp {
            ctx.state.new_temp_id()
        } else {
            let me = ctx.sess.id;
            ctx.state.catalog_mut(me).new_id()
        };
        match given {
            Some(n) => (id, n.clone(), false),
            None => (id, system_name(prefix, &self.def.name, id), true),
        }
    }

    fn constraint(
        &mut self,
        ctx: &mut Ctx<'_>,
        k: &ConstraintDef,
        explicit_null: bool,
    ) -> Result<()> {
        if let Some(n) = &k.name {
            let clash =
                self.def.indexes.iter().any(|i| same(&i.name, n) && i.kind != IndexKind::Index)
                    || self.def.checks.iter().any(|c| same(&c.name, n))
                    || self.def.foreign_keys.iter().any(|f| same(&f.name, n));
            let db = ctx.sess.db;
            let taken = !self.temp
                && ctx
                    .state
                    .catalog
                    .databases
                    .iter()
                    .any(|d| d.id == db && d.object_exists(self.def.schema, n));
            if clash || taken {
                return Err(already_there(n));
            }
        }
        match &k.kind {
            ConstraintKind::Key { primary, clustered, columns } => {
                let (object, name, system_named) =
                    self.name_for(ctx, k.name.as_ref(), if *primary { "PK" } else { "UQ" });
                if *primary && self.def.primary_key().is_some() {
                    return Err(SqlError::new(
                        8110,
                        16,
                        format!(
                            "Cannot add multiple PRIMARY KEY constraints to table '{}'.",
                            self.def.name
                        ),
                    )
                    .state(0)
                    .reach(Reach::Batch));
                }
                let mut keys = Vec::new();
                for (c, desc) in columns {
                    let at = self.def.column(c).ok_or_else(|| {
                        SqlError::new(
                            1911,
                            16,
                            format!(
                                "Column name '{c}' does not exist in the target table or view."
                            ),
                        )
                        .reach(Reach::Batch)
                    })?;
                    keys.push((at, *desc));
                }
                for (c, _) in &keys {
                    let col = &mut self.def.columns[*c];
                    if *primary {
                        if explicit_null {
                            return Err(SqlError::new(
                                8111,
                                16,
                                format!("Cannot define PRIMARY KEY constraint on nullable column in table '{}'.", self.def.name),
                            )
                            .reach(Reach::Batch));
                        }
                        col.nullable = false;
                    }
                }
                let has_clustered = self.def.indexes.iter().any(|i| i.id == 1);
                let clustered = clustered.unwrap_or(*primary && !has_clustered);
                let kind =
                    if *primary { IndexKind::PrimaryKey } else { IndexKind::UniqueConstraint };
                self.index(
                    Index {
                        id: 0,
                        object,
                        name,
                        kind,
                        unique: true,
                        ignore_dup_key: false,
                        system_named,
                        keys,
                        include: Vec::new(),
                        filter: None,
                    },
                    clustered,
                )
            }
            ConstraintKind::Check(text) => {
                let (id, name, system_named) = self.name_for(ctx, k.name.as_ref(), "CK");
                self.def.checks.push(Check {
                    id,
                    name,
                    text: text.text.clone(),
                    disabled: false,
                    trusted: true,
                    system_named,
                });
                Ok(())
            }
            ConstraintKind::Default { value, column } => {
                let (id, name, system_named) = self.name_for(ctx, k.name.as_ref(), "DF");
                let e = crate::tds::parse::expression(&value.text)?;
                let bound = Binder::new(ctx).value(&e)?;
                let at = self.def.column(column).ok_or_else(|| invalid_column(column))?;
                let col = &mut self.def.columns[at];
                if !convert::implicit_allowed(bound.ty, col.ty) {
                    return Err(convert::clash(bound.ty, col.ty));
                }
                if col.default.is_some() {
                    return Err(SqlError::new(
                        1781,
                        16,
                        "Column already has a DEFAULT bound to it.",
                    )
                    .reach(Reach::Batch));
                }
                col.default =
                    Some(ColumnDefault { id, name, text: value.text.clone(), system_named });
                Ok(())
            }
            ConstraintKind::Foreign { columns, table, referenced } => {
                if self.temp {
                    return Ok(());
                }
                let (id, name, system_named) = self.name_for(ctx, k.name.as_ref(), "FK");
                self.foreign(ctx, (id, name, system_named), columns, table, referenced)
            }
        }
    }

    fn foreign(
        &mut self,
        ctx: &mut Ctx<'_>,
        (id, name, system_named): (ObjectId, String, bool),
        columns: &[String],
        table: &ObjName,
        referenced: &[String],
    ) -> Result<()> {
        let own = same(&table.name, &self.def.name);
        let target = if own {
            self.def.clone()
        } else {
            match find_object(ctx, table)? {
                Some(Found::Table { def, .. }) => (*def).clone(),
                _ => {
                    return Err(SqlError::new(
                        1767,
                        16,
                        format!(
                            "Foreign key '{name}' references invalid table '{}'.",
                            table.display()
                        ),
                    )
                    .state(0)
                    .reach(Reach::Batch));
                }
            }
        };
        let at = |t: &TableDef, names: &[String]| -> Result<Vec<usize>> {
            names.iter().map(|n| t.column(n).ok_or_else(|| invalid_column(n))).collect()
        };
        let columns = at(self.def, columns)?;
        let referenced = if referenced.is_empty() {
            target
                .primary_key()
                .map(|i| i.keys.iter().map(|(c, _)| *c).collect())
                .unwrap_or_default()
        } else {
            at(&target, referenced)?
        };
        let unique = target.indexes.iter().any(|i| {
            i.unique
                && i.filter.is_none()
                && i.keys.len() == referenced.len()
                && i.keys.iter().all(|(c, _)| referenced.contains(c))
        });
        if !unique || columns.len() != referenced.len() {
            return Err(SqlError::new(
                1776,
                16,
                format!("There are no primary or candidate keys in the referenced table '{}' that match the referencing column list in the foreign key '{name}'.", table.display()),
            )
            .state(0)
            .reach(Reach::Batch));
        }
        let table = if own { self.def.id } else { target.id };
        self.def.foreign_keys.push(ForeignKey {
            id,
            name,
            columns,
            table,
            referenced,
            disabled: false,
            trusted: true,
            system_named,
        });
        Ok(())
    }

    /// Adds an index after checking its columns and length.
    fn index(&mut self, mut index: Index, clustered: bool) -> Result<()> {
        if clustered && self.def.indexes.iter().any(|i| i.id == 1) {
            return Err(SqlError::new(
                1902,
                16,
                format!("Cannot create more than one clustered index on table '{}'. Drop the existing clustered index before creating another.", self.def.name),
            )
            .state(3)
            .reach(Reach::Batch));
        }
        let mut bytes = 0;
        for (c, _) in &index.keys {
            let col = &self.def.columns[*c];
            let length = col.ty.max_length();
            if length < 0 {
                return Err(SqlError::new(
                    1919,
                    16,
                    format!("Column '{}' in table '{}' is of a type that is invalid for use as a key column in an index.", col.name, self.def.name),
                )
                .reach(Reach::Batch));
            }
            bytes += length;
        }
        let limit = if clustered { 900 } else { 1700 };
        let fixed: i64 = index
            .keys
            .iter()
            .map(|(c, _)| &self.def.columns[*c])
            .filter(|c| {
                !matches!(c.ty, SqlType::VarChar(_) | SqlType::NVarChar(_) | SqlType::VarBinary(_))
            })
            .map(|c| c.ty.max_length())
            .sum();
        if fixed > limit || (bytes > limit && fixed == bytes) {
            return Err(SqlError::new(
                1944,
                16,
                format!("Index '{}' was not created. This index has a key length of at least {bytes} bytes. The maximum permissible key length is {limit} bytes.", index.name),
            )
            .reach(Reach::Batch));
        }
        index.id = if clustered {
            1
        } else {
            self.def.indexes.iter().map(|i| i.id).max().unwrap_or(1).max(1) + 1
        };
        self.def.indexes.push(index);
        Ok(())
    }
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

/// Makes a row of the new shape from one of the old.
type NewRow<'f> = &'f mut dyn FnMut(&mut Ctx<'_>, Vec<Value>) -> Result<Vec<Value>>;

/// Copies the rows into new storage under a new definition; `f` makes the new row.
fn rewrite(ctx: &mut Ctx<'_>, db: i32, old: &TableDef, def: TableDef, f: NewRow<'_>) -> Result<()> {
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
    super::constraints::check_changed(ctx, "ALTER TABLE")
}

fn alter_table(ctx: &mut Ctx<'_>, name: &ObjName, change: &AlterTable) -> Result<()> {
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
                        let v = super::eval::value(ctx, &e, &Env::default())?;
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

/// Makes the indexes anew; a rollback brings the old ones back with the old storage.
fn reindex(ctx: &mut Ctx<'_>, def: &TableDef) -> Result<()> {
    rewrite_same(ctx, def);
    let ids: Vec<_> = ctx.state.tables.get(&def.id).map(|d| d.ids().collect()).unwrap_or_default();
    for id in ids {
        ctx.changed.push((def.id, id));
    }
    Ok(())
}

fn rewrite_same(ctx: &mut Ctx<'_>, def: &TableDef) {
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

fn add_constraints(
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
            super::constraints::foreign(ctx, db, &def, &ids, "ALTER TABLE")?;
        }
    }
    Ok(())
}

/// Error 1505 when rows that exist violate a new unique index.
fn no_duplicates(ctx: &mut Ctx<'_>, db: i32, def: &TableDef, from: usize) -> Result<()> {
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

fn drop_constraint(def: &mut TableDef, name: &str, if_exists: bool) -> Result<()> {
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

fn check_unused(def: &TableDef, at: usize, name: &str) -> Result<()> {
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

fn remove_columns(def: &mut TableDef, gone: &[usize]) {
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

fn create_index(ctx: &mut Ctx<'_>, index: &IndexDef) -> Result<()> {
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

fn drop_index(ctx: &mut Ctx<'_>, name: &str, table: &ObjName, if_exists: bool) -> Result<()> {
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

fn create_schema(ctx: &mut Ctx<'_>, name: &str, owner: Option<&str>) -> Result<()> {
    let catalog = ctx.state.catalog.clone();
    let d = ctx.database(&catalog);
    let user = ctx.user();
    if !permission::allowed(d, user, "CREATE SCHEMA", Securable::Database) {
        return Err(SqlError::new(
            2759,
            16,
            format!("CREATE SCHEMA failed due to previous errors (CREATE SCHEMA permission denied in database '{}').", d.name),
        )
        .state(0));
    }
    lock_name(ctx, d.id, 0, name)?;
    let catalog = ctx.state.catalog.clone();
    let d = ctx.database(&catalog);
    if d.schema(name).is_some() {
        return Err(already_there(name));
    }
    let owner = match owner {
        Some(o) => {
            d.principal(o)
                .ok_or_else(|| {
                    SqlError::new(15_151, 16, format!("Cannot find the user '{o}', because it does not exist or you do not have permission."))
                })?
                .id
        }
        None => user,
    };
    let id = d.schemas.iter().map(|s| s.id).max().unwrap_or(4).max(4) + 1;
    let db = d.id;
    database_mut(ctx, db)?.schemas.push(Schema { id, name: name.to_owned(), owner });
    Ok(())
}

fn drop_schema(ctx: &mut Ctx<'_>, name: &str, if_exists: bool) -> Result<()> {
    let catalog = ctx.state.catalog.clone();
    let d = ctx.database(&catalog);
    let Some(schema) = d.schema(name) else {
        return if if_exists {
            Ok(())
        } else {
            Err(SqlError::new(
                15_151,
                16,
                format!(
                    "Cannot drop the schema '{name}', because it does not exist or you do not have permission."
                ),
            ))
        };
    };
    if !permission::allowed(d, ctx.user(), "CONTROL", Securable::Schema(schema.id)) {
        return Err(SqlError::new(
            15_151,
            16,
            format!(
                "Cannot drop the schema '{name}', because it does not exist or you do not have permission."
            ),
        ));
    }
    let used = d
        .tables
        .values()
        .find(|t| t.schema == schema.id)
        .map(|t| t.name.clone())
        .or_else(|| d.views.iter().find(|v| v.schema == schema.id).map(|v| v.name.clone()));
    if let Some(object) = used {
        return Err(SqlError::new(
            3729,
            16,
            format!(
                "Cannot drop schema '{name}' because it is being referenced by object '{object}'."
            ),
        ));
    }
    let (db, id) = (d.id, schema.id);
    lock_name(ctx, db, 0, name)?;
    let d = database_mut(ctx, db)?;
    d.schemas.retain(|s| s.id != id);
    d.permissions.retain(|p| p.on != Securable::Schema(id));
    Ok(())
}

fn create_view(
    ctx: &mut Ctx<'_>,
    name: &ObjName,
    columns: &[String],
    text: &str,
    alter: bool,
) -> Result<()> {
    let (db, schema) = place(ctx, name, "CREATE VIEW")?;
    lock_name(ctx, db, schema, &name.name)?;
    let existing = match find_object(ctx, name)? {
        Some(Found::View { def, .. }) => Some(def.id),
        Some(_) => return Err(already_there(&name.name)),
        None => None,
    };
    if existing.is_some() && !alter {
        return Err(already_there(&name.name));
    }
    // The query must bind now, as the server insists.
    let statements = crate::tds::parse::batch(text)?;
    if let Some(crate::tds::parse::ast::StmtKind::Query { query, .. }) =
        statements.first().map(|s| &s.kind)
    {
        Binder::new(ctx).derived(query, &name.name, columns, false)?;
    }
    let me = ctx.sess.id;
    let id = match existing {
        Some(id) => id,
        None => ctx.state.catalog_mut(me).new_id(),
    };
    let view = ViewDef {
        id,
        schema,
        name: name.name.clone(),
        columns: columns.to_vec(),
        text: text.to_owned(),
        created: datetime::now(),
    };
    let d = database_mut(ctx, db)?;
    d.views.retain(|v| v.id != id);
    d.views.push(view);
    Ok(())
}

fn drop_view(ctx: &mut Ctx<'_>, name: &ObjName, if_exists: bool) -> Result<()> {
    match find_object(ctx, name)? {
        Some(Found::View { db, def }) => {
            let catalog = ctx.state.catalog.clone();
            let d = catalog.databases.iter().find(|d| d.id == db);
            let user = d.and_then(|d| ctx.user_in(d)).unwrap_or(0);
            if !d
                .is_some_and(|d| permission::allowed(d, user, "CONTROL", Securable::Object(def.id)))
            {
                return Err(cannot_find("drop", "view", &name.display()));
            }
            lock_name(ctx, db, def.schema, &def.name)?;
            let d = database_mut(ctx, db)?;
            d.views.retain(|v| v.id != def.id);
            d.permissions.retain(|p| p.on != Securable::Object(def.id));
            Ok(())
        }
        _ if if_exists => Ok(()),
        _ => Err(cannot_find("drop", "view", &name.display())),
    }
}

fn outside_transaction(ctx: &Ctx<'_>, what: &str) -> Result<()> {
    if ctx.sess.trancount > 0 {
        return Err(SqlError::new(
            226,
            16,
            format!("{what} statement not allowed within multi-statement transaction."),
        )
        .state(6));
    }
    Ok(())
}

fn create_database(ctx: &mut Ctx<'_>, name: &str, collation: Option<&str>) -> Result<()> {
    outside_transaction(ctx, "CREATE DATABASE")?;
    if !permission::server_allowed(&ctx.state.catalog, ctx.sess.login, "CREATE ANY DATABASE") {
        return Err(SqlError::new(
            262,
            14,
            "CREATE DATABASE permission denied in database 'master'.",
        ));
    }
    if ctx.state.catalog.database(name).is_some() {
        return Err(SqlError::new(
            1801,
            16,
            format!("Database '{name}' already exists. Choose a different database name."),
        )
        .state(3));
    }
    let collation = match collation {
        Some(c) => Coll::parse(c)?,
        None => ctx.state.catalog.new_database_collation,
    };
    let (me, owner) = (ctx.sess.id, ctx.sess.login);
    ctx.state.catalog_mut(me).add_database(name, collation, owner);
    Ok(())
}

fn drop_database(ctx: &mut Ctx<'_>, name: &str, if_exists: bool) -> Result<()> {
    outside_transaction(ctx, "DROP DATABASE")?;
    let missing = || {
        SqlError::new(
            3701,
            11,
            format!(
                "Cannot drop the database '{name}', because it does not exist or you do not have permission."
            ),
        )
    };
    let Some(d) = ctx.state.catalog.database(name) else {
        return if if_exists { Ok(()) } else { Err(missing()) };
    };
    let (id, owner) = (d.id, d.owner);
    if owner != ctx.sess.login
        && !permission::server_allowed(&ctx.state.catalog, ctx.sess.login, "ALTER ANY DATABASE")
    {
        return Err(missing());
    }
    if id <= 4 {
        return Err(SqlError::new(
            3708,
            16,
            format!("Cannot drop the database '{name}' because it is a system database."),
        ));
    }
    if ctx.sess.db == id || ctx.state.sessions.values().any(|s| s.database == id) {
        return Err(SqlError::new(
            3702,
            16,
            format!("Cannot drop database \"{name}\" because it is currently in use."),
        )
        .state(3));
    }
    let me = ctx.sess.id;
    let tables: Vec<ObjectId> = ctx
        .state
        .catalog
        .database(name)
        .map(|d| d.tables.keys().copied().collect())
        .unwrap_or_default();
    ctx.state.catalog_mut(me).databases.retain(|d| d.id != id);
    for t in tables {
        let data = ctx.state.tables.remove(&t);
        ctx.state.push_undo(me, Undo::Storage(t, data.map(Box::new)));
    }
    Ok(())
}

fn alter_database(
    ctx: &mut Ctx<'_>,
    name: Option<&str>,
    settings: &[(String, String)],
) -> Result<()> {
    let catalog = ctx.state.catalog.clone();
    let d = match name {
        Some(n) => catalog.database(n).ok_or_else(|| {
            SqlError::new(5011, 14, format!("User does not have permission to alter database '{n}', the database does not exist, or the database is not in a state that allows access checks."))
        })?,
        None => ctx.database(&catalog),
    };
    let user = ctx.user_in(d).unwrap_or(0);
    if !permission::allowed(d, user, "ALTER", Securable::Database) {
        return Err(SqlError::new(
            5011,
            14,
            format!(
                "User does not have permission to alter database '{}', the database does not exist, or the database is not in a state that allows access checks.",
                d.name
            ),
        ));
    }
    let id = d.id;
    for (option, value) in settings {
        let on = match value.as_str() {
            "ON" => true,
            "OFF" => false,
            _ => false,
        };
        let collation = if option == "COLLATE" { Some(Coll::parse(value)?) } else { None };
        let d = database_mut(ctx, id)?;
        match option.as_str() {
            "READ_COMMITTED_SNAPSHOT" => d.read_committed_snapshot = on,
            "ALLOW_SNAPSHOT_ISOLATION" => d.snapshot_isolation = on,
            "RECOVERY" => d.recovery.clone_from(value),
            "COLLATE" => {
                if let Some(c) = collation {
                    d.collation = c;
                }
            }
            _ => {}
        }
    }
    Ok(())
}
