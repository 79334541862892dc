//! Logins, users, roles and what they may do.

use super::*;

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

pub(super) fn member(ctx: &Ctx<'_>, role: &str, principal: i32) -> Value {
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
    // Permissions are on whole objects here: a column that exists has its object's.
    if v.len() > 3 {
        let column = text(v, 3).zip(text(v, 4).filter(|class| same(class, "COLUMN")));
        let Some((column, _)) = column else {
            return Err(crate::tds::error::unsupported("HAS_PERMS_BY_NAME for sub-securables"));
        };
        let table = text(v, 0).and_then(crate::tds::parse::object_name);
        let found = table.map(|name| find_object(ctx, &name)).transpose()?.flatten();
        let has = |def: &TableDef| def.column(column).is_some();
        if !matches!(&found, Some(Found::Table { def, .. }) if has(def)) {
            return Ok(Value::Null);
        }
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
