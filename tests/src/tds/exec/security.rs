//! Logins, users, roles, permissions.

use super::Ctx;
use super::ddl::{database_mut, lock_name};
use crate::tds::bind::{Found, find_object};
use crate::tds::engine::catalog::{Database, Login, Permission, Principal, Securable, same};
use crate::tds::engine::permission::{self, known, server_allowed};
use crate::tds::error::{Reach, Result, SqlError, unsupported};
use crate::tds::parse::ast::{
    Ddl, DropKind, Grant, GrantAction, LoginOptions, Securable as On, UserOptions,
};

pub(crate) fn run(ctx: &mut Ctx<'_>, ddl: &Ddl) -> Result<()> {
    match ddl {
        Ddl::CreateLogin { name, options } => create_login(ctx, name, options),
        Ddl::AlterLogin { name, options } => alter_login(ctx, name, options),
        Ddl::CreateUser { name, options } => create_user(ctx, name, options),
        Ddl::AlterUser { name, options } => alter_user(ctx, name, options),
        Ddl::CreateRole { name, owner } => create_role(ctx, name, owner.as_deref()),
        Ddl::AlterRole { name, member, add, server: false } => alter_role(ctx, name, member, *add),
        Ddl::AlterRole { name, member, add, server: true } => {
            alter_server_role(ctx, name, member, *add)
        }
        Ddl::AlterAuthorization { on, to } => alter_authorization(ctx, on, to),
        Ddl::Grant(g) => grant(ctx, g),
        Ddl::Drop { kind, names, if_exists } => names.iter().try_for_each(|n| match kind {
            DropKind::Login => drop_login(ctx, &n.name, *if_exists),
            DropKind::User | DropKind::Role => {
                drop_principal(ctx, &n.name, *if_exists, *kind == DropKind::Role)
            }
            _ => Err(unsupported("this DROP")),
        }),
        _ => Err(unsupported("this statement")),
    }
}

fn denied(what: &str) -> SqlError {
    SqlError::new(
        15_247,
        16,
        format!("User does not have permission to perform this action ({what})."),
    )
    .reach(Reach::Batch)
}

fn missing(verb: &str, what: &str, name: &str) -> SqlError {
    SqlError::new(
        15_151,
        16,
        format!(
            "Cannot {verb} the {what} '{name}', because it does not exist or you do not have permission."
        ),
    )
}

fn server(ctx: &Ctx<'_>, asked: &str) -> Result<()> {
    if server_allowed(&ctx.state.catalog, ctx.sess.login, asked) {
        Ok(())
    } else {
        Err(denied(asked))
    }
}

fn check_password(name: &str, options: &LoginOptions, policy: bool) -> Result<()> {
    let Some(p) = &options.password else { return Ok(()) };
    if !policy {
        return Ok(());
    }
    let kinds = [
        p.chars().any(char::is_uppercase),
        p.chars().any(char::is_lowercase),
        p.chars().any(|c| c.is_ascii_digit()),
        p.chars().any(|c| !c.is_alphanumeric()),
    ];
    if p.chars().count() < 8
        || kinds.iter().filter(|k| **k).count() < 3
        || p.to_lowercase().contains(&name.to_lowercase())
    {
        return Err(SqlError::new(
            15_118,
            16,
            "Password validation failed. The password does not meet the operating system policy requirements because it is not complex enough.",
        ));
    }
    Ok(())
}

fn create_login(ctx: &mut Ctx<'_>, name: &str, o: &LoginOptions) -> Result<()> {
    server(ctx, "ALTER ANY LOGIN")?;
    lock_name(ctx, 0, 0, name)?;
    if ctx.state.catalog.login(name).is_some() {
        return Err(SqlError::new(
            15_025,
            16,
            format!("The server principal '{name}' already exists."),
        ));
    }
    let Some(password) = o.password.clone() else { return Err(crate::tds::error::syntax(name)) };
    let check_policy = o.check_policy.unwrap_or(true);
    check_password(name, o, check_policy)?;
    let me = ctx.sess.id;
    let catalog = ctx.state.catalog_mut(me);
    let id = catalog.logins.iter().map(|l| l.id).max().unwrap_or(1).max(256) + 1;
    catalog.logins.push(Login {
        id,
        name: name.to_owned(),
        password,
        disabled: false,
        default_database: o.default_database.clone().unwrap_or_else(|| "master".to_owned()),
        sysadmin: false,
        check_policy,
        server_permissions: Vec::new(),
    });
    Ok(())
}

