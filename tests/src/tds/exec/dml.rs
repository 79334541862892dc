//! INSERT, UPDATE, DELETE, TRUNCATE, SELECT INTO.

mod writer;
pub(crate) use writer::*;
mod output;
use output::*;
mod modify;
use modify::*;

use std::collections::HashSet;
use std::sync::Arc;

use super::constraints::check_changed;
use super::eval::value;
use super::{Cell, Ctx, Env, Tuple, query};
use crate::tds::bind::{
    Binder, JoinPlan, Kind, OutCol, Pred, Rows, Scope, Source, TExpr, base_columns, find_object,
    find_table,
};
use crate::tds::engine::ObjectId;
use crate::tds::engine::catalog::{Column, Generated, TableDef, same};
use crate::tds::engine::table::{RowId, TableData};
use crate::tds::engine::txn::Undo;
use crate::tds::error::{Reach, Result, SqlError, invalid_column, invalid_object, unsupported};
use crate::tds::parse::ast::{
    Assignment, Delete, Expr, Hints, Insert, InsertSource, Item, ObjName, Output, Query, SetExpr,
    TableRef, Target, Update,
};
use crate::tds::types::{Row, SqlType, Value, convert};

/// What a statement returns: rows, if it has columns, and how many rows it touched.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) columns: Option<Vec<OutCol>>,
    pub(crate) rows: Vec<Row>,
    pub(crate) count: i64,
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// `db.schema.table`, as messages have it.
pub(crate) fn full_name(ctx: &Ctx<'_>, db: i32, def: &TableDef) -> String {
    match ctx.state.catalog.databases.iter().find(|d| d.id == db) {
        Some(d) if def.id > 0 => format!("{}.{}.{}", d.name, d.schema_name(def.schema), def.name),
        _ => format!("tempdb.dbo.{}", def.name),
    }
}

fn supplied(alias: &str, def: &TableDef) -> Source {
    Source {
        alias: alias.to_owned(),
        qualifier: Vec::new(),
        columns: base_columns(def),
        rows: Rows::Supplied,
    }
}

fn target_name(target: &Target) -> (ObjName, Hints) {
    match target {
        Target::Table(name, hints) => (name.clone(), *hints),
        Target::Variable(v) => (ObjName::bare(v), Hints::default()),
    }
}

fn count_mismatch() -> SqlError {
    SqlError::new(
        213,
        16,
        "Column name or number of supplied values does not match table definition.",
    )
    .reach(Reach::Batch)
}

/// A value given for a column that the server fills.
fn explicit_value(generated: Generated, def: &TableDef, verb: &str) -> SqlError {
    let (number, text) = match (generated, verb) {
        (Generated::Version, "INSERT") => (273, "Cannot insert an explicit value into a timestamp column. Use INSERT with a column list to exclude the timestamp column, or insert a DEFAULT into the timestamp column.".to_owned()),
        (Generated::Version, _) => (272, "Cannot update a timestamp column.".to_owned()),
        (_, "INSERT") => (13_536, format!("Cannot insert an explicit value into a GENERATED ALWAYS column in table '{}'. Use INSERT with a column list to exclude the GENERATED ALWAYS column, or insert a DEFAULT into GENERATED ALWAYS column.", def.name)),
        _ => (13_537, format!("Cannot update GENERATED ALWAYS columns in table '{}'.", def.name)),
    };
    SqlError::new(number, 16, text).reach(Reach::Batch)
}

fn named_columns(writer: &Writer, names: &[String]) -> Result<Vec<usize>> {
    let mut out = Vec::new();
    for n in names {
        let i = writer.def.column(n).ok_or_else(|| invalid_column(n))?;
        if out.contains(&i) {
            return Err(SqlError::new(
                264,
                16,
                format!("The column name '{n}' is specified more than once in the SET clause or column list of an INSERT."),
            )
            .reach(Reach::Batch));
        }
        let c = &writer.def.columns[i];
        if c.computed.is_some() {
            return Err(SqlError::new(
                271,
                16,
                format!("The column \"{n}\" cannot be modified because it is either a computed column or is the result of a UNION operator."),
            )
            .reach(Reach::Batch));
        }
        if let Some(generated) = c.generated {
            return Err(explicit_value(generated, &writer.def, "INSERT"));
        }
        if c.identity.is_some() && !writer.identity_insert {
            return Err(SqlError::new(
                544,
                16,
                format!(
                    "Cannot insert explicit value for identity column in table '{}' when IDENTITY_INSERT is set to OFF.",
                    writer.def.name
                ),
            ));
        }
        out.push(i);
    }
    Ok(out)
}

