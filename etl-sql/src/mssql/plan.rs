//! The DDL of a pipeline's state tables and target, in statements that are safe to run twice, to
//! run at once, and to stop after any of them.

use etl_core::Result;
use etl_core::sink::Statement;
use sha2::{Digest, Sha256};

use super::error::own;
use super::quote::{MAX_NAME_UNITS, name, text};
use super::target::{Column, MARK_TYPE, MAX_CLUSTERED_BYTES, Target};
use super::types::BINARY_COLLATION;
use crate::migration::Migration;

/// In the statements `{schema}` stands for the state schema's quoted name, `{bin}` for the binary
/// collation.
const MIGRATIONS: &[Migration] = &[FIRST, LOADS, ASIDE_BY_LOAD];

/// The version of state tables that a run needs.
pub const VERSION: i32 = ASIDE_BY_LOAD.version;

/// An entry of the quarantine says which load has put it there.
const ASIDE_BY_LOAD: Migration = Migration {
    version: 3,
    name: "the load of an entry of the quarantine",
    statements: &[
        "ALTER TABLE {schema}.[quarantine] ADD [generation] bigint NOT NULL CONSTRAINT [df_etl_quarantine_generation] DEFAULT 0;",
    ],
};

const LOADS: Migration = Migration {
    version: 2,
    name: "loads",
    // One column each: there are servers that speak T-SQL and do not know a list here.
    statements: &[
        "ALTER TABLE {schema}.[checkpoint] ADD [generation] bigint NOT NULL CONSTRAINT [df_etl_checkpoint_generation] DEFAULT 0;",
        "ALTER TABLE {schema}.[checkpoint] ADD [phase] nvarchar(10) COLLATE {bin} NOT NULL CONSTRAINT [df_etl_checkpoint_phase] DEFAULT N'idle';",
    ],
};

const FIRST: Migration = Migration {
    version: 1,
    name: "checkpoint, run ledger, quarantine",
    statements: &[
        "CREATE TABLE {schema}.[checkpoint] (
  [pipeline]    nvarchar(250) COLLATE {bin} NOT NULL CONSTRAINT [pk_etl_checkpoint] PRIMARY KEY,
  [position]    nvarchar(max) NULL,
  [definition]  nvarchar(max) NULL,
  [sequence]    bigint NOT NULL,
  [run_id]      uniqueidentifier NULL,
  [lease_until] datetime2(3) NULL,
  [rows_total]  bigint NOT NULL,
  [updated_at]  datetime2(6) NOT NULL
);",
        "CREATE TABLE {schema}.[run] (
  [run_id]           uniqueidentifier NOT NULL CONSTRAINT [pk_etl_run] PRIMARY KEY NONCLUSTERED,
  [pipeline]         nvarchar(250) COLLATE {bin} NOT NULL,
  [started_at]       datetime2(6) NOT NULL,
  [finished_at]      datetime2(6) NULL,
  [outcome]          nvarchar(20) NOT NULL,
  [rows_read]        bigint NOT NULL,
  [rows_written]     bigint NOT NULL,
  [rows_updated]     bigint NOT NULL,
  [rows_deleted]     bigint NOT NULL,
  [rows_unchanged]   bigint NOT NULL,
  [rows_reread]      bigint NOT NULL,
  [rows_quarantined] bigint NOT NULL,
  [source_horizon]   datetime2(6) NULL,
  [error_class]      nvarchar(20) NULL,
  [error_code]       nvarchar(20) NULL
);",
        "CREATE CLUSTERED INDEX [ix_etl_run_pipeline] ON {schema}.[run] ([pipeline], [started_at]);",
        "CREATE TABLE {schema}.[quarantine] (
  [pipeline]     nvarchar(250) COLLATE {bin} NOT NULL,
  [key_hash]     varbinary(32) NOT NULL,
  [column_name]  nvarchar(128) COLLATE {bin} NOT NULL,
  [key_json]     nvarchar(max) NULL,
  [reason]       nvarchar(400) NOT NULL,
  [error_code]   nvarchar(20) NULL,
  [run_id]       uniqueidentifier NOT NULL,
  [first_seen]   datetime2(6) NOT NULL,
  [last_seen]    datetime2(6) NOT NULL,
  [attempts]     int NOT NULL,
  CONSTRAINT [pk_etl_quarantine] PRIMARY KEY ([pipeline], [key_hash], [column_name])
);",
    ],
};

/// Takes the lock that lets one preparation at a time work on a database, for as long as the
/// connection lives.
#[must_use]
pub fn take_lock() -> Statement {
    statement(
        "take the preparation lock",
        format!(
            "SET XACT_ABORT ON;
DECLARE @lock int;
EXEC @lock = sys.sp_getapplock @Resource = N'etl:prepare', @LockMode = N'Exclusive', @LockOwner = N'Session', @LockTimeout = 60000;
IF @lock < 0 THROW {}, N'another preparation did not end', 1;",
            own::LOCK_NOT_GRANTED
        ),
    )
}

