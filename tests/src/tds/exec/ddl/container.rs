//! Schemas, views, databases.

use super::*;

pub(super) fn create_schema(ctx: &mut Ctx<'_>, name: &str, owner: Option<&str>) -> Result<()> {
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

pub(super) fn drop_schema(ctx: &mut Ctx<'_>, name: &str, if_exists: bool) -> Result<()> {
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

pub(super) fn create_view(
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

pub(super) fn drop_view(ctx: &mut Ctx<'_>, name: &ObjName, if_exists: bool) -> Result<()> {
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

pub(super) fn outside_transaction(ctx: &Ctx<'_>, what: &str) -> Result<()> {
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

pub(super) fn create_database(
    ctx: &mut Ctx<'_>,
    name: &str,
    collation: Option<&str>,
) -> Result<()> {
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

pub(super) fn drop_database(ctx: &mut Ctx<'_>, name: &str, if_exists: bool) -> Result<()> {
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

pub(super) fn alter_database(
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
