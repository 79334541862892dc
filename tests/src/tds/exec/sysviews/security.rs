//! `sys` views of logins, users, roles, permissions and sessions.

use super::{Builder, Look, View, b, n, s, when};
use crate::tds::engine::catalog::{Principal, Securable};
use crate::tds::exec::functions::sid_of;
use crate::tds::types::Value;

pub(super) fn view(look: &mut Look<'_, '_, '_>, name: &str) -> Option<View> {
    Some(match name {
        "server_principals" | "sql_logins" => logins(look, name == "sql_logins"),
        "database_principals" => principals(look),
        "database_role_members" => {
            let mut v = Builder::new("role_principal_id int, member_principal_id int", look.coll());
            for (role, member) in &look.db.role_members {
                v.row(vec![n(*role), n(*member)]);
            }
            v.done()
        }
        "database_permissions" => permissions(look),
        "server_permissions" => server_permissions(look),
        "dm_exec_sessions" => sessions(look),
        "dm_exec_connections" => {
            let mut v = Builder::new(
                "session_id int?, net_transport n60, protocol_type n60?, encrypt_option n60, auth_scheme n60",
                look.coll(),
            );
            let id = look.ctx.sess.id;
            v.row(vec![n(id), s("TCP"), s("TSQL"), s("FALSE"), s("SQL")]);
            v.done()
        }
        _ => return None,
    })
}

fn all_logins(look: &Look<'_, '_, '_>) -> bool {
    let catalog = &look.ctx.state.catalog;
    crate::tds::engine::permission::server_allowed(catalog, look.ctx.sess.login, "ALTER ANY LOGIN")
}

fn logins(look: &Look<'_, '_, '_>, sql: bool) -> View {
    let mut spec = "name sysname, principal_id int, sid bin?, type char1, type_desc n60?, is_disabled bit?, create_date datetime, modify_date datetime, default_database_name sysname?, default_language_name sysname?".to_owned();
    if sql {
        spec.push_str(", is_policy_checked bit?, is_expiration_checked bit?");
    }
    let mut v = Builder::new(&spec, look.coll());
    let all = all_logins(look);
    let created = look.ctx.state.catalog.databases[0].created;
    for l in &look.ctx.state.catalog.logins {
        // Others see themselves and sa.
        if !all && l.id != look.ctx.sess.login && l.id != 1 {
            continue;
        }
        let mut row = vec![
            s(&l.name),
            n(l.id),
            Value::bin(sid_of(l.id)),
            s("S"),
            s("SQL_LOGIN"),
            b(l.disabled),
            when(created),
            when(created),
            s(&l.default_database),
            s("us_english"),
        ];
        if sql {
            row.extend([b(l.check_policy), b(false)]);
        }
        v.row(row);
    }
    if !sql {
        for (id, name) in [(2, "public"), (3, "sysadmin")] {
            v.row(vec![
                s(name),
                n(id),
                Value::bin(sid_of(id)),
                s("R"),
                s("SERVER_ROLE"),
                b(false),
                when(created),
                when(created),
                Value::Null,
                Value::Null,
            ]);
        }
    }
    v.done()
}

fn sees(look: &Look<'_, '_, '_>, p: &Principal) -> bool {
    let user = look.ctx.user_in(look.db).unwrap_or(0);
    let fixed = p.id <= 4 || p.id >= 16_384;
    fixed
        || p.id == user
        || ["VIEW DEFINITION", "ALTER ANY USER", "CONTROL"].iter().any(|asked| {
            crate::tds::engine::permission::allowed(look.db, user, asked, Securable::Database)
        })
}

fn principals(look: &Look<'_, '_, '_>) -> View {
    let mut v = Builder::new(
        "name sysname, principal_id int, type char1, type_desc n60?, default_schema_name sysname?, create_date datetime, modify_date datetime, owning_principal_id int?, sid bin?, is_fixed_role bit, authentication_type int, authentication_type_desc n60?",
        look.coll(),
    );
    for p in look.db.principals.iter().filter(|p| sees(look, p)) {
        let (kind, desc) = if p.role { ("R", "DATABASE_ROLE") } else { ("S", "SQL_USER") };
        let schema = &p.default_schema;
        v.row(vec![
            s(&p.name),
            n(p.id),
            s(kind),
            s(desc),
            if schema.is_empty() { Value::Null } else { s(schema) },
            when(look.db.created),
            when(look.db.created),
            if p.role { n(p.owner) } else { Value::Null },
            p.login.map_or(Value::Null, |l| Value::bin(sid_of(l))),
            b(p.id >= 16_384),
            n(i64::from(p.login.is_some())),
            s(if p.login.is_some() { "INSTANCE" } else { "NONE" }),
        ]);
    }
    v.done()
}

