//! The state tables: one change after another, each applied once and noted with its checksum.

use etl_core::error::{Error, Result};
use etl_core::sink::Statement;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Executor};

use crate::migration::Migration;
use crate::sqlite::table::{self, get};
use crate::sqlite::{error, quote};

const VERSIONS: &str = "\
CREATE TABLE IF NOT EXISTS etl_schema_version (
  version    INTEGER NOT NULL PRIMARY KEY,
  name       TEXT NOT NULL,
  checksum   TEXT NOT NULL,
  applied_at TEXT NOT NULL
)";

/// The first was applied, before versions were noted, by whoever has its tables.
const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "checkpoint, run ledger", statements: &[CHECKPOINT, RUN] },
    Migration {
        version: 2,
        name: "loads",
        statements: &[
            "ALTER TABLE etl_checkpoint ADD COLUMN generation INTEGER NOT NULL DEFAULT 0",
            "ALTER TABLE etl_checkpoint ADD COLUMN phase TEXT NOT NULL DEFAULT 'idle'",
        ],
    },
    Migration { version: 3, name: "quarantine", statements: &[QUARANTINE] },
    Migration {
        version: 4,
        name: "the load of an entry of the quarantine",
        statements: &[
            "ALTER TABLE etl_quarantine ADD COLUMN generation INTEGER NOT NULL DEFAULT 0",
        ],
    },
];

/// Where each pipeline's stream stands; compare-and-set on `sequence` and `run_id`.
///
/// `busy_since` is when runs began to find the pipeline busy; a claim empties it.
const CHECKPOINT: &str = "\
CREATE TABLE IF NOT EXISTS etl_checkpoint (
  name        TEXT NOT NULL PRIMARY KEY,
  position    TEXT,
  definition  TEXT,
  sequence    INTEGER NOT NULL,
  run_id      TEXT,
  lease_until TEXT,
  busy_since  TEXT,
  rows_total  INTEGER NOT NULL,
  updated_at  TEXT NOT NULL
)";

/// One row per run, in the order in which they were claimed or ended. `rows_written` counts inserts
/// and updates.
const RUN: &str = "\
CREATE TABLE IF NOT EXISTS etl_run (
  id               INTEGER PRIMARY KEY,
  name             TEXT NOT NULL,
  run_id           TEXT NOT NULL,
  started_at       TEXT NOT NULL,
  finished_at      TEXT,
  outcome          TEXT NOT NULL,
  rows_read        INTEGER NOT NULL DEFAULT 0,
  rows_written     INTEGER NOT NULL DEFAULT 0,
  rows_updated     INTEGER NOT NULL DEFAULT 0,
  rows_deleted     INTEGER NOT NULL DEFAULT 0,
  rows_unchanged   INTEGER NOT NULL DEFAULT 0,
  rows_reread      INTEGER NOT NULL DEFAULT 0,
  rows_quarantined INTEGER NOT NULL DEFAULT 0,
  batches          INTEGER NOT NULL DEFAULT 0,
  source_horizon   TEXT,
  error_class      TEXT,
  error_code       TEXT,
  UNIQUE (name, run_id)
)";

/// Rows that were put aside, one entry for each key.
const QUARANTINE: &str = "\
CREATE TABLE etl_quarantine (
  name        TEXT NOT NULL,
  key_json    TEXT NOT NULL,
  column_name TEXT,
  reason      TEXT NOT NULL,
  error_code  TEXT,
  run_id      TEXT NOT NULL,
  first_seen  TEXT NOT NULL,
  last_seen   TEXT NOT NULL,
  attempts    INTEGER NOT NULL,
  PRIMARY KEY (name, key_json)
) WITHOUT ROWID";

/// What an empty file is given, in order.
#[must_use]
pub fn statements() -> Vec<Statement> {
    let mut all = vec![Statement {
        name: "state table etl_schema_version".to_owned(),
        text: VERSIONS.to_owned(),
    }];
    for migration in MIGRATIONS {
        let named = format!("migration {}: {}", migration.version, migration.name);
        let steps = migration.statements.iter().map(|text| (*text).to_owned());
        let steps = steps.chain([note(migration)]);
        all.extend(steps.map(|text| Statement { name: named.clone(), text }));
    }
    all
}

fn note(migration: &Migration) -> String {
    format!(
        "INSERT INTO etl_schema_version (version, name, checksum, applied_at)\nVALUES ({}, {}, {}, \
         strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))",
        migration.version,
        quote::text(migration.name),
        quote::text(&migration.checksum())
    )
}

/// Brings the state tables to this version, in the transaction that is open: dropped half way, it goes
/// with that.
///
/// # Errors
/// `Schema` if a migration was applied with another text; else as the file says.
pub async fn apply(c: &mut SqliteConnection) -> Result<()> {
    run(c, VERSIONS.to_owned(), "creating the table of migrations").await?;
    for migration in MIGRATIONS {
        let doing = format!("migration {} of the state tables", migration.version);
        match applied(c, migration).await? {
            Some(checksum) if checksum == migration.checksum() => {}
            Some(_) => {
                return Err(Error::schema(format!("{doing} was applied with another text")));
            }
            None => {
                for statement in migration.statements {
                    run(c, (*statement).to_owned(), &doing).await?;
                }
                run(c, note(migration), &doing).await?;
            }
        }
    }
    Ok(())
}

/// Whether the state tables are of this version, or of a later one. Dropped half way, it has changed
/// nothing.
///
/// # Errors
/// As the file says.
pub async fn are_applied(c: &mut SqliteConnection) -> Result<bool> {
    for name in ["etl_checkpoint", "etl_run", "etl_schema_version"] {
        if table::look_up(c, name).await?.is_none() {
            return Ok(false);
        }
    }
    for migration in MIGRATIONS {
        if applied(c, migration).await?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn applied(c: &mut SqliteConnection, migration: &Migration) -> Result<Option<String>> {
    let doing = "reading the applied migrations";
    let row = sqlx::query("SELECT checksum FROM etl_schema_version WHERE version = ?")
        .bind(migration.version)
        .fetch_optional(c)
        .await
        .map_err(|cause| error::classify(cause, doing))?;
    row.map(|row| get(&row, 0, doing)).transpose()
}

async fn run(c: &mut SqliteConnection, text: String, doing: &str) -> Result<()> {
    let done = c.execute(AssertSqlSafe(text)).await;
    done.map(drop).map_err(|cause| error::classify(cause, doing))
}
