//! Tables `t01`, `t02`, … in Postgres, a prepared target, and a pipeline file between them.

use std::path::PathBuf;
use std::process::Command;

use etl_tests::{mssql, postgres};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use tempfile::TempDir;

use crate::support::binary::{self, Running, Said};

/// Key and text of each row, in the order of the key.
pub(super) type Rows = Vec<(i64, String)>;

enum Target {
    Sqlite,
    Mssql(Box<mssql::Database>),
}

pub(super) struct World {
    pub(super) source: postgres::Database,
    target: Target,
    folder: TempDir,
    /// The job's URL of a database in SQL Server; the owner's unless it is another.
    pub(super) url: Option<String>,
    /// The pipeline file's content; change it and [`World::write`] it.
    pub(super) file: Value,
}

/// The name of a table.
pub(super) fn table(number: usize) -> String {
    format!("t{number:02}")
}

/// A table with a cursor that Postgres sets, and `rows` rows.
pub(super) fn create(table: &str, rows: usize) -> String {
    format!(
        "CREATE TABLE {table} (id bigint PRIMARY KEY, note text,
           updated_at timestamptz NOT NULL DEFAULT now());
         CREATE INDEX ON {table} (updated_at);
         INSERT INTO {table} SELECT g, 'note ' || g || ' of {table}',
           timestamptz '2024-06-01' + g * interval '1 second' FROM generate_series(1, {rows}) AS g;
         CREATE TRIGGER touch BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION touch();"
    )
}

const TOUCH: &str = "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
   $$ BEGIN NEW.updated_at := now(); RETURN NEW; END $$;";

impl World {
    /// A world with a file in SQLite as its target.
    pub(super) async fn sqlite(tables: usize, rows: usize) -> Self {
        Self::with(Target::Sqlite, tables, rows).await
    }

    /// A world with a database in SQL Server as its target.
    pub(super) async fn mssql(tables: usize, rows: usize) -> Self {
        Self::with(Target::Mssql(Box::new(mssql::Database::new().await)), tables, rows).await
    }

