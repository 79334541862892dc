//! A shop: orders in Postgres, a prepared target in SQL Server, and a pipeline file between them.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use etl_tests::{mssql, postgres};
use serde_json::{Value, json};
use sqlx::Row;
use tempfile::TempDir;

use crate::support::binary::{self, Running, Said};

pub(super) const STATES: [&str; 5] = ["confirmed", "pending", "shipped", "cancelled", "refunded"];

/// A row of the target, or what it should be, as text.
pub(super) type Row8 = Vec<Option<String>>;

pub(super) struct Shop {
    pub(super) source: postgres::Database,
    pub(super) target: mssql::Database,
    folder: TempDir,
    pub(super) login: String,
    /// The password in the pipeline file's target.
    pub(super) password: String,
    /// The pipeline file's content; change it and [`Shop::write`] it.
    pub(super) file: Value,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

impl Shop {
    /// A shop with `orders` orders in five states, its target prepared by `mssql-init`.
    pub(super) async fn open(orders: u64, mode: &str) -> Self {
        let shop = Self::unprepared(orders, mode).await;
        shop.init().expect(0);
        shop
    }

    /// The same before `mssql-init` ran.
    pub(super) async fn unprepared(orders: u64, mode: &str) -> Self {
        let source = postgres::Database::new().await;
        source.execute(TABLE).await;
        let role = source.role("Reader-pass-1").await;
        source
            .execute(&format!(
                "GRANT pg_read_all_stats TO {role}; GRANT SELECT ON public.orders TO {role}"
            ))
            .await;
        let target = mssql::Database::new().await;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let tls = target.section()["tls"].clone();
        let file = json!({
            "version": 1,
            "pipeline": "orders",
            "source": { "type": "postgres", "url": "${env:PG_URL}", "tls": "disable" },
            "target": { "type": "mssql", "url": "${env:MSSQL_URL}", "tls": tls },
            "streams": { "public.orders": {
                "object": "dbo.orders",
                "mode": mode,
                "primary_key": ["id"],
                "cursor": { "column": "updated_at" },
                "select": ["id", "customer", "status", "amount", "currency", "note",
                           "created_at", "updated_at"],
                "where": "status = 'confirmed'",
            } },
            "limits": { "batch": { "rows": 4000, "bytes": "4MiB" } },
            "lease": { "ttl": "3s" },
        });
        let mut shop = Self {
            source,
            target,
            folder: TempDir::new().unwrap(),
            login: format!("etl_job_{}_{number}", std::process::id()),
            password: "Job-pass-1'x".to_owned(),
            file,
        };
        shop.file["source"]["url"] = json!("${env:PG_URL}");
        shop.write();
        shop.reader(&role);
        shop.fill(1, orders).await;
        shop
    }

    fn reader(&mut self, role: &str) {
        std::fs::write(self.path("pg-url"), self.source.url_as(&format!("{role}:Reader-pass-1")))
            .unwrap();
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The pipeline file, written anew from what [`Shop::file`] holds.
    pub(super) fn write(&self) {
        std::fs::write(self.path("orders.yaml"), self.file.to_string()).unwrap();
    }

    /// Changes the stream's section.
    pub(super) fn stream(&mut self, change: impl FnOnce(&mut Value)) {
        change(&mut self.file["streams"]["public.orders"]);
        self.write();
    }

    /// Orders `first` to `last`, committed, with times in the past.
    pub(super) async fn fill(&self, first: u64, last: u64) {
        let sql = format!(
            "ALTER TABLE public.orders DISABLE TRIGGER touch;
             INSERT INTO public.orders
             SELECT g, (ARRAY['Ana','José','Zoë','O''Brien','Wei 🚚'])[1 + g % 5] || ' #' || g,
                    (ARRAY['confirmed','pending','shipped','cancelled','refunded'])[1 + (g * 7 / 3) % 5],
                    round((g % 1000000)::numeric / 100, 2), 'EUR',
                    CASE g % 4 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN E'two\\nlines ' ELSE md5(g::text) END,
                    timestamptz '2024-01-01' + g * interval '1 second',
                    timestamptz '2024-06-01' + g * interval '1.000123 second'
               FROM generate_series({first}, {last}) AS g;
             ALTER TABLE public.orders ENABLE TRIGGER touch;
             ANALYZE public.orders"
        );
        self.source.execute(&sql).await;
    }

    fn command(&self, program: &std::path::Path, arguments: &[&str]) -> Command {
        let job = self.target.url(&self.login, &self.password);
        self.command_to(program, arguments, &job)
    }

    /// A command of a program with the pipeline file and another URL of the target.
    fn command_to(&self, program: &std::path::Path, arguments: &[&str], job: &str) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("PG_URL", std::fs::read_to_string(self.path("pg-url")).unwrap())
            .env("MSSQL_URL", job)
            .env_remove("RUST_LOG")
            .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
            .stdin(std::process::Stdio::null());
        command
    }