pub(crate) fn insert(ctx: &mut Ctx<'_>, i: &Insert) -> Result<Outcome> {
    let (name, hints) = target_name(&i.target);
    let (db, def) = find_table(ctx, &name)?;
    ctx.require(db, "INSERT", &def)?;
    if hints.tablock || hints.tablockx {
        query::lock_table(ctx, def.id, true)?;
    }
    let mut writer = Writer::new(ctx, db, def)?;
    let columns = match &i.columns {
        Some(names) => named_columns(&writer, names)?,
        None if writer.def.columns.iter().any(|c| c.generated.is_some())
            && !matches!(i.source, InsertSource::Defaults) =>
        {
            return Err(unsupported("INSERT without a column list beside generated columns"));
        }
        None => writer.insertable(),
    };
    writer.explicit_identity = columns.iter().any(|c| writer.def.columns[*c].identity.is_some());
    if writer.identity_insert && !writer.explicit_identity {
        return Err(SqlError::new(
            545,
            16,
            format!(
                "Explicit value must be specified for identity column in table '{}' when IDENTITY_INSERT is set to ON.",
                writer.def.name
            ),
        ));
    }
    let rows = insert_rows(ctx, i, &writer, &columns)?;
    let output = match &i.output {
        Some(o) => {
            let def = writer.def.clone();
            let mut b = Binder::new(ctx);
            b.scopes.push(Scope { sources: vec![supplied("inserted", &def)], ..Scope::default() });
            let (items, columns) = bind_output(&mut b, o)?;
            let into = output_into(ctx, o, items.len())?;
            Some(BoundOutput { items, columns, into })
        }
        None => None,
    };
    let mut out = Outcome { count: count(rows.len()), ..Outcome::default() };
    for values in rows {
        let full = writer.complete(ctx, &columns, values)?;
        let row = writer.insert(ctx, full)?;
        if let Some(o) = &output {
            o.emit(ctx, &vec![Some(Cell { row, id: 0 })], &mut out)?;
        }
    }
    if let Some(o) = output.filter(|o| o.into.is_none()) {
        out.columns = Some(o.columns);
    }
    check_changed(ctx, "INSERT")?;
    Ok(out)
}

/// The rows to insert, converted to the columns' types.
fn insert_rows(
    ctx: &mut Ctx<'_>,
    i: &Insert,
    writer: &Writer,
    columns: &[usize],
) -> Result<Vec<Vec<Value>>> {
    let mut out = Vec::new();
    match &i.source {
        InsertSource::Defaults => {
            if i.columns.is_some() {
                return Err(unsupported("a column list with DEFAULT VALUES"));
            }
            let values = default_row(ctx, writer, columns)?;
            out.push(values);
        }
        InsertSource::Values(rows) => {
            if rows.len() > 1000 {
                return Err(SqlError::new(
                    10_738,
                    15,
                    "The number of row value expressions in the INSERT statement exceeds the maximum allowed number of 1000 row values.",
                )
                .reach(Reach::Batch));
            }
            for row in rows {
                if row.len() != columns.len() {
                    return Err(values_mismatch(i, row.len() > columns.len()));
                }
                let mut values = Vec::new();
                for (e, c) in row.iter().zip(columns) {
                    let bound = match e {
                        Expr::Default => match &writer.defaults[*c] {
                            Some(d) => d.clone(),
                            None => TExpr::constant(Value::Null, SqlType::Null),
                        },
                        e => {
                            let mut b = Binder::new(ctx);
                            b.ctes = i.ctes.clone();
                            b.value(e)?
                        }
                    };
                    let v = value(ctx, &bound, &Env::default())?;
                    values.push(writer.store(ctx, *c, &v, bound.ty, "INSERT")?);
                }
                out.push(values);
            }
        }
        InsertSource::Query(q) => {
            let mut b = Binder::new(ctx);
            b.ctes = i.ctes.clone();
            let plan = b.query(q)?;
            if plan.columns.len() != columns.len() {
                return Err(values_mismatch(i, plan.columns.len() > columns.len()));
            }
            for (col, c) in plan.columns.iter().zip(columns) {
                let to = writer.def.columns[*c].ty;
                if !convert::implicit_allowed(col.ty, to) {
                    return Err(convert::clash(col.ty, to));
                }
            }
            let rows = query::rows(ctx, &plan, None)?;
            for row in rows {
                let mut values = Vec::with_capacity(columns.len());
                for ((v, col), c) in row.iter().zip(&plan.columns).zip(columns) {
                    values.push(writer.store(ctx, *c, v, col.ty, "INSERT")?);
                }
                out.push(values);
            }
        }
    }
    Ok(out)
}