    async fn with(target: Target, tables: usize, rows: usize) -> Self {
        let source = postgres::Database::new().await;
        let all: String = (1..=tables).map(|number| create(&table(number), rows)).collect();
        source.execute(&format!("{TOUCH} {all}")).await;
        let folder = TempDir::new().unwrap();
        let section = match &target {
            Target::Sqlite => json!({ "type": "sqlite", "path": folder.path().join("target.db") }),
            Target::Mssql(database) => {
                json!({ "type": "mssql", "url": "${env:MSSQL_URL}", "tls": database.section()["tls"] })
            }
        };
        let streams: serde_json::Map<_, _> = (1..=tables)
            .map(|number| (format!("public.{}", table(number)), json!({ "object": table(number) })))
            .collect();
        let file = json!({
            "version": 1,
            "pipeline": "many",
            "source": { "type": "postgres", "url": "${env:PG_URL}", "tls": "disable" },
            "target": section,
            "defaults": {
                "primary_key": ["id"],
                "cursor": { "column": "updated_at" },
                "select": ["id", "note", "updated_at"],
            },
            "streams": streams,
            "lease": { "ttl": "3s" },
        });
        let world = Self { source, target, folder, url: None, file };
        world.write();
        world
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The pipeline file, written anew from what [`World::file`] holds.
    pub(super) fn write(&self) {
        std::fs::write(self.path("many.yaml"), self.file.to_string()).unwrap();
    }

    /// `etl-job COMMAND… FILE …`, not yet started.
    pub(super) fn command(&self, command: &[&str], more: &[&str]) -> Command {
        let file = self.path("many.yaml").to_string_lossy().into_owned();
        let arguments: Vec<&str> =
            command.iter().copied().chain([file.as_str()]).chain(more.iter().copied()).collect();
        let mut command = binary::command(&arguments);
        command.env("PG_URL", self.source.url());
        self.with_target(&mut command);
        command
    }

    fn with_target(&self, command: &mut Command) {
        if let Target::Mssql(database) = &self.target {
            let owner = database.section()["url"].as_str().unwrap().to_owned();
            command.env("MSSQL_URL", self.url.as_ref().unwrap_or(&owner));
            command.env("MSSQL_ADMIN_URL", owner);
        }
    }

    /// The job gets a login of its own, which `mssql-init` makes.
    pub(super) fn with_login(&mut self, login: &str) {
        if let Target::Mssql(database) = &self.target {
            self.url = Some(database.url(login, "Job-pass-1x"));
        }
    }

    /// `mssql-init`, to its end.
    pub(super) fn init(&self) -> Said {
        let mut command = Command::new(binary::mssql_init());
        command.arg(self.path("many.yaml")).args(["--wait", "60s"]);
        command.env("PG_URL", self.source.url()).env_remove("RUST_LOG");
        self.with_target(&mut command);
        Said::of(&command.output().unwrap())
    }

    pub(super) fn job(&self, command: &[&str], more: &[&str]) -> Said {
        Said::of(&self.command(command, more).output().unwrap())
    }

    /// Prepares the target for every stream.
    pub(super) fn prepare(&self) {
        self.job(&["prepare"], &[]).expect(0);
    }

    pub(super) fn run(&self, more: &[&str]) -> Said {
        let more: Vec<&str> = ["--json"].into_iter().chain(more.iter().copied()).collect();
        self.job(&["run"], &more)
    }

    /// A run that goes on while a test looks at it.
    pub(super) fn start(&self) -> Running {
        let mut command = self.command(&["run"], &["--json"]);
        command.env("RUST_LOG", "debug");
        Running::start(command)
    }

    /// What a table holds at the source.
    pub(super) async fn wanted(&self, table: &str) -> Rows {
        let sql = format!("SELECT id, note FROM {table} ORDER BY id");
        let rows = sqlx::query(AssertSqlSafe(sql))
            .fetch_all(&mut self.source.connect().await)
            .await
            .unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// What it holds in the target.
    pub(super) async fn found(&self, table: &str) -> Rows {
        match &self.target {
            Target::Sqlite => {
                let sql = format!("SELECT id, note FROM {table} ORDER BY id");
                let options = SqliteConnectOptions::new().filename(self.path("target.db"));
                let mut connection = options.connect().await.unwrap();
                let rows =
                    sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap();
                rows.iter().map(|row| (row.get(0), row.get(1))).collect()
            }
            Target::Mssql(database) => {
                let sql = format!("SELECT [id], [note] FROM [dbo].[{table}] ORDER BY [id];");
                let rows = database.rows(&sql).await;
                let row = |row: Vec<Option<String>>| {
                    let mut cells = row.into_iter().map(Option::unwrap);
                    (cells.next().unwrap().parse().unwrap(), cells.next().unwrap())
                };
                rows.into_iter().map(row).collect()
            }
        }
    }

    /// Tables `numbers` are equal on both sides, by content, and not empty.
    pub(super) async fn assert_equal(&self, numbers: impl IntoIterator<Item = usize>) {
        for number in numbers {
            let (wanted, found) =
                (self.wanted(&table(number)).await, self.found(&table(number)).await);
            assert!(!wanted.is_empty(), "{}", table(number));
            assert_eq!(found, wanted, "{}", table(number));
        }
    }
}

/// The outcome of each stream, by its name, and the last line.
pub(super) fn outcomes(said: &Said) -> (std::collections::BTreeMap<String, String>, Value) {
    let mut objects = said.objects();
    let total = objects.pop().unwrap();
    assert!(total["streams"].is_u64(), "no total: {said:?}");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let each = objects.iter().map(|one| (text(&one["stream"]), text(&one["outcome"]))).collect();
    (each, total)
}
