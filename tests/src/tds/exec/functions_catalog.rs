//! Functions that look at the catalog, the session or the server.

mod principals;
pub(crate) use principals::*;
mod session;
pub(crate) use session::*;

use super::Ctx;
use super::functions::{n, text};
use crate::tds::bind::{Found, find_object};
use crate::tds::engine::catalog::{Database, IndexKind, Securable, TableDef, same};
use crate::tds::engine::locks::{AppMode, AppOwner};
use crate::tds::engine::permission;
use crate::tds::error::{Result, SqlError};
use crate::tds::types::{Coll, SqlType, Value};

type Out = Result<Value>;

fn name_or_null(name: Option<String>) -> Value {
    name.map_or(Value::Null, Value::str)
}

fn id(n: i32) -> Value {
    Value::Int(i64::from(n))
}

fn as_id(v: &Value) -> Option<i32> {
    v.as_i64().and_then(|x| i32::try_from(x).ok())
}

fn missing(v: &[Value], i: usize) -> bool {
    v.get(i).is_none_or(Value::is_null)
}

/// Runs `f` on the current database.
fn current<T>(ctx: &Ctx<'_>, f: impl FnOnce(&Database) -> T) -> T {
    f(ctx.database(&ctx.state.catalog))
}

pub(crate) fn db_id(ctx: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    Ok(match v.first() {
        None => id(ctx.sess.db),
        Some(x) => {
            x.as_str().and_then(|s| ctx.state.catalog.database(s)).map_or(Value::Null, |d| id(d.id))
        }
    })
}

pub(crate) fn db_name(ctx: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    let wanted = match v.first() {
        None => ctx.sess.db,
        Some(x) => match as_id(x) {
            Some(i) => i,
            None => return Ok(Value::Null),
        },
    };
    Ok(name_or_null(
        ctx.state.catalog.databases.iter().find(|d| d.id == wanted).map(|d| d.name.clone()),
    ))
}

pub(crate) fn schema_id(ctx: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    let (db, found) = match v.first() {
        Some(x) => {
            let name = x.as_str().unwrap_or_default().to_owned();
            let db = ctx.sess.db;
            ctx.wait_for_ddl(db, 0, &name)?;
            (db, current(ctx, |d| d.schema(&name).map(|s| s.id)))
        }
        None => {
            let user = ctx.user();
            (
                ctx.sess.db,
                current(ctx, |d| {
                    d.principal_by_id(user).and_then(|p| d.schema(&p.default_schema)).map(|s| s.id)
                }),
            )
        }
    };
    let _ = db;
    Ok(found.map_or(Value::Null, id))
}

pub(crate) fn schema_name(ctx: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    let user = ctx.user();
    Ok(name_or_null(match v.first() {
        Some(x) => as_id(x).and_then(|i| {
            current(ctx, |d| d.schemas.iter().find(|s| s.id == i).map(|s| s.name.clone()))
        }),
        None => current(ctx, |d| d.principal_by_id(user).map(|p| p.default_schema.clone())),
    }))
}

/// Whether the session may see the object at all.
fn seen(ctx: &Ctx<'_>, db: i32, object: i32) -> bool {
    if object < 0 {
        return true;
    }
    let Some(d) = ctx.state.catalog.databases.iter().find(|d| d.id == db) else { return false };
    permission::visible(d, ctx.user_in(d).unwrap_or(0), object)
}

pub(crate) fn object_id(ctx: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    let Some(name) = text(v, 0) else { return Ok(Value::Null) };
    // `tempdb..#t` is how temporary tables are looked up.
    let Some(mut parsed) = crate::tds::parse::object_name(name) else { return Ok(Value::Null) };
    if parsed.is_temp() {
        if parsed.db.as_deref().is_none_or(|d| !same(d, "tempdb")) {
            let in_tempdb = current(ctx, |d| same(&d.name, "tempdb"));
            if !in_tempdb {
                return Ok(Value::Null);
            }
        }
        parsed.db = None;
    }
    let kind = match v.get(1) {
        None => String::new(),
        Some(k) => match k.as_str() {
            Some(k) => k.trim().to_ascii_uppercase(),
            None => return Ok(Value::Null),
        },
    };
    if parsed.schema.as_deref().is_some_and(|s| same(s, "sys"))
        && (kind.is_empty() || kind == "V")
        && let Some(number) = super::sysviews::number(ctx, &parsed.name)?
    {
        return Ok(id(number));
    }
    let found = match find_object(ctx, &parsed) {
        Err(e) if e.number == 916 => return Ok(Value::Null),
        other => other?,
    };
    let out = match found {
        Some(Found::Table { db, def }) if kind.is_empty() || kind == "U" => Some((db, def.id)),
        Some(Found::View { db, def }) if kind.is_empty() || kind == "V" => Some((db, def.id)),
        Some(_) => None,
        None => constraint_id(ctx, &parsed, &kind),
    };
    Ok(match out {
        Some((db, object)) if seen(ctx, db, object) || kind_is_constraint(&kind) => id(object),
        _ => Value::Null,
    })
}