fn default_row(ctx: &mut Ctx<'_>, writer: &Writer, columns: &[usize]) -> Result<Vec<Value>> {
    let mut values = Vec::new();
    for c in columns {
        let (v, ty) = match &writer.defaults[*c] {
            Some(e) => (value(ctx, e, &Env::default())?, e.ty),
            None => (Value::Null, SqlType::Null),
        };
        values.push(writer.store(ctx, *c, &v, ty, "INSERT")?);
    }
    Ok(values)
}

fn values_mismatch(i: &Insert, more: bool) -> SqlError {
    if i.columns.is_none() {
        return count_mismatch();
    }
    if more {
        SqlError::new(110, 15, "There are fewer columns in the INSERT statement than values specified in the VALUES clause. The number of values in the VALUES clause must match the number of columns specified in the INSERT statement.")
            .reach(Reach::Batch)
    } else {
        SqlError::new(109, 15, "There are more columns in the INSERT statement than values specified in the VALUES clause. The number of values in the VALUES clause must match the number of columns specified in the INSERT statement.")
            .reach(Reach::Batch)
    }
}

/// Adds `inserted` and `deleted` behind the other sources.
fn add_output_sources(b: &mut Binder<'_, '_>, def: &TableDef) {
    let scope = b.scope();
    scope.sources.push(supplied("inserted", def));
    scope.sources.push(supplied("deleted", def));
}

fn top_of(ctx: &mut Ctx<'_>, top: Option<&Expr>) -> Result<Option<usize>> {
    match top {
        Some(e) => {
            let e = Binder::new(ctx).value(e)?;
            Ok(Some(query::count_of(ctx, &e)?))
        }
        None => Ok(None),
    }
}

struct BoundSet {
    column: Option<usize>,
    variable: Option<usize>,
    expr: TExpr,
    variable_ty: SqlType,
}

fn bind_sets(
    b: &mut Binder<'_, '_>,
    writer: &Writer,
    sets: &[Assignment],
) -> Result<Vec<BoundSet>> {
    let mut out: Vec<BoundSet> = Vec::new();
    for s in sets {
        let column = match &s.column {
            Some(n) => Some(writer.def.column(n).ok_or_else(|| invalid_column(n))?),
            None => None,
        };
        if let Some(c) = column {
            let def = &writer.def.columns[c];
            if let Some(generated) = def.generated {
                return Err(explicit_value(generated, &writer.def, "UPDATE"));
            }
            if def.identity.is_some() {
                return Err(SqlError::new(
                    8102,
                    16,
                    format!("Cannot update identity column '{}'.", def.name),
                )
                .reach(Reach::Batch));
            }
            if def.computed.is_some() {
                return Err(SqlError::new(
                    271,
                    16,
                    format!("The column \"{}\" cannot be modified because it is either a computed column or is the result of a UNION operator.", def.name),
                )
                .reach(Reach::Batch));
            }
            if out.iter().any(|o| o.column == Some(c)) {
                return Err(SqlError::new(
                    264,
                    16,
                    format!("The column name '{}' is specified more than once in the SET clause or column list of an INSERT.", def.name),
                )
                .reach(Reach::Batch));
            }
        }
        let (variable, variable_ty) = match &s.variable {
            Some(v) => {
                let (i, ty) = b.ctx.variable(v)?;
                (Some(i), ty)
            }
            None => (None, SqlType::Null),
        };
        let mut expr = match (&s.expr, column) {
            (Expr::Default, Some(c)) => writer.defaults[c]
                .clone()
                .unwrap_or_else(|| TExpr::constant(Value::Null, SqlType::Null)),
            (e, _) => b.value(e)?,
        };
        if let Some(op) = s.op {
            let current = match (&s.column, &s.variable) {
                (Some(_), _) => own_column(b, writer, column.unwrap_or(0)),
                (None, Some(v)) => b.value(&Expr::Var(v.clone()))?,
                (None, None) => return Err(unsupported("this assignment")),
            };
            expr = crate::tds::bind::arithmetic(op, current, expr)?;
        }
        if let Some(c) = column {
            let to = writer.def.columns[c].ty;
            if !convert::implicit_allowed(expr.ty, to) {
                return Err(convert::clash(expr.ty, to));
            }
        }
        out.push(BoundSet { column, variable, expr, variable_ty });
    }
    Ok(out)
}

