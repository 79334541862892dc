//! The session, its locks and errors; the server.

use super::*;

/// The version string, as SQL Server 2019 gives it.
pub(crate) const VERSION: &str = "Microsoft SQL Server 2019 (RTM-CU32) - 15.0.4430.1 (X64) \n\tTDS server double\n\tDeveloper Edition (64-bit) on Linux";

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

pub(super) fn caught(ctx: &Ctx<'_>, f: impl FnOnce(&SqlError) -> Value) -> Out {
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

pub(crate) fn min_active_rowversion(ctx: &mut Ctx<'_>, _: &[Value], _: &[SqlType]) -> Out {
    Ok(Value::bin(ctx.state.min_active_rowversion(ctx.sess.db).to_be_bytes()))
}

pub(crate) fn var_dbts(ctx: &mut Ctx<'_>, _: &[Value], _: &[SqlType]) -> Out {
    Ok(Value::bin(ctx.state.last_rowversion(ctx.sess.db).to_be_bytes()))
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
