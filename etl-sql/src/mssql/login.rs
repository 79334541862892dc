//! The database, the logins of a pipeline and their roles, as an administrator makes them.

use etl_core::Result;
use etl_core::sink::Statement;

use super::quote::{name, text};

/// The role that holds the job's rights.
pub const ROLE: &str = "etl_writer";

/// The role of who only reads the state tables, to serve metrics.
pub const READER: &str = "etl_reader";

/// Creates the database, in the administrator's session in `master`.
///
/// # Errors
/// `Config` for a bad name.
pub fn create_database(database: &str) -> Result<Statement> {
    Ok(Statement {
        name: format!("create database {database}"),
        text: format!("IF DB_ID({}) IS NULL CREATE DATABASE {};", text(database), name(database)?),
    })
}

/// Creates a login, or gives it the password that its secret has now: rotating a password is
/// changing the secret and running this. In `master`; `@P1` is the password.
///
/// CREATE LOGIN takes no parameters, so the text is put together on the server, where the
/// password's quotes are doubled; it never stands in a statement that we write down.
///
/// # Errors
/// `Config` for a bad name.
pub fn create_login(login: &str, database: &str) -> Result<Statement> {
    let (quoted, literal) = (name(login)?, text(login));
    let create = text(&format!("CREATE LOGIN {quoted} WITH PASSWORD = N'"));
    let alter = text(&format!("ALTER LOGIN {quoted} WITH PASSWORD = N'"));
    // The password policy is checked and expiration is not: SQL Server's defaults.
    let options = text(&format!("', DEFAULT_DATABASE = {}", name(database)?));
    Ok(Statement {
        name: format!("create login {login} or rotate its password"),
        text: format!(
            "DECLARE @password nvarchar(max) = @P1, @sql nvarchar(max);
SET @password = REPLACE(@password, N'''', N'''''');
IF SUSER_ID({literal}) IS NULL
  SET @sql = {create} + @password + {options};
ELSE
  SET @sql = {alter} + @password + N'''';
EXEC(@sql);"
        ),
    })
}

/// Makes the login a user of the database with a role, in that database.
///
/// # Errors
/// `Config` for a bad name.
pub fn create_user(login: &str, role: &str, state_schema: &str) -> Result<Vec<Statement>> {
    let (quoted, literal) = (name(login)?, text(login));
    let (quoted_role, role_literal) = (name(role)?, text(role));
    let statement = |name: String, text: String| Statement { name, text };
    Ok(vec![
        statement(
            format!("create user {login}"),
            format!(
                "IF DATABASE_PRINCIPAL_ID({literal}) IS NULL CREATE USER {quoted} FOR LOGIN {quoted} WITH DEFAULT_SCHEMA = {};",
                name(state_schema)?
            ),
        ),
        // After a restore the user belongs to a login of the same name on another server.
        statement(
            format!("bind user {login} to its login"),
            format!(
                "IF EXISTS (SELECT 1 FROM sys.database_principals AS u WHERE u.[name] = {literal}
            AND NOT EXISTS (SELECT 1 FROM sys.server_principals AS l WHERE l.[sid] = u.[sid]))
  ALTER USER {quoted} WITH LOGIN = {quoted};"
            ),
        ),
        statement(
            format!("create role {role}"),
            format!("IF DATABASE_PRINCIPAL_ID({role_literal}) IS NULL CREATE ROLE {quoted_role};"),
        ),
        statement(
            format!("add {login} to role {role}"),
            format!(
                "IF COALESCE(IS_ROLEMEMBER({role_literal}, {literal}), 0) = 0 ALTER ROLE {quoted_role} ADD MEMBER {quoted};"
            ),
        ),
    ])
}
