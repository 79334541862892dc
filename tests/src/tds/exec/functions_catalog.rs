//! Functions that look at the catalog, the session or the server.

use super::Ctx;
use super::functions::{n, text};
use crate::tds::bind::{Found, find_object};
use crate::tds::engine::catalog::{Database, IndexKind, Securable, TableDef, same};
use crate::tds::engine::locks::{AppMode, AppOwner};
use crate::tds::engine::permission;
use crate::tds::error::{Result, SqlError};
use crate::tds::types::{Coll, SqlType, Value};

type Out = Result<Value>;

/// The version string, as SQL Server 2019 gives it.
pub(crate) const VERSION: &str = "Microsoft SQL Server 2019 (RTM-CU32) - 15.0.4430.1 (X64) \n\tTDS server double\n\tDeveloper Edition (64-bit) on Linux";

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
pub(crate) const TYPES: [(&str, u8, u8, i64); 26] = [
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

pub(crate) fn user_id(ctx: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    Ok(match v.first() {
        None => id(ctx.user()),
        Some(x) => x
            .as_str()
            .and_then(|s| current(ctx, |d| d.principal(s).map(|p| p.id)))
            .map_or(Value::Null, id),
    })
}

pub(crate) fn user_name(ctx: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    let wanted = match v.first() {
        None => Some(ctx.user()),
        Some(x) => as_id(x),
    };
    Ok(name_or_null(
        wanted.and_then(|i| current(ctx, |d| d.principal_by_id(i).map(|p| p.name.clone()))),
    ))
}

pub(crate) fn suser_id(ctx: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    Ok(match v.first() {
        None => id(ctx.sess.login),
        Some(x) => {
            x.as_str().and_then(|s| ctx.state.catalog.login(s)).map_or(Value::Null, |l| id(l.id))
        }
    })
}

pub(crate) fn suser_name(ctx: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    let wanted = match v.first() {
        None => Some(ctx.sess.login),
        Some(x) => as_id(x),
    };
    Ok(name_or_null(wanted.and_then(|i| ctx.state.catalog.login_by_id(i)).map(|l| l.name.clone())))
}

/// A login's SID: its number in sixteen bytes, 0x01 for sa.
pub(crate) fn sid_of(login: i32) -> Vec<u8> {
    if login == 1 {
        return vec![1];
    }
    let mut out = vec![0; 12];
    out.extend_from_slice(&login.to_be_bytes());
    out
}

pub(crate) fn suser_sname(ctx: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    match v.first() {
        None => Ok(Value::str(&ctx.sess.login_name)),
        Some(Value::Bin(sid)) => Ok(name_or_null(
            ctx.state
                .catalog
                .logins
                .iter()
                .find(|l| sid_of(l.id)[..] == sid[..])
                .map(|l| l.name.clone()),
        )),
        Some(_) => Ok(Value::Null),
    }
}

pub(crate) fn suser_sid(ctx: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    let login = match v.first() {
        None => Some(ctx.sess.login),
        Some(x) => x.as_str().and_then(|s| ctx.state.catalog.login(s)).map(|l| l.id),
    };
    Ok(login.map_or(Value::Null, |l| Value::bin(sid_of(l))))
}

fn member(ctx: &Ctx<'_>, role: &str, principal: i32) -> Value {
    current(ctx, |d| match d.principal(role).filter(|p| p.role) {
        Some(r) => {
            let ids = permission::identities(d, principal);
            Value::Int(i64::from(
                ids.contains(&r.id) || principal == 1 && r.id == permission::DB_OWNER,
            ))
        }
        None => Value::Null,
    })
}

pub(crate) fn is_member(ctx: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    let user = ctx.user();
    Ok(text(v, 0).map_or(Value::Null, |r| member(ctx, r, user)))
}

pub(crate) fn is_rolemember(ctx: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    let Some(role) = text(v, 0) else { return Ok(Value::Null) };
    let principal = if v.len() > 1 {
        text(v, 1).and_then(|s| current(ctx, |d| d.principal(s).map(|p| p.id)))
    } else {
        Some(ctx.user())
    };
    Ok(principal.map_or(Value::Null, |p| member(ctx, role, p)))
}

pub(crate) fn is_srvrolemember(ctx: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    let Some(role) = text(v, 0) else { return Ok(Value::Null) };
    let login = if v.len() > 1 {
        text(v, 1).and_then(|s| ctx.state.catalog.login(s))
    } else {
        ctx.state.catalog.login_by_id(ctx.sess.login)
    };
    let Some(login) = login else { return Ok(Value::Null) };
    const ROLES: [&str; 9] = [
        "sysadmin",
        "securityadmin",
        "serveradmin",
        "setupadmin",
        "processadmin",
        "diskadmin",
        "dbcreator",
        "bulkadmin",
        "public",
    ];
    if !ROLES.iter().any(|r| same(r, role)) {
        return Ok(Value::Null);
    }
    Ok(Value::Int(i64::from(login.sysadmin || same(role, "public"))))
}

pub(crate) fn has_perms_by_name(ctx: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    let Some(asked) = text(v, 2).map(str::to_ascii_uppercase) else { return Ok(Value::Null) };
    let bit = |b: bool| Value::Int(i64::from(b));
    let class = text(v, 1).map(str::to_ascii_uppercase);
    if v.len() > 3 {
        return Err(crate::tds::error::unsupported("HAS_PERMS_BY_NAME for sub-securables"));
    }
    let on_database = |ctx: &Ctx<'_>, d: &Database, on: Securable| {
        let user = ctx.user_in(d).unwrap_or(0);
        let any = ["SELECT", "INSERT", "UPDATE", "DELETE", "ALTER", "CONTROL", "VIEW DEFINITION"];
        if asked == "ANY" {
            any.iter().any(|p| permission::allowed(d, user, p, on))
        } else {
            permission::allowed(d, user, &asked, on)
        }
    };
    match class.as_deref() {
        None | Some("SERVER") => {
            Ok(bit(permission::server_allowed(&ctx.state.catalog, ctx.sess.login, &asked)))
        }
        Some("DATABASE") => {
            let d = match text(v, 0) {
                Some(name) => ctx.state.catalog.database(name),
                None => Some(ctx.database(&ctx.state.catalog)),
            };
            Ok(d.map_or(Value::Null, |d| bit(on_database(ctx, d, Securable::Database))))
        }
        Some("SCHEMA") => {
            let d = ctx.database(&ctx.state.catalog);
            let name = text(v, 0).and_then(crate::tds::parse::object_name).map(|n| n.name);
            let schema = name.and_then(|n| d.schema(&n).map(|s| s.id));
            Ok(schema.map_or(Value::Null, |s| bit(on_database(ctx, d, Securable::Schema(s)))))
        }
        Some("OBJECT") => {
            let Some(name) = text(v, 0).and_then(crate::tds::parse::object_name) else {
                return Ok(Value::Null);
            };
            let (db, object) = match find_object(ctx, &name)? {
                Some(Found::Table { db, def }) => (db, def.id),
                Some(Found::View { db, def }) => (db, def.id),
                _ => return Ok(Value::Null),
            };
            if object < 0 {
                return Ok(bit(true));
            }
            let catalog = ctx.state.catalog.clone();
            let d = catalog.databases.iter().find(|d| d.id == db);
            Ok(d.map_or(Value::Null, |d| bit(on_database(ctx, d, Securable::Object(object)))))
        }
        Some(other) => {
            Err(crate::tds::error::unsupported(format!("HAS_PERMS_BY_NAME class {other}")))
        }
    }
}

