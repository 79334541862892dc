//! The DDL of a pipeline's state tables and target: one transaction, safe to run twice and to run
//! at once.

use etl_core::Result;
use etl_core::sink::Statement;

use super::quote::{TableName, name, text};
use super::target::{Column, Target};
use crate::migration::Migration;

/// In the statements `{schema}` stands for the state schema's quoted name.
const MIGRATIONS: &[Migration] = &[FIRST, LOADS, ASIDE_BY_LOAD];

/// The version of state tables that a run needs.
pub const VERSION: i32 = ASIDE_BY_LOAD.version;

/// An entry of the quarantine says which load has put it there.
const ASIDE_BY_LOAD: Migration = Migration {
    version: 3,
    name: "the load of an entry of the quarantine",
    statements: &["ALTER TABLE {schema}.quarantine ADD generation bigint NOT NULL DEFAULT 0"],
};

const LOADS: Migration = Migration {
    version: 2,
    name: "loads",
    statements: &["ALTER TABLE {schema}.checkpoint ADD generation bigint NOT NULL DEFAULT 0,
  ADD phase text NOT NULL DEFAULT 'idle'"],
};

const FIRST: Migration = Migration {
    version: 1,
    name: "checkpoint, run ledger, quarantine",
    statements: &[
        "CREATE TABLE {schema}.checkpoint (
  pipeline    text COLLATE pg_catalog.\"C\" NOT NULL PRIMARY KEY,
  position    text,
  definition  text,
  sequence    bigint NOT NULL,
  run_id      uuid,
  lease_until timestamptz,
  rows_total  bigint NOT NULL,
  updated_at  timestamptz NOT NULL
)",
        "CREATE TABLE {schema}.run (
  run_id           uuid NOT NULL PRIMARY KEY,
  pipeline         text COLLATE pg_catalog.\"C\" NOT NULL,
  started_at       timestamptz NOT NULL,
  finished_at      timestamptz,
  outcome          text NOT NULL,
  rows_read        bigint NOT NULL,
  rows_written     bigint NOT NULL,
  rows_updated     bigint NOT NULL,
  rows_deleted     bigint NOT NULL,
  rows_unchanged   bigint NOT NULL,
  rows_reread      bigint NOT NULL,
  rows_quarantined bigint NOT NULL,
  source_horizon   timestamptz,
  error_class      text,
  error_code       text
)",
        "CREATE INDEX ON {schema}.run (pipeline, started_at)",
        "CREATE TABLE {schema}.quarantine (
  pipeline    text COLLATE pg_catalog.\"C\" NOT NULL,
  key_hash    bytea NOT NULL,
  column_name text COLLATE pg_catalog.\"C\" NOT NULL,
  key_json    text,
  reason      text NOT NULL,
  error_code  text,
  run_id      uuid NOT NULL,
  first_seen  timestamptz NOT NULL,
  last_seen   timestamptz NOT NULL,
  attempts    integer NOT NULL,
  PRIMARY KEY (pipeline, key_hash, column_name)
)",
    ],
};

/// Everything that a stream needs in its database, in order; with `role`, also the rights of the
/// login that runs the job.
///
/// # Errors
/// `Schema` or `Config` if the target cannot be made as planned.
pub fn statements(
    state_schema: &str,
    target: &Target,
    role: Option<&str>,
) -> Result<Vec<Statement>> {
    let mut all = vec![begin(), create_schema(state_schema)?, version_table(state_schema)?];
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
    if let Some(role) = role {
        all.extend(grants(state_schema, target, role)?);
    }
    all.push(statement("commit", "COMMIT;".to_owned()));
    Ok(all)
}

fn statement(name: impl Into<String>, text: String) -> Statement {
    Statement { name: name.into(), text }
}

/// Begins the transaction and takes the lock that lets one preparation at a time work on a
/// database, until the transaction ends.
fn begin() -> Statement {
    statement(
        "begin, and take the preparation lock",
        format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL lock_timeout = '60s';
SELECT pg_advisory_xact_lock({PREPARATION});"
        ),
    )
}

