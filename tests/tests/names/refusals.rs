//! Names that a database has no room for, or takes for one, are refused before anything is written,
//! with what to change; and the change is enough.

use etl_core::connector::{FilterExit, Stream};
use etl_core::pipeline::output_schema;
use etl_core::{Class, Definition, Outcome, Pipeline, PipelineOptions, transform};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::side::Side;

/// A stream of the table `names` of a source, to a table of that name.
fn stream(from: &Side, to: &Side, select: &[&str], transforms: &Value) -> Stream {
    let table = |side: &Side| match side {
        Side::Mssql(_) => "dbo.names",
        Side::Postgres(_) => "public.names",
        Side::Sqlite(_) => "names",
    };
    let mut all = vec!["id", "at"];
    all.extend(select);
    let mut config = json!({
        "object": table(to), "primary_key": ["id"], "select": all, "transforms": transforms,
        "cursor": { "column": "at", "set_by": "application", "safety": { "lookback": "1d" },
                    "unindexed": true },
    });
    if matches!(from, Side::Mssql(_)) {
        config["columns"] = json!({ "at": "datetimeoffset(6)" });
    }
    let config: etl_core::StreamConfig = serde_json::from_value(config).unwrap();
    config.validate().unwrap();
    Stream { pipeline: "refused".to_owned(), name: table(from).to_owned(), config }
}

/// Every table that a target has.
async fn tables(side: &Side) -> Vec<Vec<Option<String>>> {
    side.cells(match side {
        Side::Mssql(_) => "SELECT [name] FROM sys.tables",
        Side::Postgres(_) => {
            "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND \
            relnamespace::regnamespace::text IN ('public', 'etl')"
        }
        Side::Sqlite(_) => "SELECT name FROM sqlite_schema",
    })
    .await
}

/// The columns are refused as they are, and carried once `rename` gives them other names.
async fn refused(from: &Side, to: &str, select: &[&str], told: &str, rename: Value) {
    let target = Side::of(to).await;
    let as_they_are = stream(from, &target, select, &json!([]));
    let schema = from.schema(&as_they_are).await;
    assert!(target.sink(&as_they_are).open(&schema).await.is_err(), "{to} takes {select:?}");
    for error in [
        target.admin(&as_they_are).plan(&schema).err(),
        target.admin(&as_they_are).prepare(&schema).await.err(),
    ] {
        let error = error.unwrap_or_else(|| panic!("{to} takes {select:?}"));
        assert!(matches!(error.class(), Class::Schema | Class::Config), "{to}: {error}");
        let text = error.to_string();
        assert!(text.contains(told) && text.contains("rename"), "{to}: {text}");
    }
    assert!(tables(&target).await.is_empty(), "{to}: {:?}", tables(&target).await);

    let renamed = stream(from, &target, select, &json!([{ "rename": rename }]));
    let build = || transform::build(&renamed.config.transforms, FilterExit::Delete).unwrap();
    let schema = output_schema(from.schema(&renamed).await, &build(), &Definition::default());
    target.admin(&renamed).prepare(&schema.unwrap()).await.unwrap();
    let (source, sink) = (from.built(&renamed), target.sink(&renamed));
    let options = PipelineOptions::default();
    let mut pipeline = Pipeline::new(renamed.full_name(), source, build(), sink, options);
    let finished = pipeline.run(&CancellationToken::new()).await;
    assert_eq!(finished.report.outcome, Outcome::Success, "{:?}", finished.error);
    assert_eq!(finished.report.written, 1, "{to}");
}

async fn postgres(columns: &str) -> Side {
    let side = Side::of("postgres").await;
    side.execute(&format!(
        "CREATE TABLE public.names (id bigint PRIMARY KEY, at timestamptz NOT NULL, \
         {columns}); INSERT INTO public.names (id, at) VALUES (1, '2026-01-02')"
    ))
    .await;
    side
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_differ_by_case_only() {
    let source =
        postgres("\"Name\" varchar(9) DEFAULT 'upper', name varchar(9) DEFAULT 'lower'").await;
    let select = ["Name", "name"];
    refused(&source, "mssql", &select, "one name to SQL Server", json!({ "Name": "Name 1" })).await;
    refused(&source, "sqlite", &select, "one name to SQLite", json!({ "Name": "Name 1" })).await;
    // To Postgres they are two.
    let target = Side::of("postgres").await;
    let stream = stream(&source, &target, &select, &json!([]));
    target.admin(&stream).prepare(&source.schema(&stream).await).await.unwrap();
    assert_eq!(crate::matrix::run(&source, &target, &stream).await.written, 1);
    let cells = target.cells("SELECT \"Name\", name FROM public.names").await;
    assert_eq!(cells, [[Some("upper".to_owned()), Some("lower".to_owned())]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_differ_by_a_blank_at_the_end_only() {
    let source = postgres("\"a \" varchar(9), a varchar(9)").await;
    refused(&source, "mssql", &["a ", "a"], "one name to SQL Server", json!({ "a ": "b" })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_postgres_would_cut() {
    // 128 UTF-16 code units, the most that SQL Server has; two that Postgres would cut to one.
    let (one, two) = ("x".repeat(127) + "1", "x".repeat(127) + "2");
    let source = Side::of("mssql").await;
    source
        .execute(&format!(
            "CREATE TABLE [dbo].[names] ([id] bigint NOT NULL PRIMARY KEY, [at] datetimeoffset(6) \
             NOT NULL, [{one}] int NULL, [{two}] int NULL); \
             INSERT INTO [dbo].[names] ([id], [at]) VALUES (1, CAST(N'2026-01-02 03:04:05 +00:00' AS datetimeoffset(6)));"
        ))
        .await;
    let select = [one.as_str(), two.as_str()];
    let rename = json!({ one.as_str(): "x1", two.as_str(): "x2" });
    refused(&source, "postgres", &select, "it has 128 bytes", rename).await;
    // 64 characters of one byte, or 22 of three.
    for long in ["y".repeat(64), "列".repeat(22)] {
        let target = Side::of("postgres").await;
        let mut stream = stream(&source, &target, &[], &json!([]));
        stream.config.object = format!("public.{long}");
        let built = (etl_sinks::find("postgres").unwrap().build)(&target.section(), &stream);
        assert_eq!(built.err().map(|error| error.class()), Some(Class::Config), "{long}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_every_postgres_table_has_already() {
    let source = Side::of("sqlite").await;
    source
        .execute(
            "CREATE TABLE names (id INTEGER PRIMARY KEY, at TIMESTAMPTZ_TEXT NOT NULL, xmin INTEGER, \
             ctid TEXT); INSERT INTO names VALUES (1, '2026-01-02T03:04:05Z', 1, 'x')",
        )
        .await;
    let rename = json!({ "xmin": "x_min", "ctid": "c_tid" });
    refused(&source, "postgres", &["xmin", "ctid"], "system column", rename).await;
}
