//! Who may do what: default deny, roles, schema and database scope, DENY wins.

use super::ObjectId;
use super::catalog::{Catalog, Database, Login, Securable};

pub(crate) const DB_OWNER: i32 = 16_384;
const DB_ACCESSADMIN: i32 = 16_385;
const DB_SECURITYADMIN: i32 = 16_386;
const DB_DDLADMIN: i32 = 16_387;
const DB_DATAREADER: i32 = 16_390;
const DB_DATAWRITER: i32 = 16_391;
const DB_DENYDATAREADER: i32 = 16_392;
const DB_DENYDATAWRITER: i32 = 16_393;

/// The database user of a login: `dbo` for its owner and for sysadmins.
pub(crate) fn user_of(db: &Database, login: &Login) -> Option<i32> {
    if login.sysadmin || db.owner == login.id {
        return Some(1);
    }
    if let Some(user) = db.principals.iter().find(|p| !p.role && p.login == Some(login.id)) {
        return Some(user.id);
    }
    // guest may enter the system databases only.
    matches!(db.name.as_str(), "master" | "tempdb" | "msdb").then_some(2)
}

/// The principal itself, its roles and theirs, and `public`.
pub(crate) fn identities(db: &Database, principal: i32) -> Vec<i32> {
    let mut out = vec![principal, 0];
    let mut i = 0;
    while i < out.len() {
        for (role, member) in &db.role_members {
            if *member == out[i] && !out.contains(role) {
                out.push(*role);
            }
        }
        i += 1;
    }
    out
}

/// Permissions that imply the one asked for, on the same securable.
fn covers(held: &str, asked: &str) -> bool {
    held == asked || held == "CONTROL" || (held == "ALTER" && (asked == "VIEW DEFINITION"))
}

/// Whether a principal has a permission; DENY at any level wins, except over the owner.
pub(crate) fn allowed(db: &Database, principal: i32, asked: &str, on: Securable) -> bool {
    let ids = identities(db, principal);
    if ids.contains(&1) || ids.contains(&DB_OWNER) {
        return true;
    }
    let mut scopes = vec![Securable::Database];
    match on {
        Securable::Database => {}
        Securable::Schema(s) => scopes.push(Securable::Schema(s)),
        Securable::Object(id) => {
            if let Some(schema) = schema_of(db, id) {
                scopes.push(Securable::Schema(schema));
            }
            scopes.push(on);
        }
    }
    let applies = |p: &&super::catalog::Permission| {
        ids.contains(&p.grantee) && scopes.contains(&p.on) && covers(&p.name, asked)
    };
    if db.permissions.iter().filter(|p| p.deny).any(|p| applies(&p)) {
        return false;
    }
    if asked == "SELECT" && ids.contains(&DB_DENYDATAREADER) {
        return false;
    }
    let writes = matches!(asked, "INSERT" | "UPDATE" | "DELETE");
    if writes && ids.contains(&DB_DENYDATAWRITER) {
        return false;
    }
    if db.permissions.iter().filter(|p| !p.deny).any(|p| applies(&p)) {
        return true;
    }
    // Owning the schema is controlling it.
    let owned = scopes.iter().any(|s| match s {
        Securable::Schema(id) => db.schemas.iter().any(|x| x.id == *id && ids.contains(&x.owner)),
        _ => false,
    });
    if owned {
        return true;
    }
    (asked == "SELECT" && ids.contains(&DB_DATAREADER))
        || (writes && ids.contains(&DB_DATAWRITER))
        || ((asked == "ALTER" || asked.starts_with("CREATE ") || asked == "REFERENCES")
            && ids.contains(&DB_DDLADMIN))
        || (matches!(asked, "ALTER ANY USER") && ids.contains(&DB_ACCESSADMIN))
        || (matches!(asked, "ALTER ANY ROLE" | "VIEW DEFINITION")
            && ids.contains(&DB_SECURITYADMIN))
}

/// Whether the object shows in the catalog: any permission on it is enough.
pub(crate) fn visible(db: &Database, principal: i32, id: ObjectId) -> bool {
    const ANY: [&str; 8] = [
        "SELECT",
        "INSERT",
        "UPDATE",
        "DELETE",
        "REFERENCES",
        "ALTER",
        "VIEW DEFINITION",
        "CONTROL",
    ];
    ANY.iter().any(|p| allowed(db, principal, p, Securable::Object(id)))
}

fn schema_of(db: &Database, id: ObjectId) -> Option<i32> {
    db.tables
        .get(&id)
        .map(|t| t.schema)
        .or_else(|| db.views.iter().find(|v| v.id == id).map(|v| v.schema))
}

/// A server permission such as `ALTER ANY LOGIN`.
pub(crate) fn server_allowed(catalog: &Catalog, login: i32, asked: &str) -> bool {
    catalog.login_by_id(login).is_some_and(|l| {
        let has = |deny: bool| {
            l.server_permissions
                .iter()
                .any(|(p, d)| *d == deny && (p == asked || p == "CONTROL SERVER"))
        };
        l.sysadmin || (has(false) && !has(true))
    })
}

/// The permissions that the double knows, by securable class.
pub(crate) fn known(permission: &str) -> bool {
    const KNOWN: [&str; 40] = [
        "SELECT",
        "INSERT",
        "UPDATE",
        "DELETE",
        "REFERENCES",
        "EXECUTE",
        "ALTER",
        "CONTROL",
        "VIEW DEFINITION",
        "TAKE OWNERSHIP",
        "CONNECT",
        "CREATE TABLE",
        "CREATE VIEW",
        "CREATE SCHEMA",
        "CREATE ROLE",
        "CREATE PROCEDURE",
        "CREATE FUNCTION",
        "CREATE TYPE",
        "ALTER ANY SCHEMA",
        "ALTER ANY USER",
        "ALTER ANY ROLE",
        "VIEW DATABASE STATE",
        "VIEW SERVER STATE",
        "ALTER ANY LOGIN",
        "ALTER ANY DATABASE",
        "CREATE ANY DATABASE",
        "CREATE DATABASE",
        "CONNECT SQL",
        "CONTROL SERVER",
        "VIEW ANY DATABASE",
        "VIEW ANY DEFINITION",
        "ADMINISTER BULK OPERATIONS",
        "ADMINISTER DATABASE BULK OPERATIONS",
        "SHOWPLAN",
        "BACKUP DATABASE",
        "BACKUP LOG",
        "CHECKPOINT",
        "UNMASK",
        "VIEW CHANGE TRACKING",
        "ALTER ANY CONNECTION",
    ];
    KNOWN.contains(&permission)
}
