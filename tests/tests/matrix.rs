//! Any source with any sink: one stream's life, over every pair, compared by content.
//!
//! A connector is one arm in [`Side::source`] or [`Side::target`]; the pairs make themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use etl_core::connector::Stream;
use etl_core::sink::SinkAdmin;
use etl_core::testing::{CanonicalRow, Row};
use etl_core::{Outcome, Pipeline, PipelineOptions, RunReport, Sink, Source, StreamSchema};
use etl_tests::mssql;
use etl_tests::skips::not_run;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row as _};
use tokio_util::sync::CancellationToken;

use crate::mssql_source::support::Abilities;
use crate::support::side::Side;

const SOURCES: &[&str] = &["mssql", "postgres", "sqlite"];
pub(crate) const TARGETS: &[&str] = &["mssql", "postgres", "sqlite"];
const COLUMNS: [&str; 6] = ["id", "name", "status", "amount", "active", "updated_at"];

/// The kinds that can be sources here; one that cannot is told as not run. Not every server that
/// speaks T-SQL has row versions.
pub(crate) async fn sources() -> Vec<&'static str> {
    let mut kinds = SOURCES.to_vec();
    let can = Abilities::of(&mssql::Database::new().await).await;
    if !can.versions {
        not_run(&format!("SQL Server as a source: this one can only {can:?}"));
        kinds.retain(|kind| *kind != "mssql");
    }
    kinds
}

impl Side {
    /// A database with the suites' table `orders`, whose cursor it sets itself, and the stream's
    /// name there.
    pub(crate) async fn source(kind: &str) -> (Self, &'static str) {
        let side = Self::of(kind).await;
        let (sql, name) = match side {
            Self::Postgres(_) => (POSTGRES, "public.orders"),
            Self::Sqlite(_) => (SQLITE, "orders"),
            Self::Mssql(_) => (MSSQL, "dbo.orders"),
        };
        side.execute(sql).await;
        (side, name)
    }

    /// An empty database, and the target's name there.
    pub(crate) async fn target(kind: &str) -> (Self, &'static str) {
        let object = match kind {
            "mssql" => "dbo.orders",
            "postgres" => "public.orders",
            _ => "orders",
        };
        (Self::of(kind).await, object)
    }

    pub(crate) fn built(&self, stream: &Stream) -> Arc<dyn Source> {
        (etl_sources::find(self.kind()).unwrap().build)(&self.section(), stream).unwrap()
    }

    /// The shape of a stream that this side is the source of.
    pub(crate) async fn schema(&self, stream: &Stream) -> StreamSchema {
        self.built(stream).schema().await.unwrap()
    }

    pub(crate) fn sink(&self, stream: &Stream) -> Box<dyn Sink> {
        (etl_sinks::find(self.kind()).unwrap().build)(&self.section(), stream).unwrap()
    }

    pub(crate) fn admin(&self, stream: &Stream) -> Box<dyn SinkAdmin> {
        (etl_sinks::find(self.kind()).unwrap().admin)(&self.section(), stream).unwrap()
    }

    /// What a query yields, all of it text.
    pub(crate) async fn cells(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        match self {
            Self::Mssql(database) => database.rows(sql).await,
            Self::Postgres(database) => {
                let sql = AssertSqlSafe(sql);
                let rows = sqlx::query(sql).fetch_all(&mut database.connect().await).await.unwrap();
                rows.iter().map(|row| (0..row.len()).map(|at| row.get(at)).collect()).collect()
            }
            Self::Sqlite(_) => {
                let sql = AssertSqlSafe(sql);
                let rows = sqlx::query(sql).fetch_all(&mut self.sqlite().await).await.unwrap();
                rows.iter().map(|row| (0..row.len()).map(|at| row.get(at)).collect()).collect()
            }
        }
    }