pub(crate) fn has_dbaccess(ctx: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    let d = text(v, 0).and_then(|s| ctx.state.catalog.database(s));
    Ok(d.map_or(Value::Null, |d| Value::Int(i64::from(ctx.user_in(d).is_some()))))
}

pub(crate) fn serverproperty(ctx: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    Ok(match text(v, 0).unwrap_or_default().to_ascii_lowercase().as_str() {
        "productversion" => Value::str("15.0.4430.1"),
        "productmajorversion" => Value::str("15"),
        "productminorversion" => Value::str("0"),
        "productbuild" => Value::str("4430"),
        "productlevel" => Value::str("RTM"),
        "productupdatelevel" => Value::str("CU32"),
        "edition" => Value::str("Developer Edition (64-bit)"),
        "engineedition" => Value::Int(3),
        "editionid" => Value::Int(-2_117_995_310),
        "servername" | "machinename" | "computernamephysicalnetbios" => Value::str("TDSDOUBLE"),
        "collation" => Value::str(ctx.state.catalog.server_collation.name()),
        "isclustered"
        | "ishadrenabled"
        | "isintegratedsecurityonly"
        | "issingleuser"
        | "isfulltextinstalled" => Value::Int(0),
        "isxtpsupported" => Value::Int(0),
        "processid" => Value::Int(i64::from(std::process::id())),
        _ => Value::Null,
    })
}

pub(crate) fn connectionproperty(_: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    Ok(match text(v, 0).unwrap_or_default().to_ascii_lowercase().as_str() {
        "net_transport" => Value::str("TCP"),
        "protocol_type" => Value::str("TSQL"),
        "auth_scheme" => Value::str("SQL"),
        _ => Value::Null,
    })
}

