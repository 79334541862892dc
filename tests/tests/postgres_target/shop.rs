//! A shop: orders in SQLite or Postgres, a prepared target in Postgres, a pipeline file between.

use std::path::PathBuf;
use std::process::Command;

use etl_tests::postgres::Database;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, Row};
use tempfile::TempDir;

use super::contract::instant;
use crate::support::binary::{self, Running, Said};

/// A row of the target, or what it should be, as text.
pub(super) type Cells = Vec<Option<String>>;

pub(super) enum Source {
    Sqlite,
    Postgres(Database),
}

pub(super) struct Shop {
    source: Source,
    pub(super) target: Database,
    folder: TempDir,
    /// The URL that the job logs in with.
    pub(super) url: String,
    /// The pipeline file's content; change it and [`Shop::write`] it.
    pub(super) file: Value,
}

impl Shop {
    /// A shop of Postgres with `orders` orders in three states, its target prepared.
    pub(super) async fn open(orders: u64, mode: &str) -> Self {
        let database = Database::new().await;
        database.execute(POSTGRES).await;
        let shop = Self::with(Source::Postgres(database), mode).await;
        shop.fill(1, orders).await;
        shop.job("prepare", &[]).expect(0);
        shop
    }

    /// The same in SQLite.
    pub(super) async fn sqlite(orders: u64, mode: &str) -> Self {
        let shop = Self::with(Source::Sqlite, mode).await;
        shop.execute(SQLITE).await;
        shop.fill(1, orders).await;
        shop.job("prepare", &[]).expect(0);
        shop
    }