fn kind_is_constraint(kind: &str) -> bool {
    matches!(kind, "PK" | "UQ" | "C" | "D" | "F")
}

fn constraint_id(
    ctx: &Ctx<'_>,
    name: &crate::tds::parse::ast::ObjName,
    kind: &str,
) -> Option<(i32, i32)> {
    let d = match &name.db {
        Some(n) => ctx.state.catalog.database(n)?,
        None => ctx.database(&ctx.state.catalog),
    };
    let schema = match &name.schema {
        Some(s) => d.schema(s)?.id,
        None => 1,
    };
    for t in d.tables.values().filter(|t| t.schema == schema) {
        let is = |k: &str| kind.is_empty() || kind == k;
        for i in t.indexes.iter().filter(|i| same(&i.name, &name.name)) {
            match i.kind {
                IndexKind::PrimaryKey if is("PK") => return Some((d.id, i.object)),
                IndexKind::UniqueConstraint if is("UQ") => return Some((d.id, i.object)),
                _ => {}
            }
        }
        if let Some(c) = t.checks.iter().find(|c| same(&c.name, &name.name) && is("C")) {
            return Some((d.id, c.id));
        }
        if let Some(f) = t.foreign_keys.iter().find(|f| same(&f.name, &name.name) && is("F")) {
            return Some((d.id, f.id));
        }
        if let Some(x) = t
            .columns
            .iter()
            .filter_map(|c| c.default.as_ref())
            .find(|x| same(&x.name, &name.name) && is("D"))
        {
            return Some((d.id, x.id));
        }
    }
    None
}

fn database_of<'c>(ctx: &'c Ctx<'_>, v: &[Value], i: usize) -> Option<&'c Database> {
    match v.get(i) {
        Some(x) => as_id(x).and_then(|n| ctx.state.catalog.databases.iter().find(|d| d.id == n)),
        None => Some(ctx.database(&ctx.state.catalog)),
    }
}

fn object_in(d: &Database, object: i32) -> Option<(String, i32)> {
    d.tables
        .get(&object)
        .map(|t| (t.name.clone(), t.schema))
        .or_else(|| d.views.iter().find(|x| x.id == object).map(|x| (x.name.clone(), x.schema)))
        .or_else(|| {
            d.tables.values().find_map(|t| {
                t.indexes
                    .iter()
                    .find(|i| i.object == object)
                    .map(|i| i.name.clone())
                    .or_else(|| t.checks.iter().find(|c| c.id == object).map(|c| c.name.clone()))
                    .or_else(|| {
                        t.foreign_keys.iter().find(|f| f.id == object).map(|f| f.name.clone())
                    })
                    .or_else(|| {
                        let mut all = t.columns.iter().filter_map(|c| c.default.as_ref());
                        all.find(|x| x.id == object).map(|x| x.name.clone())
                    })
                    .map(|n| (n, t.schema))
            })
        })
}

pub(crate) fn object_name(ctx: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    let Some(object) = as_id(&v[0]) else { return Ok(Value::Null) };
    Ok(name_or_null(database_of(ctx, v, 1).and_then(|d| object_in(d, object)).map(|(n, _)| n)))
}

pub(crate) fn object_schema_name(ctx: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    let Some(object) = as_id(&v[0]) else { return Ok(Value::Null) };
    Ok(name_or_null(
        database_of(ctx, v, 1)
            .and_then(|d| object_in(d, object).map(|(_, s)| d.schema_name(s).to_owned())),
    ))
}

pub(crate) fn object_definition(ctx: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    let Some(object) = as_id(&v[0]) else { return Ok(Value::Null) };
    Ok(name_or_null(current(ctx, |d| {
        d.views.iter().find(|x| x.id == object).map(|x| x.text.clone()).or_else(|| {
            d.tables.values().find_map(|t| {
                let check =
                    t.checks.iter().find(|c| c.id == object).map(|c| format!("({})", c.text));
                check.or_else(|| {
                    let mut all = t.columns.iter().filter_map(|c| c.default.as_ref());
                    all.find(|x| x.id == object).map(|x| format!("({})", x.text))
                })
            })
        })
    })))
}

fn table_by_id(ctx: &Ctx<'_>, object: i32) -> Option<std::sync::Arc<TableDef>> {
    current(ctx, |d| d.tables.get(&object).cloned())
        .or_else(|| super::constraints::definition(ctx, object).map(|(_, d)| d))
}

pub(crate) fn objectproperty(ctx: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    let (Some(object), Some(name)) = (as_id(&v[0]), text(v, 1)) else { return Ok(Value::Null) };
    let table = table_by_id(ctx, object);
    let view = current(ctx, |d| d.views.iter().any(|x| x.id == object));
    let Some(bit) = (match name.to_ascii_lowercase().as_str() {
        "istable" | "isusertable" => Some(table.is_some()),
        "isview" => Some(view),
        "tablehasprimarykey" => Some(table.is_some_and(|t| t.primary_key().is_some())),
        "tablehasidentity" => {
            Some(table.is_some_and(|t| t.columns.iter().any(|c| c.identity.is_some())))
        }
        "tablehasforeignkey" => Some(table.is_some_and(|t| !t.foreign_keys.is_empty())),
        _ => None,
    }) else {
        return Err(crate::tds::error::unsupported(format!("OBJECTPROPERTY {name}")));
    };
    Ok(Value::Int(i64::from(bit)))
}

