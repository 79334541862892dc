//! A table `things` at a source, a prepared target that refuses some of its rows, and a pipeline file
//! between them, for the real program.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::binary::{self, Said};
use crate::support::side::Side;

/// What the target refuses, until [`World::widen`].
pub(super) const BAD: &str = "Kn4rieVogel77";

pub(super) struct World {
    pub(super) source: Side,
    pub(super) target: Side,
    folder: TempDir,
    /// The pipeline file's content; change it and [`World::write`] it.
    pub(super) file: Value,
}

/// The name of a table in the words of a kind of database.
pub(super) fn named(kind: &str, table: &str) -> String {
    match kind {
        "mssql" => format!("dbo.{table}"),
        "postgres" => format!("public.{table}"),
        _ => table.to_owned(),
    }
}

/// A table with a cursor that the database sets; `columns` come before it, constraints `behind` it.
pub(super) fn create(kind: &str, table: &str, columns: &str, behind: &str) -> String {
    let name = named(kind, table);
    match kind {
        "mssql" => format!(
            "CREATE TABLE {name} ({columns}, rv rowversion NOT NULL{behind});
             CREATE UNIQUE INDEX ix_rv_{table} ON {name} (rv);"
        ),
        "postgres" => format!(
            "CREATE TABLE {name} ({columns}, updated_at timestamptz NOT NULL DEFAULT now(){behind});
             CREATE INDEX ON {name} (updated_at);
             CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN NEW.updated_at := now(); RETURN NEW; END $$;
             CREATE TRIGGER touch BEFORE UPDATE ON {name} FOR EACH ROW EXECUTE FUNCTION touch();"
        ),
        _ => format!(
            "CREATE TABLE {table} ({columns}, updated_at TIMESTAMPTZ_TEXT NOT NULL
               DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')){behind});
             CREATE INDEX {table}_updated_at ON {table} (updated_at);
             CREATE TRIGGER {table}_touched AFTER UPDATE ON {table} FOR EACH ROW BEGIN
               UPDATE {table} SET updated_at = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')
                WHERE rowid = NEW.rowid;
             END;"
        ),
    }
}

/// An insert of values for `columns` that is the `number`th, and was long ago.
pub(super) fn insert(kind: &str, table: &str, columns: &str, values: &str, number: i64) -> String {
    let name = named(kind, table);
    match kind {
        "mssql" => format!("INSERT INTO {name} ({columns}) VALUES ({values});"),
        "postgres" => format!(
            "INSERT INTO {name} ({columns}, updated_at)
             VALUES ({values}, timestamptz '2024-06-01Z' + {number} * interval '1 second');"
        ),
        _ => format!(
            "INSERT INTO {table} ({columns}, updated_at) VALUES ({values},
               strftime('%Y-%m-%dT%H:%M:%f000Z', '2024-06-01', '+{number} seconds'));"
        ),
    }
}

/// Makes a target refuse rows whose note is [`BAD`].
pub(super) fn narrow(kind: &str, table: &str) -> String {
    let name = named(kind, table);
    match kind {
        "mssql" => {
            format!("ALTER TABLE {name} ADD CONSTRAINT no_bad_{table} CHECK (note <> N'{BAD}');")
        }
        "postgres" => {
            format!("ALTER TABLE {name} ADD CONSTRAINT no_bad_{table} CHECK (note <> '{BAD}');")
        }
        _ => ["INSERT", "UPDATE"]
            .map(|what| {
                format!(
                    "CREATE TRIGGER no_bad_{table}_{what} BEFORE {what} ON {table}
                       WHEN NEW.note = '{BAD}' BEGIN SELECT RAISE(ABORT, 'no'); END;"
                )
            })
            .concat(),
    }
}

/// And takes that back.
pub(super) fn widen(kind: &str, table: &str) -> String {
    let name = named(kind, table);
    match kind {
        "sqlite" => {
            ["INSERT", "UPDATE"].map(|what| format!("DROP TRIGGER no_bad_{table}_{what};")).concat()
        }
        _ => format!("ALTER TABLE {name} DROP CONSTRAINT no_bad_{table};"),
    }
}

impl World {
    /// Two empty databases and a file without streams.
    pub(super) async fn empty(from: &str, to: &str) -> Self {
        let (source, target) = (Side::of(from).await, Side::of(to).await);
        let file = json!({
            "version": 1,
            "pipeline": "aside",
            "source": source.section(),
            "target": target.section(),
            "allow_inline_secrets": true,
            "quarantine": { "max_rows": 100 },
            "lease": { "ttl": "3s" },
            "streams": {},
        });
        Self { source, target, folder: TempDir::new().unwrap(), file }
    }