/// Everything that a stream needs in its database, in order.
///
/// # Errors
/// `Schema` or `Config` if the target cannot be made as planned.
pub fn statements(state_schema: &str, target: &Target) -> Result<Vec<Statement>> {
    let mut all = vec![take_lock(), create_schema(state_schema)?, version_table(state_schema)?];
    for migration in MIGRATIONS {
        all.push(migrate(state_schema, migration)?);
    }
    all.push(create_schema(&target.table.schema)?);
    all.push(create_target(target)?);
    all.push(checkpoint_row(state_schema, &target.stream)?);
    if let Some(stage) = target.stage(state_schema)? {
        all.push(create_schema(&stage.table.schema)?);
        all.push(create_stage(state_schema, &stage)?);
    }
    Ok(all)
}

fn statement(name: impl Into<String>, text: String) -> Statement {
    Statement { name: name.into(), text }
}

fn create_schema(schema: &str) -> Result<Statement> {
    let create = format!("CREATE SCHEMA {}", name(schema)?);
    Ok(statement(
        format!("create schema {schema}"),
        format!("IF SCHEMA_ID({}) IS NULL EXEC({});", text(schema), text(&create)),
    ))
}

fn version_table(state_schema: &str) -> Result<Statement> {
    let table = format!("{}.[schema_version]", name(state_schema)?);
    Ok(statement(
        "create the table of migrations",
        format!(
            "IF OBJECT_ID({}) IS NULL
CREATE TABLE {table} (
  [version]    int NOT NULL CONSTRAINT [pk_etl_schema_version] PRIMARY KEY,
  [name]       nvarchar(200) NOT NULL,
  [checksum]   nvarchar(64) NOT NULL,
  [applied_at] datetime2(6) NOT NULL
);",
            text(&table)
        ),
    ))
}

/// One transaction: the migration and the note that it was applied, or neither.
fn migrate(state_schema: &str, migration: &Migration) -> Result<Statement> {
    let schema = name(state_schema)?;
    let (version, title) = (migration.version, text(migration.name));
    let checksum = text(&migration.checksum());
    let steps: Vec<_> = migration
        .statements
        .iter()
        .map(|sql| {
            let sql = sql.replace("{schema}", &schema).replace("{bin}", BINARY_COLLATION);
            format!("  EXEC({});", text(&sql))
        })
        .collect();
    Ok(statement(
        format!("migration {version}: {}", migration.name),
        format!(
            "SET XACT_ABORT ON;
BEGIN TRANSACTION;
IF EXISTS (SELECT 1 FROM {schema}.[schema_version] WHERE [version] = {version} AND [checksum] <> {checksum})
  THROW {}, N'this migration was applied with another text', 1;
IF NOT EXISTS (SELECT 1 FROM {schema}.[schema_version] WHERE [version] = {version})
BEGIN
{}
  INSERT INTO {schema}.[schema_version] ([version], [name], [checksum], [applied_at])
  VALUES ({version}, {title}, {checksum}, SYSUTCDATETIME());
END;
COMMIT TRANSACTION;",
            own::MIGRATION_CHANGED,
            steps.join("\n")
        ),
    ))
}

fn create_target(target: &Target) -> Result<Statement> {
    let table = target.table.quoted()?;
    Ok(statement(
        format!("create target {}.{}", target.table.schema, target.table.table),
        format!(
            "IF OBJECT_ID({}) IS NULL\nCREATE TABLE {table} (\n{}\n);",
            text(&table),
            columns(target)?
        ),
    ))
}

/// A stage that is new has nothing of the load that the checkpoint tells of.
fn create_stage(state_schema: &str, stage: &Target) -> Result<Statement> {
    let (table, state) = (stage.table.quoted()?, name(state_schema)?);
    Ok(statement(
        format!("create stage {}.{}", stage.table.schema, stage.table.table),
        format!(
            "IF OBJECT_ID({}) IS NULL
BEGIN
  UPDATE {state}.[checkpoint] SET [phase] = N'idle', [sequence] = [sequence] + 1, [run_id] = NULL, [lease_until] = NULL
   WHERE [pipeline] = {} AND [phase] <> N'idle';
  CREATE TABLE {table} (\n{}\n);
END;",
            text(&table),
            text(&stage.stream),
            columns(stage)?
        ),
    ))
}

fn columns(target: &Target) -> Result<String> {
    let mut lines = Vec::new();
    for column in &target.columns {
        lines.push(format!("  {}", column_definition(column)?));
    }
    if let Some(mark) = &target.mark {
        lines.push(format!("  {} {MARK_TYPE} NULL", name(mark)?));
    }
    if target.mode.is_keyed() {
        lines.push(format!("  {}", primary_key(target)?));
    }
    Ok(lines.join(",\n"))
}

fn column_definition(column: &Column) -> Result<String> {
    let collation = if column.key && column.sql_type.is_text() {
        format!(" COLLATE {}", column.collation)
    } else {
        String::new()
    };
    let null = if column.nullable { "NULL" } else { "NOT NULL" };
    Ok(format!("{} {}{collation} {null}", name(&column.name)?, column.sql_type))
}