fn alter_login(ctx: &mut Ctx<'_>, name: &str, o: &LoginOptions) -> Result<()> {
    let own = same(name, &ctx.sess.login_name) && o.enable.is_none() && o.name.is_none();
    if !own {
        server(ctx, "ALTER ANY LOGIN").map_err(|_| missing("alter", "login", name))?;
    }
    let policy =
        ctx.state.catalog.login(name).ok_or_else(|| missing("alter", "login", name))?.check_policy;
    check_password(name, o, o.check_policy.unwrap_or(policy))?;
    let me = ctx.sess.id;
    let Some(l) = ctx.state.catalog_mut(me).logins.iter_mut().find(|l| same(&l.name, name)) else {
        return Err(missing("alter", "login", name));
    };
    if let Some(p) = &o.password {
        l.password.clone_from(p);
    }
    if let Some(d) = &o.default_database {
        l.default_database.clone_from(d);
    }
    if let Some(e) = o.enable {
        l.disabled = !e;
    }
    if let Some(c) = o.check_policy {
        l.check_policy = c;
    }
    if let Some(n) = &o.name {
        l.name.clone_from(n);
    }
    Ok(())
}

fn drop_login(ctx: &mut Ctx<'_>, name: &str, if_exists: bool) -> Result<()> {
    server(ctx, "ALTER ANY LOGIN").map_err(|_| missing("drop", "login", name))?;
    let Some(l) = ctx.state.catalog.login(name) else {
        return if if_exists { Ok(()) } else { Err(missing("drop", "login", name)) };
    };
    let id = l.id;
    if ctx.state.catalog.databases.iter().any(|d| d.owner == id) {
        return Err(SqlError::new(
            15_174,
            16,
            format!(
                "Login '{name}' owns one or more database(s). Change the owner of the database(s) before dropping the login."
            ),
        ));
    }
    if ctx.state.sessions.values().any(|s| same(&s.login, name)) {
        return Err(SqlError::new(
            15_434,
            16,
            format!("Could not drop login '{name}' as the user is currently logged in."),
        ));
    }
    let me = ctx.sess.id;
    ctx.state.catalog_mut(me).logins.retain(|l| l.id != id);
    Ok(())
}

fn current<'c>(ctx: &Ctx<'_>, catalog: &'c crate::tds::engine::catalog::Catalog) -> &'c Database {
    ctx.database(catalog)
}

fn require_database(ctx: &Ctx<'_>, d: &Database, asked: &str) -> Result<()> {
    if permission::allowed(d, ctx.user(), asked, Securable::Database) {
        Ok(())
    } else {
        Err(denied(asked))
    }
}

fn create_user(ctx: &mut Ctx<'_>, name: &str, o: &UserOptions) -> Result<()> {
    let catalog = ctx.state.catalog.clone();
    let d = current(ctx, &catalog);
    require_database(ctx, d, "ALTER ANY USER")?;
    lock_name(ctx, d.id, -1, name)?;
    if d.principal(name).is_some() {
        return Err(SqlError::new(
            15_023,
            16,
            format!("User, group, or role '{name}' already exists in the current database."),
        ));
    }
    let login = if o.without_login {
        None
    } else {
        let wanted = o.login.as_deref().unwrap_or(name);
        let l = catalog.login(wanted).ok_or_else(|| {
            SqlError::new(
                15_007,
                16,
                format!("'{wanted}' is not a valid login or you do not have permission."),
            )
        })?;
        if d.principals.iter().any(|p| p.login == Some(l.id)) {
            return Err(SqlError::new(
                15_063,
                16,
                "The login already has an account under a different user name.",
            ));
        }
        Some(l.id)
    };
    let id =
        d.principals.iter().map(|p| p.id).filter(|i| *i < 16_384).max().unwrap_or(4).max(4) + 1;
    let (db, schema) = (d.id, o.default_schema.clone().unwrap_or_else(|| "dbo".to_owned()));
    database_mut(ctx, db)?.principals.push(Principal {
        id,
        name: name.to_owned(),
        role: false,
        login,
        default_schema: schema,
        owner: 1,
    });
    let grant = Permission {
        grantee: id,
        on: Securable::Database,
        name: "CONNECT".to_owned(),
        deny: false,
    };
    database_mut(ctx, db)?.permissions.push(grant);
    Ok(())
}

fn alter_user(ctx: &mut Ctx<'_>, name: &str, o: &UserOptions) -> Result<()> {
    let catalog = ctx.state.catalog.clone();
    let d = current(ctx, &catalog);
    require_database(ctx, d, "ALTER ANY USER")?;
    let id =
        d.principal(name).filter(|p| !p.role).ok_or_else(|| missing("alter", "user", name))?.id;
    let login = match &o.login {
        Some(l) => Some(
            catalog
                .login(l)
                .ok_or_else(|| {
                    SqlError::new(
                        15_007,
                        16,
                        format!("'{l}' is not a valid login or you do not have permission."),
                    )
                })?
                .id,
        ),
        None => None,
    };
    let db = d.id;
    if let Some(p) = database_mut(ctx, db)?.principals.iter_mut().find(|p| p.id == id) {
        if let Some(s) = &o.default_schema {
            p.default_schema.clone_from(s);
        }
        if let Some(n) = &o.name {
            p.name.clone_from(n);
        }
        if login.is_some() {
            p.login = login;
        }
    }
    Ok(())
}