    /// A stream of one more table.
    pub(super) fn stream(&mut self, table: &str, config: Value) {
        let (from, to) = (self.source.kind(), self.target.kind());
        let cursor = if from == "mssql" { "rv" } else { "updated_at" };
        let mut stream = json!({
            "object": named(to, table),
            "primary_key": ["id"],
            "cursor": { "column": cursor, "guard": "1s" },
            "select": ["id", "note", cursor],
        });
        stream.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
        self.file["streams"][named(from, table)] = stream;
    }

    /// `things` with rows 1 to 20, of which 5, 12 and 17 are bad; the target is prepared and refuses
    /// them.
    pub(super) async fn things(from: &str, to: &str, config: Value) -> Self {
        let mut world = Self::empty(from, to).await;
        let (id, note) = match from {
            "mssql" => ("bigint NOT NULL PRIMARY KEY", "nvarchar(40)"),
            "postgres" => ("bigint PRIMARY KEY", "varchar(40)"),
            _ => ("INTEGER PRIMARY KEY", "VARCHAR(40)"),
        };
        let mut sql = create(from, "things", &format!("id {id}, note {note}"), "");
        for number in 1..=20 {
            let note = if [5, 12, 17].contains(&number) { BAD } else { "good" };
            let values = format!("{number}, '{note}'");
            sql += &insert(from, "things", "id, note", &values, number);
        }
        world.source.execute(&sql).await;
        if let Side::Mssql(database) = &world.source {
            database.snapshots().await.unwrap();
        }
        world.stream("things", config);
        world.write();
        world.job(&["prepare"], &[]).expect(0);
        world.target.execute(&narrow(to, "things")).await;
        world
    }

    /// The target takes every row from now on.
    pub(super) async fn widen(&self) {
        self.target.execute(&widen(self.target.kind(), "things")).await;
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("aside.yaml")
    }

    /// The pipeline file, written anew from what [`World::file`] holds.
    pub(super) fn write(&self) {
        std::fs::write(self.path(), self.file.to_string()).unwrap();
    }

    /// `etl-job COMMAND… FILE …`, not yet started.
    pub(super) fn command(&self, command: &[&str], more: &[&str]) -> Command {
        let file = self.path().to_string_lossy().into_owned();
        let arguments: Vec<&str> =
            command.iter().copied().chain([file.as_str()]).chain(more.iter().copied()).collect();
        binary::command(&arguments)
    }

    pub(super) fn job(&self, command: &[&str], more: &[&str]) -> Said {
        Said::of(&self.command(command, more).output().unwrap())
    }

    /// A run; its summary.
    pub(super) fn run(&self) -> Value {
        self.job(&["run"], &["--json"]).expect(0).last()
    }

    /// A replay; its summary.
    pub(super) fn replay(&self) -> Value {
        self.job(&["replay"], &["--json"]).expect(0).last()
    }

    /// What lies in the quarantine: attempts by key.
    pub(super) fn lying(&self) -> BTreeMap<String, u64> {
        let said = self.job(&["replay", "--list"], &["--json"]).expect(0);
        let entries = said.objects().into_iter();
        entries.map(|one| (one["key"].to_string(), one["attempts"].as_u64().unwrap())).collect()
    }

    /// Key and note of every row of a table of a side, in order.
    pub(super) async fn notes(side: &Side, table: &str, filter: &str) -> Vec<(i64, String)> {
        let cast = match side.kind() {
            "mssql" => "varchar(20)",
            _ => "text",
        };
        let name = named(side.kind(), table);
        let sql = format!("SELECT CAST(id AS {cast}), note FROM {name} WHERE {filter}");
        let rows = side.cells(&sql).await.into_iter();
        let read = |row: Vec<Option<String>>| {
            (row[0].as_deref().unwrap().parse().unwrap(), row[1].clone().unwrap())
        };
        let mut rows: Vec<(i64, String)> = rows.map(read).collect();
        rows.sort();
        rows
    }

    /// Both sides of `things` are equal.
    pub(super) async fn assert_equal(&self, what: &str) {
        let wanted = Self::notes(&self.source, "things", "1 = 1").await;
        assert_eq!(Self::notes(&self.target, "things", "1 = 1").await, wanted, "{what}");
    }
}

/// Keys of one whole number, with how often they were put aside.
pub(super) fn keys<const N: usize>(entries: [(i64, u64); N]) -> BTreeMap<String, u64> {
    entries.into_iter().map(|(id, attempts)| (format!("[\"{id}\"]"), attempts)).collect()
}