pub(crate) fn databasepropertyex(ctx: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    let Some(d) = text(v, 0).and_then(|s| ctx.state.catalog.database(s)) else {
        return Ok(Value::Null);
    };
    Ok(match text(v, 1).unwrap_or_default().to_ascii_lowercase().as_str() {
        "collation" => Value::str(d.collation.name()),
        "status" => Value::str("ONLINE"),
        "updateability" => Value::str("READ_WRITE"),
        "recovery" => Value::str(&d.recovery),
        "useraccess" => Value::str("MULTI_USER"),
        "version" => Value::Int(904),
        "isautoclose" | "isautoshrink" | "isinstandby" => Value::Int(0),
        _ => Value::Null,
    })
}

pub(crate) fn sessionproperty(ctx: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    let name = text(v, 0).unwrap_or_default().to_ascii_uppercase();
    Ok(ctx.sess.options.flags.get(&name).map_or(Value::Null, |on| Value::Int(i64::from(*on))))
}

pub(crate) fn collationproperty(_: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    let Some(coll) = text(v, 0).and_then(|s| Coll::parse(s).ok()) else { return Ok(Value::Null) };
    Ok(match text(v, 1).unwrap_or_default().to_ascii_lowercase().as_str() {
        "codepage" => Value::Int(if coll.is_utf8() { 65_001 } else { 1252 }),
        "lcid" => Value::Int(1033),
        "version" => Value::Int(if coll.name().contains("_100") { 2 } else { 0 }),
        _ => Value::Null,
    })
}

/// The resource of an application lock, in the current database.
pub(crate) fn app_resource(
    ctx: &Ctx<'_>,
    principal: &str,
    name: &str,
) -> Result<(i32, String, String)> {
    let known = current(ctx, |d| d.principal(principal).map(|p| p.name.clone()));
    let principal = known.ok_or_else(|| {
        SqlError::new(15_151, 16, format!("Cannot find the database principal '{principal}', because it does not exist or you do not have permission."))
    })?;
    // Only the first 255 characters count.
    Ok((ctx.sess.db, principal, name.chars().take(255).collect()))
}

pub(crate) fn app_owner(name: &str) -> Option<AppOwner> {
    if same(name, "Transaction") {
        Some(AppOwner::Transaction)
    } else if same(name, "Session") {
        Some(AppOwner::Session)
    } else {
        None
    }
}

pub(crate) fn applock_test(ctx: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    if (0..4).any(|i| missing(v, i)) {
        return Ok(Value::Null);
    }
    let resource =
        app_resource(ctx, text(v, 0).unwrap_or("public"), text(v, 1).unwrap_or_default())?;
    let (Some(mode), Some(_)) =
        (text(v, 2).and_then(AppMode::parse), text(v, 3).and_then(app_owner))
    else {
        return Ok(Value::Null);
    };
    Ok(Value::Int(i64::from(ctx.state.locks.app_free(&resource, ctx.sess.id, mode))))
}

pub(crate) fn applock_mode(ctx: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    let resource =
        app_resource(ctx, text(v, 0).unwrap_or("public"), text(v, 1).unwrap_or_default())?;
    let Some(owner) = text(v, 2).and_then(app_owner) else { return Ok(Value::Null) };
    let mode = ctx.state.locks.app_mode(&resource, ctx.sess.id, owner);
    Ok(Value::str(mode.map_or("NoLock", AppMode::name)))
}

pub(crate) fn xact_state(ctx: &mut Ctx<'_>, _: &[Value], _: &[SqlType]) -> Out {
    Ok(Value::Int(match (ctx.sess.trancount, ctx.sess.doomed) {
        (0, _) => 0,
        (_, true) => -1,
        _ => 1,
    }))
}

fn caught(ctx: &Ctx<'_>, f: impl FnOnce(&SqlError) -> Value) -> Out {
    Ok(ctx.sess.caught.last().map_or(Value::Null, f))
}

pub(crate) fn error_number(ctx: &mut Ctx<'_>, _: &[Value], _: &[SqlType]) -> Out {
    caught(ctx, |e| id(e.number))
}

pub(crate) fn error_severity(ctx: &mut Ctx<'_>, _: &[Value], _: &[SqlType]) -> Out {
    caught(ctx, |e| Value::Int(i64::from(e.class)))
}

pub(crate) fn error_state(ctx: &mut Ctx<'_>, _: &[Value], _: &[SqlType]) -> Out {
    caught(ctx, |e| Value::Int(i64::from(e.state)))
}

pub(crate) fn error_line(ctx: &mut Ctx<'_>, _: &[Value], _: &[SqlType]) -> Out {
    caught(ctx, |e| Value::Int(i64::from(e.line)))
}

pub(crate) fn error_message(ctx: &mut Ctx<'_>, _: &[Value], _: &[SqlType]) -> Out {
    caught(ctx, |e| Value::str(&e.message))
}

pub(crate) fn error_procedure(ctx: &mut Ctx<'_>, _: &[Value], _: &[SqlType]) -> Out {
    caught(ctx, |e| if e.procedure.is_empty() { Value::Null } else { Value::str(&e.procedure) })
}