/// The four-letter type of a permission.
fn code(name: &str) -> String {
    match name {
        "SELECT" => "SL",
        "INSERT" => "IN",
        "UPDATE" => "UP",
        "DELETE" => "DL",
        "EXECUTE" => "EX",
        "REFERENCES" => "RF",
        "ALTER" => "AL",
        "CONTROL" => "CL",
        "CONNECT" => "CO",
        "VIEW DEFINITION" => "VW",
        "CREATE TABLE" => "CRTB",
        "CREATE SCHEMA" => "CRSM",
        _ => "ZZ",
    }
    .to_owned()
}

fn permissions(look: &Look<'_, '_, '_>) -> View {
    let mut v = Builder::new(
        "class tinyint, class_desc n60?, major_id int, minor_id int, grantee_principal_id int, grantor_principal_id int, type char4, permission_name sysname?, state char1, state_desc n60?",
        look.coll(),
    );
    for p in &look.db.permissions {
        if !look.db.principal_by_id(p.grantee).is_some_and(|g| sees(look, g)) {
            continue;
        }
        let (class, desc, major) = match p.on {
            Securable::Database => (0, "DATABASE", 0),
            Securable::Object(id) => (1, "OBJECT_OR_COLUMN", id),
            Securable::Schema(id) => (3, "SCHEMA", id),
        };
        v.row(vec![
            n(class),
            s(desc),
            n(major),
            n(0),
            n(p.grantee),
            n(1),
            s(format!("{:<4}", code(&p.name))),
            s(&p.name),
            s(if p.deny { "D" } else { "G" }),
            s(if p.deny { "DENY" } else { "GRANT" }),
        ]);
    }
    v.done()
}

fn server_permissions(look: &Look<'_, '_, '_>) -> View {
    let mut v = Builder::new(
        "class tinyint, class_desc n60?, major_id int, grantee_principal_id int, permission_name sysname?, state char1, state_desc n60?",
        look.coll(),
    );
    for l in &look.ctx.state.catalog.logins {
        for (name, deny) in &l.server_permissions {
            v.row(vec![
                n(100),
                s("SERVER"),
                n(0),
                n(l.id),
                s(name),
                s(if *deny { "D" } else { "G" }),
                s(if *deny { "DENY" } else { "GRANT" }),
            ]);
        }
    }
    v.done()
}

fn sessions(look: &Look<'_, '_, '_>) -> View {
    let mut v = Builder::new(
        "session_id smallint, login_time datetime, host_name sysname?, program_name sysname?, login_name sysname, original_login_name sysname, status varchar, database_id smallint, is_user_process bit, open_transaction_count int, deadlock_priority int, lock_timeout int, transaction_isolation_level smallint",
        look.coll(),
    );
    let me = look.ctx.sess.id;
    let catalog = &look.ctx.state.catalog;
    let all = crate::tds::engine::permission::server_allowed(
        catalog,
        look.ctx.sess.login,
        "VIEW SERVER STATE",
    );
    for (id, x) in &look.ctx.state.sessions {
        if !all && *id != me {
            continue;
        }
        let open = if *id == me {
            i64::from(look.ctx.sess.trancount)
        } else {
            i64::from(look.ctx.state.txns.contains_key(id))
        };
        v.row(vec![
            n(*id),
            when(x.since),
            s(&x.host),
            s(&x.program),
            s(&x.login),
            s(&x.login),
            s(if *id == me { "running" } else { "sleeping" }),
            n(x.database),
            b(true),
            n(open),
            n(x.deadlock_priority),
            n(look.ctx.sess.options.lock_timeout),
            n(2),
        ]);
    }
    v.done()
}