fn create_role(ctx: &mut Ctx<'_>, name: &str, owner: Option<&str>) -> Result<()> {
    let catalog = ctx.state.catalog.clone();
    let d = current(ctx, &catalog);
    if require_database(ctx, d, "CREATE ROLE").is_err() {
        require_database(ctx, d, "ALTER ANY ROLE")?;
    }
    lock_name(ctx, d.id, -1, name)?;
    if d.principal(name).is_some() {
        return Err(SqlError::new(
            15_023,
            16,
            format!("User, group, or role '{name}' already exists in the current database."),
        ));
    }
    let owner = match owner {
        Some(o) => d.principal(o).ok_or_else(|| missing("find", "principal", o))?.id,
        None => ctx.user(),
    };
    let id =
        d.principals.iter().map(|p| p.id).filter(|i| *i < 16_384).max().unwrap_or(4).max(4) + 1;
    let db = d.id;
    database_mut(ctx, db)?.principals.push(Principal {
        id,
        name: name.to_owned(),
        role: true,
        login: None,
        default_schema: String::new(),
        owner,
    });
    Ok(())
}

fn drop_principal(ctx: &mut Ctx<'_>, name: &str, if_exists: bool, role: bool) -> Result<()> {
    let what = if role { "role" } else { "user" };
    let catalog = ctx.state.catalog.clone();
    let d = current(ctx, &catalog);
    let Some(p) = d.principal(name).filter(|p| p.role == role) else {
        return if if_exists { Ok(()) } else { Err(missing("drop", what, name)) };
    };
    require_database(ctx, d, if role { "ALTER ANY ROLE" } else { "ALTER ANY USER" })
        .map_err(|_| missing("drop", what, name))?;
    if p.id <= 4 || p.id >= 16_384 {
        return Err(SqlError::new(15_150, 16, format!("Cannot drop the {what} '{name}'.")));
    }
    if d.schemas.iter().any(|s| s.owner == p.id) {
        return Err(SqlError::new(
            15_138,
            16,
            "The database principal owns a schema in the database, and cannot be dropped.",
        ));
    }
    if role && d.role_members.iter().any(|(r, _)| *r == p.id) {
        return Err(SqlError::new(
            15_144,
            16,
            "The role has members. It must be empty before it can be dropped.",
        ));
    }
    let (db, id) = (d.id, p.id);
    let d = database_mut(ctx, db)?;
    d.principals.retain(|p| p.id != id);
    d.role_members.retain(|(r, m)| *r != id && *m != id);
    d.permissions.retain(|p| p.grantee != id);
    Ok(())
}

fn alter_role(ctx: &mut Ctx<'_>, name: &str, member: &str, add: bool) -> Result<()> {
    let catalog = ctx.state.catalog.clone();
    let d = current(ctx, &catalog);
    let role =
        d.principal(name).filter(|p| p.role).ok_or_else(|| missing("alter", "role", name))?;
    let verb = if add { "add" } else { "drop" };
    let m = d.principal(member).ok_or_else(|| missing(verb, "principal", member))?;
    if role.id >= 16_384 || role.owner != ctx.user() {
        let asked = if role.id >= 16_384 { "CONTROL" } else { "ALTER ANY ROLE" };
        require_database(ctx, d, asked).map_err(|_| missing("alter", "role", name))?;
    }
    let (db, role, m) = (d.id, role.id, m.id);
    let d = database_mut(ctx, db)?;
    d.role_members.retain(|x| *x != (role, m));
    if add {
        d.role_members.push((role, m));
    }
    Ok(())
}

fn alter_server_role(ctx: &mut Ctx<'_>, name: &str, member: &str, add: bool) -> Result<()> {
    server(ctx, "CONTROL SERVER")?;
    if !same(name, "sysadmin") {
        return Err(unsupported(format!("server role {name}")));
    }
    let me = ctx.sess.id;
    match ctx.state.catalog_mut(me).logins.iter_mut().find(|l| same(&l.name, member)) {
        Some(l) => {
            l.sysadmin = add;
            Ok(())
        }
        None => Err(missing("add", "principal", member)),
    }
}