/// The letters `etl`, as a number.
const PREPARATION: u32 = 0x0065_746c;

/// Runs `body` in PL/pgSQL: a statement that looks before it does something. It stands between two
/// tags that no name in it holds.
fn look_first(body: &str) -> String {
    let mut tag = "$etl$".to_owned();
    while body.contains(&tag) {
        tag = tag.replace("etl", "etl_");
    }
    format!("DO {tag}\nBEGIN\n{body}\nEND\n{tag};")
}

// IF NOT EXISTS would ask for the right to create even where nothing is created.
fn create_schema(schema: &str) -> Result<Statement> {
    let (quoted, literal) = (name(schema)?, text(schema)?);
    let text = look_first(&format!(
        "  IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = {literal}) THEN
    CREATE SCHEMA {quoted};
  END IF;"
    ));
    Ok(statement(format!("create schema {schema}"), text))
}

fn create_table(table: &TableName, body: &str) -> Result<String> {
    let (schema, relation) = (text(&table.schema)?, text(&table.table)?);
    Ok(look_first(&format!(
        "  IF NOT EXISTS (SELECT FROM pg_catalog.pg_class c
                   JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname = {schema} AND c.relname = {relation}) THEN
    CREATE TABLE {} (\n{body}\n    );
  END IF;",
        table.quoted()?
    )))
}

fn version_table(state_schema: &str) -> Result<Statement> {
    let table = TableName { schema: state_schema.to_owned(), table: "schema_version".to_owned() };
    let columns = "      version    integer NOT NULL PRIMARY KEY,
      name       text NOT NULL,
      checksum   text NOT NULL,
      applied_at timestamptz NOT NULL";
    Ok(statement("create the table of migrations", create_table(&table, columns)?))
}

fn migrate(state_schema: &str, migration: &Migration) -> Result<Statement> {
    let schema = name(state_schema)?;
    let (version, title) = (migration.version, text(migration.name)?);
    let checksum = text(&migration.checksum())?;
    let steps: Vec<_> = migration
        .statements
        .iter()
        .map(|sql| format!("    {};", sql.replace("{schema}", &schema).replace('\n', "\n    ")))
        .collect();
    let body = format!(
        "  IF EXISTS (SELECT FROM {schema}.schema_version WHERE version = {version} AND checksum <> {checksum}) THEN
    RAISE EXCEPTION 'migration {version} was applied with another text' USING ERRCODE = '{MIGRATION_CHANGED}';
  END IF;
  IF NOT EXISTS (SELECT FROM {schema}.schema_version WHERE version = {version}) THEN
{}
    INSERT INTO {schema}.schema_version (version, name, checksum, applied_at)
    VALUES ({version}, {title}, {checksum}, clock_timestamp());
  END IF;",
        steps.join("\n")
    );
    let named = format!("migration {version}: {}", migration.name);
    Ok(statement(named, look_first(&body)))
}

/// A SQLSTATE of ours: a migration was applied with another text.
pub const MIGRATION_CHANGED: &str = "ETL01";

/// A stage that is new has nothing of the load that the checkpoint tells of.
fn create_stage(state_schema: &str, stage: &Target) -> Result<Statement> {
    let (schema, relation) = (text(&stage.table.schema)?, text(&stage.table.table)?);
    let (state, stream) = (name(state_schema)?, text(&stage.stream)?);
    let create = look_first(&format!(
        "  IF NOT EXISTS (SELECT FROM pg_catalog.pg_class c
                   JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname = {schema} AND c.relname = {relation}) THEN
    UPDATE {state}.checkpoint SET phase = 'idle', sequence = sequence + 1, run_id = NULL, lease_until = NULL
     WHERE pipeline = {stream} AND phase <> 'idle';
    CREATE TABLE {} (\n{}\n    );
  END IF;",
        stage.table.quoted()?,
        columns(stage)?
    ));
    Ok(statement(format!("create stage {}", stage.table), create))
}