    /// The rows of `orders` that pass `filter`, by key, as canonical text.
    pub(crate) async fn rows(&self, filter: &str) -> BTreeMap<String, CanonicalRow> {
        let columns = match self {
            Self::Mssql(_) => format!("[{}]", COLUMNS.join("], [")),
            Self::Postgres(_) => r#"id::text, name, status, amount::text, active::text,
                to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"#
                .to_owned(),
            Self::Sqlite(_) => "CAST(id AS TEXT), name, status, amount, CASE active WHEN 1 THEN \
                'true' WHEN 0 THEN 'false' END, updated_at"
                .to_owned(),
        };
        let cells = self.cells(&format!("SELECT {columns} FROM orders WHERE {filter}")).await;
        let named = |row: Vec<_>| COLUMNS.iter().map(ToString::to_string).zip(row).collect();
        let rows = cells.into_iter().map(|row| (row[0].clone().unwrap(), named(row)));
        rows.collect()
    }
}

const MSSQL: &str = "CREATE TABLE dbo.orders (id bigint NOT NULL PRIMARY KEY, name nvarchar(80),
   status nvarchar(20) NOT NULL, amount decimal(18,2), active bit,
   updated_at datetimeoffset(6) NOT NULL DEFAULT SYSDATETIMEOFFSET(), rv rowversion NOT NULL);
 CREATE UNIQUE INDEX ix_rv ON dbo.orders (rv);";

const POSTGRES: &str = "CREATE TABLE public.orders (id bigint PRIMARY KEY, name varchar(40),
   status varchar(20) NOT NULL, amount numeric(18,2), active boolean,
   updated_at timestamptz NOT NULL DEFAULT now(),
   src_xid xid8 NOT NULL DEFAULT pg_current_xact_id());
 CREATE INDEX ON public.orders (updated_at, id);
 CREATE INDEX ON public.orders (src_xid, id);
 CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
   $$ BEGIN NEW.updated_at := now(); NEW.src_xid := pg_current_xact_id(); RETURN NEW; END $$;
 CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON public.orders
   FOR EACH ROW EXECUTE FUNCTION touch()";