fn own_column(b: &mut Binder<'_, '_>, writer: &Writer, column: usize) -> TExpr {
    let source = b
        .scope()
        .sources
        .iter()
        .position(|s| matches!(s.rows, Rows::Table { id, .. } if id == writer.def.id))
        .unwrap_or(0);
    let col = &base_columns(&writer.def)[column];
    TExpr {
        ty: col.ty,
        label: col.label,
        nullable: col.nullable,
        kind: Kind::Column { depth: 0, source, column },
    }
}

pub(crate) fn update(ctx: &mut Ctx<'_>, u: &Update) -> Result<Outcome> {
    let top = top_of(ctx, u.top.as_ref())?;
    let (m, (sets, output)) =
        modify(ctx, &u.ctes, &u.target, &u.from, u.filter.as_ref(), "UPDATE", |b, writer, _| {
            let sets = bind_sets(b, writer, &u.sets)?;
            let output = bound_output(b, writer, u.output.as_ref())?;
            let read = sets.iter().map(|s| s.expr.clone()).collect();
            Ok(((sets, output), read))
        })?;
    let changes = collect(ctx, &m, top)?;
    let mut out = Outcome { count: count(changes.len()), ..Outcome::default() };
    for change in changes {
        let env = Env { tuple: &change.tuple, ..Env::default() };
        let mut row = change.old.to_vec();
        for s in &sets {
            let v = value(ctx, &s.expr, &env)?;
            let mut stored = v.clone();
            if let Some(c) = s.column {
                stored = m.writer.store(ctx, c, &v, s.expr.ty, "UPDATE")?;
                row[c] = stored.clone();
            }
            if let Some(i) = s.variable {
                let from = s.column.map_or(s.expr.ty, |c| m.writer.def.columns[c].ty);
                ctx.sess.vars[i].value = convert::cast(&stored, from, s.variable_ty, None)?;
            }
        }
        m.writer.compute(ctx, &mut row)?;
        let new: Row = Arc::from(row);
        m.writer.change(ctx, change.id, &change.old, Some(new.clone()))?;
        if let Some(o) = &output {
            let mut tuple = change.tuple;
            tuple.push(Some(Cell { row: new, id: change.id }));
            tuple.push(Some(Cell { row: change.old, id: change.id }));
            o.emit(ctx, &tuple, &mut out)?;
        }
    }
    if let Some(o) = output.filter(|o| o.into.is_none()) {
        out.columns = Some(o.columns);
    }
    check_changed(ctx, "UPDATE")?;
    Ok(out)
}

fn bound_output(
    b: &mut Binder<'_, '_>,
    writer: &Writer,
    output: Option<&Output>,
) -> Result<Option<BoundOutput>> {
    let Some(o) = output else { return Ok(None) };
    add_output_sources(b, &writer.def);
    let (items, columns) = bind_output(b, o)?;
    let into = output_into(b.ctx, o, items.len())?;
    Ok(Some(BoundOutput { items, columns, into }))
}

pub(crate) fn delete(ctx: &mut Ctx<'_>, d: &Delete) -> Result<Outcome> {
    let top = top_of(ctx, d.top.as_ref())?;
    let (m, output) =
        modify(ctx, &d.ctes, &d.target, &d.from, d.filter.as_ref(), "DELETE", |b, writer, _| {
            let output = bound_output(b, writer, d.output.as_ref())?;
            Ok((output, Vec::new()))
        })?;
    let changes = collect(ctx, &m, top)?;
    let mut out = Outcome { count: count(changes.len()), ..Outcome::default() };
    for change in changes {
        m.writer.change(ctx, change.id, &change.old, None)?;
        if let Some(o) = &output {
            let mut tuple = change.tuple;
            tuple.push(None);
            tuple.push(Some(Cell { row: change.old, id: change.id }));
            o.emit(ctx, &tuple, &mut out)?;
        }
    }
    if let Some(o) = output.filter(|o| o.into.is_none()) {
        out.columns = Some(o.columns);
    }
    check_changed(ctx, "DELETE")?;
    Ok(out)
}