pub(crate) fn col_length(ctx: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    let (Some(table), Some(column)) = (text(v, 0), text(v, 1)) else { return Ok(Value::Null) };
    let Some(name) = crate::tds::parse::object_name(table) else { return Ok(Value::Null) };
    Ok(match find_object(ctx, &name)? {
        Some(Found::Table { db, def }) if seen(ctx, db, def.id) => {
            def.column(column).map_or(Value::Null, |c| Value::Int(def.columns[c].ty.max_length()))
        }
        _ => Value::Null,
    })
}

pub(crate) fn col_name(ctx: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    let (Some(object), Some(column)) = (as_id(&v[0]), as_id(&v[1])) else { return Ok(Value::Null) };
    Ok(name_or_null(
        table_by_id(ctx, object)
            .and_then(|t| t.columns.iter().find(|c| c.id == column).map(|c| c.name.clone())),
    ))
}

pub(crate) fn columnproperty(ctx: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    let (Some(object), Some(column), Some(property)) = (as_id(&v[0]), text(v, 1), text(v, 2))
    else {
        return Ok(Value::Null);
    };
    let Some(t) = table_by_id(ctx, object) else { return Ok(Value::Null) };
    let Some(c) = t.column(column).map(|i| &t.columns[i]) else { return Ok(Value::Null) };
    let (p, s) = c.ty.precision_scale();
    Ok(Value::Int(match property.to_ascii_lowercase().as_str() {
        "allowsnull" => i64::from(c.nullable),
        "isidentity" => i64::from(c.identity.is_some()),
        "iscomputed" => i64::from(c.computed.is_some()),
        "columnid" => i64::from(c.id),
        "precision" => match c.ty.len() {
            Some(crate::tds::types::Len::Max) => -1,
            Some(l) => i64::try_from(l.units()).unwrap_or(0),
            None => i64::from(p),
        },
        "scale" => i64::from(s),
        other => return Err(crate::tds::error::unsupported(format!("COLUMNPROPERTY {other}"))),
    }))
}

pub(crate) fn indexproperty(ctx: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    let (Some(object), Some(index), Some(property)) = (as_id(&v[0]), text(v, 1), text(v, 2)) else {
        return Ok(Value::Null);
    };
    let Some(t) = table_by_id(ctx, object) else { return Ok(Value::Null) };
    let Some(i) = t.indexes.iter().find(|i| same(&i.name, index)) else { return Ok(Value::Null) };
    Ok(Value::Int(match property.to_ascii_lowercase().as_str() {
        "isunique" => i64::from(i.unique),
        "isclustered" => i64::from(i.id == 1),
        "indexid" => i64::from(i.id),
        other => return Err(crate::tds::error::unsupported(format!("INDEXPROPERTY {other}"))),
    }))
}

/// Name and `user_type_id` of the types the double knows.
pub(crate) const TYPES: [(&str, u8, u8, i64); 27] = [
    ("image", 34, 34, 16),
    ("text", 35, 35, 16),
    ("uniqueidentifier", 36, 36, 16),
    ("date", 40, 40, 3),
    ("time", 41, 41, 5),
    ("datetime2", 42, 42, 8),
    ("datetimeoffset", 43, 43, 10),
    ("tinyint", 48, 48, 1),
    ("smallint", 52, 52, 2),
    ("int", 56, 56, 4),
    ("smalldatetime", 58, 58, 4),
    ("real", 59, 59, 4),
    ("money", 60, 60, 8),
    ("datetime", 61, 61, 8),
    ("float", 62, 62, 8),
    ("bit", 104, 104, 1),
    ("decimal", 106, 106, 17),
    ("numeric", 108, 108, 17),
    ("smallmoney", 122, 122, 4),
    ("bigint", 127, 127, 8),
    ("varbinary", 165, 165, 8000),
    ("varchar", 167, 167, 8000),
    ("binary", 173, 173, 8000),
    ("char", 175, 175, 8000),
    ("timestamp", 189, 189, 8),
    ("nvarchar", 231, 231, 8000),
    ("nchar", 239, 239, 8000),
];

pub(crate) fn type_name(_: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    let wanted = v[0].as_i64().unwrap_or(-1);
    if wanted == 256 {
        return Ok(Value::str("sysname"));
    }
    Ok(name_or_null(TYPES.iter().find(|t| i64::from(t.2) == wanted).map(|t| t.0.to_owned())))
}

pub(crate) fn type_id(_: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    let Some(name) = text(v, 0).and_then(crate::tds::parse::object_name) else {
        return Ok(Value::Null);
    };
    if same(&name.name, "sysname") {
        return Ok(Value::Int(256));
    }
    Ok(TYPES
        .iter()
        .find(|t| same(t.0, &name.name))
        .map_or(Value::Null, |t| Value::Int(i64::from(t.2))))
}