const SQLITE: &str = "PRAGMA journal_mode = WAL;
 CREATE TABLE orders (id INTEGER PRIMARY KEY, name VARCHAR(40), status VARCHAR(20) NOT NULL,
   amount DECIMAL_TEXT(18,2), active BOOLEAN,
   updated_at TIMESTAMPTZ_TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')));
 CREATE INDEX orders_updated_at ON orders (updated_at);
 CREATE TRIGGER orders_touched AFTER UPDATE ON orders FOR EACH ROW BEGIN
   UPDATE orders SET updated_at = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now') WHERE id = NEW.id;
 END";

/// The rows that every source has at first.
pub(crate) fn first_rows() -> Vec<Row> {
    let mut rows: Vec<_> = (1..=500)
        .map(|id| {
            let status = ["confirmed", "pending", "cancelled"][usize::try_from(id % 3).unwrap()];
            Row::new(id).status(status).amount(i128::from(id) * 7 - 900)
        })
        .collect();
    let special = [
        Row { name: None, amount: None, active: None, ..Row::new(1000) },
        Row::new(1001).name(Some("")).amount(0),
        Row::new(1002).name(Some(" it's \"q\" \\ \t\r\n%_[] ")).amount(-1),
        Row::new(1003).name(Some(&"🚚".repeat(40))).amount(999_999_999_999_999_999),
        Row::new(i64::MAX).amount(-999_999_999_999_999_999),
        Row { active: Some(false), ..Row::new(-1) },
    ];
    rows.extend(special);
    rows
}

/// In the words of a kind of source: a text of SQL Server is national, and a truth is a bit.
pub(crate) fn insert(kind: &str, rows: &[Row]) -> String {
    let mssql = kind == "mssql";
    let text = |text: Option<&str>| {
        let quote = if mssql { "N'" } else { "'" };
        text.map_or_else(
            || "NULL".to_owned(),
            |text| format!("{quote}{}'", text.replace('\'', "''")),
        )
    };
    let values = rows.iter().map(|row| {
        let active = match row.active {
            Some(active) if mssql => u8::from(active).to_string(),
            Some(active) => active.to_string(),
            None => "NULL".to_owned(),
        };
        let (name, status) = (text(row.name.as_deref()), text(row.status.as_deref()));
        // In quotes: SQLite would make a number of it.
        let amount = text(row.amount_text().as_deref());
        format!("({}, {name}, {status}, {amount}, {active})", row.id)
    });
    let values = values.collect::<Vec<_>>().join(", ");
    format!("INSERT INTO orders (id, name, status, amount, active) VALUES {values}")
}

pub(crate) async fn run(source: &Side, target: &Side, stream: &Stream) -> RunReport {
    let (from, to) = (source.built(stream), target.sink(stream));
    let limits = etl_core::BatchLimits { rows: 100, bytes: 1 << 20 };
    let options = PipelineOptions { limits, ..PipelineOptions::default() };
    let mut pipeline = Pipeline::new(stream.full_name(), from, Vec::new(), to, options);
    let finished = pipeline.run(&CancellationToken::new()).await;
    assert_eq!(finished.report.outcome, Outcome::Success, "{:?}", finished.error);
    finished.report
}

/// A pair whose target is prepared, with `first_rows` at the source, and its stream.
pub(crate) async fn prepared(from: &str, to: &str, more: Value) -> (Side, Side, Stream) {
    let (source, name) = Side::source(from).await;
    let (target, object) = Side::target(to).await;
    let mut config = json!({
        "object": object, "primary_key": ["id"], "select": COLUMNS,
        "cursor": { "column": "updated_at" }, "where": "status = 'confirmed'",
    });
    if from == "mssql" {
        config["select"].as_array_mut().unwrap().push("rv".into());
        config["cursor"]["column"] = "rv".into();
        config["columns"] = json!({ "updated_at": "datetimeoffset(6)" });
    }
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let config = serde_json::from_value(config).unwrap();
    let stream = Stream { pipeline: "matrix".to_owned(), name: name.to_owned(), config };
    source.execute(&insert(from, &first_rows())).await;
    target.admin(&stream).prepare(&source.schema(&stream).await).await.unwrap();
    (source, target, stream)
}

async fn pair(from: &str, to: &str, more: Value) {
    let (source, target, stream) = prepared(from, to, more).await;
    let confirmed = "status = 'confirmed'";
    let equal = async |after: &str| {
        let (wanted, found) = (source.rows(confirmed).await, target.rows("1 = 1").await);
        assert!(!wanted.is_empty());
        assert_eq!(found.len(), wanted.len(), "{from} to {to}, {after}: rows");
        for (id, wanted) in &wanted {
            assert_eq!(found.get(id), Some(wanted), "{from} to {to}, {after}: row {id}");
        }
    };
    let first = run(&source, &target, &stream).await;
    assert_eq!(first.written, 166 + 6, "{from} to {to}");
    equal("the first load").await;

    for change in [
        "UPDATE orders SET status = 'cancelled' WHERE id IN (3, 6, 9, 1000)",
        "UPDATE orders SET name = upper(name), amount = NULL WHERE id IN (12, 15)",
        "UPDATE orders SET name = 'name ' WHERE id = 18",
        "UPDATE orders SET status = 'confirmed' WHERE id IN (1, 2)",
        &insert(from, &[Row::new(2000), Row::new(2001).status("pending")]),
    ] {
        source.execute(change).await;
    }
    let second = run(&source, &target, &stream).await;
    assert_eq!((second.deleted, second.written), (4, 6), "{from} to {to}: {second:?}");
    equal("the changes").await;
    let ledger = target.admin(&stream).ledger().await;
    assert!(ledger.unwrap().is_some_and(|ledger| ledger.runs.success == 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_source_reaches_every_sink_by_content() {
    for from in sources().await {
        for to in TARGETS {
            pair(from, to, json!({})).await;
        }
    }
    let known: Vec<_> = etl_sinks::SINKS.iter().map(|sink| sink.kind).collect();
    assert_eq!(known, TARGETS, "a sink is in no pair");
    let known: Vec<_> = etl_sources::SOURCES.iter().map(|source| source.kind).collect();
    assert_eq!(known, SOURCES, "a source is in no pair");
}

#[tokio::test(flavor = "multi_thread")]
async fn transaction_numbers_of_postgres_reach_every_sink_by_content() {
    for to in TARGETS {
        let select: Vec<_> = COLUMNS.into_iter().chain(["src_xid"]).collect();
        let cursor = json!({ "column": "src_xid", "safety": "xid8" });
        pair("postgres", to, json!({ "select": select, "cursor": cursor })).await;
    }
}