pub(crate) fn truncate(ctx: &mut Ctx<'_>, name: &ObjName) -> Result<Outcome> {
    let (db, def) =
        find_table(ctx, name).map_err(|e| if e.number == 208 { missing_table(name) } else { e })?;
    if ctx.require(db, "ALTER", &def).is_err() {
        return Err(missing_table(name));
    }
    query::lock_table(ctx, def.id, true)?;
    let catalog = ctx.state.catalog.clone();
    let referenced = catalog
        .databases
        .iter()
        .flat_map(|d| d.tables.values())
        .any(|t| t.foreign_keys.iter().any(|f| f.table == def.id && t.id != def.id));
    if referenced {
        return Err(SqlError::new(
            4712,
            16,
            format!(
                "Cannot truncate table '{}' because it is being referenced by a FOREIGN KEY constraint.",
                name.display()
            ),
        ));
    }
    replace_storage(ctx, &def);
    Ok(Outcome::default())
}

fn missing_table(name: &ObjName) -> SqlError {
    SqlError::new(
        4701,
        16,
        format!(
            "Cannot find the object \"{}\" because it does not exist or you do not have permissions.",
            name.display()
        ),
    )
}

/// Gives a table empty storage, keeping the old for a rollback.
pub(crate) fn replace_storage(ctx: &mut Ctx<'_>, def: &TableDef) {
    let fresh = TableData::new(def, &crate::tds::engine::state::filter_of(def));
    let old = ctx.state.tables.insert(def.id, fresh);
    ctx.state.push_undo(ctx.sess.id, Undo::Storage(def.id, old.map(Box::new)));
}

/// SELECT ... INTO: a new table with the columns of the query, and its rows.
pub(crate) fn select_into(ctx: &mut Ctx<'_>, q: &Query, name: &ObjName) -> Result<Outcome> {
    let mut q = q.clone();
    let SetExpr::Select(s) = &mut q.body else {
        return Err(unsupported("SELECT INTO with a set operator"));
    };
    s.into = None;
    let plan = Binder::new(ctx).query(&q)?;
    if find_object(ctx, name)?.is_some() {
        return Err(super::ddl::already_there(&name.name));
    }
    let mut columns: Vec<Column> = Vec::new();
    for (i, c) in plan.columns.iter().enumerate() {
        if c.name.is_empty() {
            return Err(SqlError::new(
                1038,
                15,
                "An object or column name is missing or empty. For SELECT INTO statements, verify each column has a name.",
            )
            .reach(Reach::Batch));
        }
        if columns.iter().any(|x| same(&x.name, &c.name)) {
            return Err(super::ddl::duplicate_column(&c.name, &name.name));
        }
        if let crate::tds::bind::Label::Conflict(..) = c.label {
            return Err(SqlError::new(
                451,
                16,
                format!(
                    "Cannot resolve collation conflict for column {} in SELECT statement.",
                    i + 1
                ),
            )
            .reach(Reach::Batch));
        }
        columns.push(Column {
            id: i32::try_from(i + 1).unwrap_or(i32::MAX),
            name: c.name.clone(),
            ty: if c.ty == SqlType::Null { SqlType::Int } else { c.ty },
            collation: if c.ty.is_text() { c.label.coll() } else { None },
            nullable: c.nullable,
            identity: c.identity.then_some((1, 1)),
            computed: None,
            generated: None,
            default: None,
        });
    }
    let rows = query::rows(ctx, &plan, None)?;
    let def = super::ddl::create_plain(ctx, name, columns)?;
    let id: ObjectId = def.id;
    for row in &rows {
        if let Some(data) = ctx.state.tables.get_mut(&id) {
            let at = data.allocate();
            ctx.state.set_row(ctx.sess.id, id, at, Some(row.clone()));
        }
    }
    Ok(Outcome { count: count(rows.len()), ..Outcome::default() })
}