    async fn with(source: Source, mode: &str) -> Self {
        let (target, folder) = (Database::new().await, TempDir::new().unwrap());
        let section = match &source {
            Source::Sqlite => json!({ "type": "sqlite", "path": folder.path().join("shop.db") }),
            Source::Postgres(database) => {
                json!({ "type": "postgres", "url": database.url(), "tls": "disable" })
            }
        };
        let file = json!({
            "version": 1,
            "pipeline": "orders",
            "source": section,
            "target": { "type": "postgres", "url": "${env:TARGET_URL}", "tls": "disable" },
            "streams": { source.table(): {
                "object": "dw.orders",
                "mode": mode,
                "primary_key": ["id"],
                "cursor": { "column": "updated_at" },
                "select": ["id", "customer", "status", "amount", "note", "updated_at"],
                "where": "status = 'confirmed'",
            } },
            "limits": { "batch": { "rows": 4000, "bytes": "4MiB" } },
            "lease": { "ttl": "3s" },
        });
        let url = target.url();
        let shop = Self { source, target, folder, url, file };
        shop.write();
        shop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The pipeline file, written anew from what [`Shop::file`] holds.
    pub(super) fn write(&self) {
        std::fs::write(self.path("orders.yaml"), self.file.to_string()).unwrap();
    }

    /// Runs statements at the source.
    pub(super) async fn execute(&self, sql: &str) {
        match &self.source {
            Source::Postgres(database) => database.execute(sql).await,
            Source::Sqlite => {
                let options = sqlx::sqlite::SqliteConnectOptions::new()
                    .filename(self.path("shop.db"))
                    .create_if_missing(true);
                let mut connection = options.connect().await.unwrap();
                connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
            }
        }
    }

    /// Orders `first` to `last`, with times in the past.
    pub(super) async fn fill(&self, first: u64, last: u64) {
        let sql = match self.source {
            Source::Postgres(_) => format!(
                "INSERT INTO public.orders
                 SELECT g, (ARRAY['Ana','José','Zoë','O''Brien','Wei 🚚'])[1 + g % 5] || ' #' || g,
                        (ARRAY['confirmed','pending','cancelled'])[1 + g % 3],
                        round((g % 1000000)::numeric / 100, 2),
                        CASE g % 4 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN E'two\\nlines ' ELSE md5(g::text) END,
                        timestamptz '2024-06-01' + g * interval '1.000123 second'
                   FROM generate_series({first}, {last}) AS g; ANALYZE public.orders"
            ),
            Source::Sqlite => format!(
                "WITH RECURSIVE n(g) AS (SELECT {first} UNION ALL SELECT g + 1 FROM n WHERE g < {last})
                 INSERT INTO orders SELECT g, 'Zoë''s 🚚 #' || g,
                   CASE g % 3 WHEN 0 THEN 'confirmed' WHEN 1 THEN 'pending' ELSE 'cancelled' END,
                   printf('%d.%02d', g % 1000, g % 100),
                   CASE g % 4 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN 'two' || char(10) || 'lines ' ELSE 'note ' || g END,
                   strftime('%Y-%m-%dT%H:%M:%f000Z', 1717200000 + g / 100, 'unixepoch') FROM n"
            ),
        };
        self.execute(&sql).await;
    }

    /// `etl-job COMMAND FILE …`, not yet started.
    pub(super) fn command(&self, command: &[&str], more: &[&str]) -> Command {
        let file = self.path("orders.yaml").to_string_lossy().into_owned();
        let arguments: Vec<&str> =
            command.iter().copied().chain([file.as_str()]).chain(more.iter().copied()).collect();
        let mut command = binary::command(&arguments);
        command.env("TARGET_URL", &self.url);
        command
    }

    pub(super) fn job(&self, command: &str, more: &[&str]) -> Said {
        Said::of(&self.command(&[command], more).output().unwrap())
    }

    /// A run to its end; its summary.
    pub(super) fn run(&self) -> Value {
        self.job("run", &["--json"]).expect(0).last()
    }

    /// A run that goes on while a test looks at it.
    pub(super) fn start(&self) -> Running {
        Running::start(self.command(&["run"], &["--json"]))
    }

    /// The only value of a query in the target.
    pub(super) async fn number(&self, sql: &str) -> i64 {
        let mut connection = self.target.connect().await;
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap()
    }

    /// Waits until the checkpoint's sequence is beyond `sequence`.
    pub(super) async fn wait_for_sequence(&self, sequence: i64) {
        for _ in 0..600 {
            if self.number("SELECT sequence FROM etl.checkpoint").await > sequence {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("the checkpoint does not move");
    }

    /// Every column of every confirmed order at the source, in the order of the key.
    pub(super) async fn wanted(&self) -> Vec<Cells> {
        match &self.source {
            Source::Postgres(database) => cells(database, "public.orders").await,
            Source::Sqlite => {
                let options =
                    sqlx::sqlite::SqliteConnectOptions::new().filename(self.path("shop.db"));
                let rows = sqlx::query(
                    "SELECT CAST(id AS TEXT), customer, status, amount, note, updated_at
                       FROM orders WHERE status = 'confirmed' ORDER BY id",
                );
                let rows = rows.fetch_all(&mut options.connect().await.unwrap()).await.unwrap();
                rows.iter().map(|row| (0..6).map(|column| row.get(column)).collect()).collect()
            }
        }
    }

    /// Every column of every row of the target, in the order of the key.
    pub(super) async fn found(&self) -> Vec<Cells> {
        cells(&self.target, "dw.orders").await
    }

    /// The target is the filtered source, by content.
    pub(super) async fn assert_equal(&self) {
        let (wanted, found) = (self.wanted().await, self.found().await);
        assert_eq!(found.len(), wanted.len(), "rows");
        for (found, wanted) in found.iter().zip(&wanted) {
            assert_eq!(found, wanted);
        }
    }
}

impl Source {
    fn table(&self) -> &'static str {
        match self {
            Self::Sqlite => "orders",
            Self::Postgres(_) => "public.orders",
        }
    }
}

async fn cells(database: &Database, table: &str) -> Vec<Cells> {
    let sql = format!(
        "SELECT id::text, customer, status, amount::text, note, {} FROM {table} AS o
          WHERE status = 'confirmed' ORDER BY o.id, o.updated_at",
        instant("updated_at")
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut database.connect().await).await;
    let row = |row: &sqlx::postgres::PgRow| (0..6).map(|column| row.get(column)).collect();
    rows.unwrap().iter().map(row).collect()
}

const POSTGRES: &str = "CREATE TABLE public.orders (
   id bigint PRIMARY KEY, customer varchar(60) NOT NULL, status varchar(20) NOT NULL,
   amount numeric(18,2) NOT NULL, note text, updated_at timestamptz NOT NULL DEFAULT now());
 CREATE INDEX ON public.orders (updated_at, id);
 CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
   $$ BEGIN NEW.updated_at := now(); RETURN NEW; END $$;
 CREATE TRIGGER touch BEFORE UPDATE ON public.orders FOR EACH ROW EXECUTE FUNCTION touch()";

const SQLITE: &str = "PRAGMA journal_mode = WAL;
 CREATE TABLE orders (id INTEGER PRIMARY KEY, customer VARCHAR(60) NOT NULL,
   status VARCHAR(20) NOT NULL, amount DECIMAL_TEXT(18,2) NOT NULL, note TEXT,
   updated_at TIMESTAMPTZ_TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')));
 CREATE INDEX orders_updated_at ON orders (updated_at);
 CREATE TRIGGER orders_touched AFTER UPDATE ON orders FOR EACH ROW BEGIN
   UPDATE orders SET updated_at = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now') WHERE id = NEW.id;
 END";