fn primary_key(target: &Target) -> Result<String> {
    let kind =
        if target.key_bytes()? <= MAX_CLUSTERED_BYTES { "CLUSTERED" } else { "NONCLUSTERED" };
    let constraint = format!("pk_{}_{}", target.table.schema, target.table.table);
    let columns =
        target.key().map(|column| name(&column.name)).collect::<Result<Vec<_>>>()?.join(", ");
    let constraint = name(&fitting(&constraint))?;
    Ok(format!("CONSTRAINT {constraint} PRIMARY KEY {kind} ({columns})"))
}

/// A name that may be too long: what is cut off stands there as a hash, so that two stay two.
fn fitting(long: &str) -> String {
    if long.encode_utf16().count() <= MAX_NAME_UNITS {
        return long.to_owned();
    }
    // A character has at most two units.
    let kept: String = long.chars().take(50).collect();
    let hash = Sha256::digest(long.as_bytes());
    let hash: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{kept}_{hash}")
}

fn checkpoint_row(state_schema: &str, stream: &str) -> Result<Statement> {
    let table = format!("{}.[checkpoint]", name(state_schema)?);
    let stream_text = text(stream);
    Ok(statement(
        format!("create the checkpoint of {stream}"),
        format!(
            "INSERT INTO {table} ([pipeline], [position], [definition], [sequence], [run_id], [lease_until], [rows_total], [updated_at])
SELECT {stream_text}, NULL, NULL, 0, NULL, NULL, 0, SYSUTCDATETIME()
 WHERE NOT EXISTS (SELECT 1 FROM {table} WHERE [pipeline] = {stream_text});"
        ),
    ))
}

/// What the job may do, and nothing else: one statement per right.
///
/// # Errors
/// `Config` for bad names.
pub fn grants(state_schema: &str, target: &Target, role: &str) -> Result<Vec<Statement>> {
    let (schema, role) = (name(state_schema)?, name(role)?);
    let rights = match (target.mode.is_keyed(), target.deletes) {
        (false, _) => "SELECT, INSERT",
        (true, false) => "SELECT, INSERT, UPDATE",
        (true, true) => "SELECT, INSERT, UPDATE, DELETE",
    };
    let mut all = vec![
        grant(rights, &target.table.quoted()?, &role),
        grant("SELECT, UPDATE", &format!("{schema}.[checkpoint]"), &role),
        grant("SELECT, INSERT, UPDATE", &format!("{schema}.[run]"), &role),
        grant("SELECT, INSERT, UPDATE, DELETE", &format!("{schema}.[quarantine]"), &role),
        grant("SELECT", &format!("{schema}.[schema_version]"), &role),
    ];
    if let Some(stage) = target.stage(state_schema)? {
        all.push(grant("SELECT, INSERT, UPDATE, DELETE", &stage.table.quoted()?, &role));
    }
    Ok(all)
}

/// What may be done by who serves metrics: read the state tables, and no target.
///
/// # Errors
/// `Config` for bad names.
pub fn reader_grants(state_schema: &str, role: &str) -> Result<Vec<Statement>> {
    let (schema, role) = (name(state_schema)?, name(role)?);
    let tables = ["checkpoint", "run", "quarantine", "schema_version"];
    Ok(tables.map(|table| grant("SELECT", &format!("{schema}.[{table}]"), &role)).to_vec())
}

fn grant(rights: &str, object: &str, role: &str) -> Statement {
    statement(
        format!("grant {rights} on {object} to {role}"),
        format!("GRANT {rights} ON OBJECT::{object} TO {role};"),
    )
}

/// The rights that [`grants`] gives, as (object, right), for `check`.
///
/// # Errors
/// `Config` for bad names.
pub fn rights(state_schema: &str, target: &Target) -> Result<Vec<(String, &'static str)>> {
    let schema = name(state_schema)?;
    let mut all: Vec<(String, &'static str)> = Vec::new();
    let stage = target.stage(state_schema)?;
    for target in std::iter::once(target).chain(stage.as_deref()) {
        let table = target.table.quoted()?;
        all.push((table.clone(), "SELECT"));
        all.push((table.clone(), "INSERT"));
        if target.mode.is_keyed() {
            all.push((table.clone(), "UPDATE"));
        }
        if target.mode.is_keyed() && target.deletes {
            all.push((table, "DELETE"));
        }
    }
    for (object, needed) in [
        ("checkpoint", &["SELECT", "UPDATE"][..]),
        ("run", &["SELECT", "INSERT", "UPDATE"]),
        ("quarantine", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
        ("schema_version", &["SELECT"]),
    ] {
        all.extend(needed.iter().map(|right| (format!("{schema}.[{object}]"), *right)));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_and_stays_its_own() {
        let long = |last: char| format!("pk_{}{last}", "🚚".repeat(127));
        assert_eq!(fitting("pk_dbo_orders"), "pk_dbo_orders");
        assert_ne!(fitting(&long('a')), fitting(&long('b')));
        assert!(name(&fitting(&long('a'))).is_ok());
    }
}