fn create_target(target: &Target) -> Result<Statement> {
    let table = create_table(&target.table, &columns(target)?)?;
    Ok(statement(format!("create target {}", target.table), table))
}

fn columns(target: &Target) -> Result<String> {
    let mut lines = Vec::new();
    for column in &target.columns {
        let null = if column.nullable { "" } else { " NOT NULL" };
        lines.push(format!("      {} {}{null}", name(&column.name)?, column.declared));
    }
    if let Some(mark) = &target.mark {
        lines.push(format!("      {} timestamptz", name(mark)?));
    }
    if target.mode.is_keyed() {
        lines.push(format!("      PRIMARY KEY ({})", key_list(target)?));
    }
    Ok(lines.join(",\n"))
}

/// The names of the key's columns, quoted.
///
/// # Errors
/// `Config` for a bad name.
pub fn key_list(target: &Target) -> Result<String> {
    let quoted = |column: &Column| name(&column.name);
    Ok(target.key().map(quoted).collect::<Result<Vec<_>>>()?.join(", "))
}

fn checkpoint_row(state_schema: &str, stream: &str) -> Result<Statement> {
    let (schema, stream_text) = (name(state_schema)?, text(stream)?);
    Ok(statement(
        format!("create the checkpoint of {stream}"),
        format!(
            "INSERT INTO {schema}.checkpoint (pipeline, sequence, rows_total, updated_at)
VALUES ({stream_text}, 0, 0, clock_timestamp()) ON CONFLICT (pipeline) DO NOTHING;"
        ),
    ))
}

/// What the job may do, and nothing else: one statement per right.
///
/// # Errors
/// `Config` for bad names.
fn grants(state_schema: &str, target: &Target, role: &str) -> Result<Vec<Statement>> {
    let (schema, quoted, literal) = (name(state_schema)?, name(role)?, text(role)?);
    let grant = |rights: &str, object: &str| {
        statement(
            format!("grant {rights} on {object}"),
            format!("GRANT {rights} ON {object} TO {quoted};"),
        )
    };
    let mut all = vec![statement(
        format!("grant TEMPORARY on the database to {role}"),
        // By default everybody has it, and only the database's owner could grant it.
        look_first(&format!(
            "  IF NOT has_database_privilege({literal}, current_database(), 'TEMPORARY') THEN
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO %I', current_database(), {literal});
  END IF;"
        )),
    )];
    let stage = target.stage(state_schema)?;
    let stage = stage.map(|stage| name(&stage.table.schema)).transpose()?;
    for schema in [&schema, &name(&target.table.schema)?].into_iter().chain(&stage) {
        all.push(grant("USAGE", &format!("SCHEMA {schema}")));
    }
    for (table, rights) in tables(state_schema, target)? {
        all.push(grant(&rights.join(", "), &table.quoted()?));
    }
    Ok(all)
}

/// The tables that a job uses, and what it does with each.
///
/// # Errors
/// `Config` if the state schema's name leaves no room for a stage's.
pub fn tables(state_schema: &str, target: &Target) -> Result<Vec<Used>> {
    let rights: &[&str] = match (target.mode.is_keyed(), target.deletes) {
        (false, _) => &["SELECT", "INSERT"],
        (true, false) => &["SELECT", "INSERT", "UPDATE"],
        (true, true) => &["SELECT", "INSERT", "UPDATE", "DELETE"],
    };
    let state = |table: &str| TableName { schema: state_schema.into(), table: table.into() };
    let mut all: Vec<Used> = vec![
        (target.table.clone(), rights),
        (state("checkpoint"), &["SELECT", "UPDATE"]),
        (state("run"), &["SELECT", "INSERT", "UPDATE"]),
        (state("quarantine"), &["SELECT", "INSERT", "UPDATE", "DELETE"]),
        (state("schema_version"), &["SELECT"]),
    ];
    if let Some(stage) = target.stage(state_schema)? {
        all.push((stage.table, &["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"]));
    }
    Ok(all)
}

/// A table and the rights that are needed on it.
pub type Used = (TableName, &'static [&'static str]);