pub(crate) fn host_name(ctx: &mut Ctx<'_>, _: &[Value], _: &[SqlType]) -> Out {
    Ok(Value::str(&ctx.sess.host))
}

pub(crate) fn program_name(ctx: &mut Ctx<'_>, _: &[Value], _: &[SqlType]) -> Out {
    Ok(Value::str(&ctx.sess.program))
}

pub(crate) fn scope_identity(ctx: &mut Ctx<'_>, _: &[Value], _: &[SqlType]) -> Out {
    Ok(ctx.sess.scope_identity.map_or(Value::Null, |x| Value::dec(i128::from(x), 0)))
}

pub(crate) fn ident_current(ctx: &mut Ctx<'_>, v: &[Value], _: &[SqlType]) -> Out {
    let Some(name) = text(v, 0).and_then(crate::tds::parse::object_name) else {
        return Ok(Value::Null);
    };
    let Some(Found::Table { def, .. }) = find_object(ctx, &name)? else { return Ok(Value::Null) };
    let Some((seed, _)) = def.columns.iter().find_map(|c| c.identity) else {
        return Ok(Value::Null);
    };
    let last = ctx.state.tables.get(&def.id).and_then(|d| d.identity).unwrap_or(seed);
    Ok(Value::dec(i128::from(last), 0))
}

pub(crate) fn rowcount_big(ctx: &mut Ctx<'_>, _: &[Value], _: &[SqlType]) -> Out {
    Ok(Value::Int(ctx.sess.rowcount))
}

pub(crate) fn var_rowcount(ctx: &mut Ctx<'_>, _: &[Value], _: &[SqlType]) -> Out {
    Ok(Value::Int(ctx.sess.rowcount))
}

pub(crate) fn var_error(ctx: &mut Ctx<'_>, _: &[Value], _: &[SqlType]) -> Out {
    Ok(id(ctx.sess.last_error))
}

pub(crate) fn var_trancount(ctx: &mut Ctx<'_>, _: &[Value], _: &[SqlType]) -> Out {
    Ok(Value::Int(i64::from(ctx.sess.trancount)))
}

pub(crate) fn var_spid(ctx: &mut Ctx<'_>, _: &[Value], _: &[SqlType]) -> Out {
    Ok(id(ctx.sess.id))
}

pub(crate) fn var_version(_: &mut Ctx<'_>, _: &[Value], _: &[SqlType]) -> Out {
    Ok(Value::str(VERSION))
}

pub(crate) fn var_servername(_: &mut Ctx<'_>, _: &[Value], _: &[SqlType]) -> Out {
    Ok(Value::str("TDSDOUBLE"))
}

pub(crate) fn var_lock_timeout(ctx: &mut Ctx<'_>, _: &[Value], _: &[SqlType]) -> Out {
    Ok(Value::Int(ctx.sess.options.lock_timeout))
}

pub(crate) fn var_nestlevel(ctx: &mut Ctx<'_>, _: &[Value], _: &[SqlType]) -> Out {
    Ok(Value::Int(i64::from(ctx.sess.nest)))
}

pub(crate) fn var_options(ctx: &mut Ctx<'_>, _: &[Value], _: &[SqlType]) -> Out {
    let bits = [
        ("IMPLICIT_TRANSACTIONS", 2),
        ("ANSI_WARNINGS", 8),
        ("ANSI_PADDING", 16),
        ("ANSI_NULLS", 32),
        ("ARITHABORT", 64),
        ("QUOTED_IDENTIFIER", 256),
        ("NOCOUNT", 512),
        ("ANSI_NULL_DFLT_ON", 1024),
        ("CONCAT_NULL_YIELDS_NULL", 4096),
        ("XACT_ABORT", 16_384),
    ];
    let on = |name: &str| match name {
        "XACT_ABORT" => ctx.sess.options.xact_abort,
        "NOCOUNT" => ctx.sess.options.nocount,
        _ => ctx.sess.options.flags.get(name).copied().unwrap_or(false),
    };
    Ok(Value::Int(bits.iter().filter(|(name, _)| on(name)).map(|(_, b)| *b).sum()))
}

pub(crate) fn var_max_precision(_: &mut Ctx<'_>, _: &[Value], _: &[SqlType]) -> Out {
    Ok(n(38))
}

pub(crate) fn var_datefirst(_: &mut Ctx<'_>, _: &[Value], _: &[SqlType]) -> Out {
    Ok(n(7))
}

pub(crate) fn var_language(_: &mut Ctx<'_>, _: &[Value], _: &[SqlType]) -> Out {
    Ok(Value::str("us_english"))
}

pub(crate) fn var_microsoftversion(_: &mut Ctx<'_>, _: &[Value], _: &[SqlType]) -> Out {
    Ok(Value::Int(0x0f00_114e))
}