    pub(super) fn file_path(&self) -> String {
        self.path("orders.yaml").to_string_lossy().into_owned()
    }

    /// `mssql-init`, not yet started.
    pub(super) fn init_command(&self) -> Command {
        let owner = &self.target.owner;
        let password = secrecy::ExposeSecret::expose_secret(&owner.password);
        let mut command = self.command(binary::mssql_init(), &[&self.file_path(), "--wait", "60s"]);
        command.env("MSSQL_ADMIN_URL", self.target.url(&owner.user, password));
        command
    }

    pub(super) fn init(&self) -> Said {
        Said::of(&self.init_command().output().unwrap())
    }

    /// `etl-job COMMAND FILE …`, not yet started.
    pub(super) fn job_command(&self, command: &[&str], more: &[&str]) -> Command {
        let file = self.file_path();
        let arguments: Vec<&str> =
            command.iter().copied().chain([file.as_str()]).chain(more.iter().copied()).collect();
        self.command(binary::etl_job(), &arguments)
    }

    /// `etl-job COMMAND FILE …` with another URL of the target, to its end.
    pub(super) fn job_to(&self, url: &str, command: &str, more: &[&str]) -> Said {
        let file = self.file_path();
        let arguments: Vec<&str> =
            [command, file.as_str()].into_iter().chain(more.iter().copied()).collect();
        Said::of(&self.command_to(binary::etl_job(), &arguments, url).output().unwrap())
    }

    pub(super) fn job(&self, command: &str, more: &[&str]) -> Said {
        Said::of(&self.job_command(&[command], more).output().unwrap())
    }

    /// A run to its end; its summary.
    pub(super) fn run(&self) -> Value {
        self.job("run", &["--json"]).expect(0).last()
    }

    /// A run that goes on while a test looks at it.
    pub(super) fn start(&self, more: &[&str]) -> Running {
        let more: Vec<&str> = ["--json"].into_iter().chain(more.iter().copied()).collect();
        Running::start(self.job_command(&["run"], &more))
    }

    /// The URL of the job's login, at another address.
    pub(super) fn url_at(&self, host: &str, port: u16) -> String {
        let mut target = self.target.clone();
        host.clone_into(&mut target.owner.host);
        target.owner.port = port;
        target.url(&self.login, &self.password)
    }

    /// Waits until the checkpoint's sequence is beyond `sequence`.
    pub(super) async fn wait_for_sequence(&self, sequence: i64) {
        let sql = "SELECT [sequence] FROM [etl].[checkpoint];";
        for _ in 0..600 {
            if self.target.number(sql).await > sequence {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("the checkpoint does not move");
    }

    /// Every column of every confirmed order at the source, in the order of the key.
    pub(super) async fn wanted(&self) -> Vec<Row8> {
        let rows = sqlx::query(WANTED).fetch_all(&mut self.source.connect().await).await.unwrap();
        rows.iter().map(|row| (0..8).map(|column| row.get(column)).collect()).collect()
    }

    /// Every column of every row of the target, in the order of the key.
    pub(super) async fn found(&self) -> Vec<Row8> {
        self.target
            .rows(
                "SELECT CAST([id] AS bigint) AS [id], [customer], [status], [amount], [currency],
                        [note], [created_at], [updated_at]
                   FROM [dbo].[orders] ORDER BY [id], [updated_at];",
            )
            .await
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

const TABLE: &str = "CREATE TABLE public.orders (
   id bigint PRIMARY KEY, customer varchar(60) NOT NULL, status varchar(20) NOT NULL,
   amount numeric(18,2) NOT NULL, currency char(3) NOT NULL, note text,
   created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now());
 CREATE INDEX ON public.orders (updated_at, id);
 CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
   $$ BEGIN NEW.updated_at := now(); RETURN NEW; END $$;
 CREATE TRIGGER touch BEFORE UPDATE ON public.orders FOR EACH ROW EXECUTE FUNCTION touch()";

const WANTED: &str = r#"SELECT id::text, customer, status, amount::text, currency::text, note,
   to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
   to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
   FROM public.orders AS o WHERE status = 'confirmed' ORDER BY o.id"#;