fn alter_authorization(ctx: &mut Ctx<'_>, on: &On, to: &str) -> Result<()> {
    let catalog = ctx.state.catalog.clone();
    let d = current(ctx, &catalog);
    require_database(ctx, d, "CONTROL")?;
    let db = d.id;
    match on {
        On::Schema(s) => {
            let owner = d.principal(to).ok_or_else(|| missing("find", "principal", to))?.id;
            let id = d.schema(s).ok_or_else(|| missing("find", "schema", s))?.id;
            if let Some(x) = database_mut(ctx, db)?.schemas.iter_mut().find(|x| x.id == id) {
                x.owner = owner;
            }
            Ok(())
        }
        On::Database(name) => {
            let login = catalog.login(to).ok_or_else(|| missing("find", "principal", to))?.id;
            let target = match name {
                Some(n) => catalog.database(n).ok_or_else(|| missing("find", "database", n))?.id,
                None => db,
            };
            database_mut(ctx, target)?.owner = login;
            Ok(())
        }
        _ => Err(unsupported("ALTER AUTHORIZATION on this class")),
    }
}

fn grant(ctx: &mut Ctx<'_>, g: &Grant) -> Result<()> {
    for p in &g.permissions {
        if !known(p) && p != "ALL" {
            return Err(unsupported(format!("permission {p}")));
        }
        if p == "ALL" {
            return Err(unsupported("GRANT ALL (deprecated)"));
        }
    }
    let server_level = |p: &str| {
        matches!(
            p,
            "VIEW SERVER STATE"
                | "ALTER ANY LOGIN"
                | "ALTER ANY DATABASE"
                | "CREATE ANY DATABASE"
                | "CONNECT SQL"
                | "CONTROL SERVER"
                | "VIEW ANY DATABASE"
                | "VIEW ANY DEFINITION"
                | "ADMINISTER BULK OPERATIONS"
                | "ALTER ANY CONNECTION"
        )
    };
    if matches!(g.on, Some(On::Server))
        || (g.on.is_none() && g.permissions.iter().all(|p| server_level(p)))
    {
        return grant_server(ctx, g);
    }
    let catalog = ctx.state.catalog.clone();
    let d = current(ctx, &catalog);
    let db = d.id;
    let on = match &g.on {
        None => Securable::Database,
        Some(On::Database(name)) => {
            if let Some(n) = name.as_ref().filter(|n| !same(n, &d.name)) {
                return Err(SqlError::new(
                    15_151,
                    16,
                    format!(
                        "Cannot find the database '{n}', because it does not exist or you do not have permission."
                    ),
                ));
            }
            Securable::Database
        }
        Some(On::Schema(s)) => {
            Securable::Schema(d.schema(s).ok_or_else(|| missing("find", "schema", s))?.id)
        }
        Some(On::Object(name)) => match find_object(ctx, name)? {
            Some(Found::Table { def, .. }) if def.id > 0 => Securable::Object(def.id),
            Some(Found::View { def, .. }) => Securable::Object(def.id),
            _ => return Err(missing("find", "object", &name.display())),
        },
        Some(On::Server) => return Err(unsupported("this securable")),
    };
    if let (Securable::Object(id), Some(On::Object(name))) = (on, &g.on)
        && !permission::visible(d, ctx.user(), id)
    {
        return Err(missing("find", "object", &name.display()));
    }
    if !permission::allowed(d, ctx.user(), "CONTROL", on) {
        return Err(SqlError::new(4613, 16, "Grantor does not have GRANT permission."));
    }
    let mut grantees = Vec::new();
    for name in &g.to {
        let p = d.principal(name).ok_or_else(|| missing("find", "user", name))?;
        if p.id == 1 || p.id == 3 || p.id == 4 || p.id == ctx.user() {
            return Err(SqlError::new(
                15_150,
                16,
                "Cannot grant, deny, or revoke permissions to sa, dbo, entity owner, information_schema, sys, or yourself.",
            ));
        }
        grantees.push(p.id);
    }
    let d = database_mut(ctx, db)?;
    for grantee in grantees {
        for name in &g.permissions {
            d.permissions.retain(|p| !(p.grantee == grantee && p.on == on && p.name == *name));
            if g.action != GrantAction::Revoke {
                d.permissions.push(Permission {
                    grantee,
                    on,
                    name: name.clone(),
                    deny: g.action == GrantAction::Deny,
                });
            }
        }
    }
    Ok(())
}

fn grant_server(ctx: &mut Ctx<'_>, g: &Grant) -> Result<()> {
    server(ctx, "CONTROL SERVER")?;
    let me = ctx.sess.id;
    for name in &g.to {
        let Some(l) = ctx.state.catalog_mut(me).logins.iter_mut().find(|l| same(&l.name, name))
        else {
            return Err(missing("find", "login", name));
        };
        for p in &g.permissions {
            l.server_permissions.retain(|(x, _)| x != p);
            if g.action != GrantAction::Revoke {
                l.server_permissions.push((p.clone(), g.action == GrantAction::Deny));
            }
        }
    }
    Ok(())
}
