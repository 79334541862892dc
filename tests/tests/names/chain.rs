//! A table of 30 columns with such names goes from Postgres through every pair of databases and
//! back to Postgres, and is equal by content at every stop.

use etl_core::connector::Stream;
use etl_core::{Outcome, Pipeline, PipelineOptions, RunReport};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::HOSTILE;
use crate::support::side::Side;

const SCHEMA: &str = "sch.e\"m]a'; --";
const TABLE: &str = "ta\"b]le /* of\nthirty.columns 🚚";
/// Each neighbour pair once: every source with every other target.
const STOPS: [&str; 7] = ["postgres", "mssql", "sqlite", "mssql", "postgres", "sqlite", "postgres"];

/// As SQL quotes a name; not as the product does it, so that one checks the other.
fn quoted(side: &Side, name: &str) -> String {
    match side {
        Side::Mssql(_) => format!("[{}]", name.replace(']', "]]")),
        _ => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

fn table(side: &Side) -> String {
    match side {
        Side::Sqlite(_) => quoted(side, TABLE),
        _ => format!("{}.{}", quoted(side, SCHEMA), quoted(side, TABLE)),
    }
}

/// The names of a table's columns. The first is the key, the second the cursor, the third decides
/// whether a row is carried, the others are texts.
struct Columns([&'static str; 30]);

impl Columns {
    /// Every second of the names, from `first` on.
    fn from(first: usize) -> Self {
        let mut names = HOSTILE.into_iter().skip(first).step_by(2);
        Self(std::array::from_fn(|_| names.next().unwrap()))
    }

    /// A table with 200 rows.
    async fn make(&self, side: &Side) {
        let names = self.0.map(|name| quoted(side, name));
        let texts: Vec<_> = names[2..].iter().map(|name| format!("{name} varchar(60)")).collect();
        side.execute(&format!(
            "CREATE SCHEMA {}; CREATE TABLE {} ({} bigint PRIMARY KEY, {} timestamptz NOT NULL, {})",
            quoted(side, SCHEMA),
            table(side),
            names[0],
            names[1],
            texts.join(", ")
        ))
        .await;
        self.insert(side, 1, 200).await;
    }

    async fn insert(&self, side: &Side, first: i64, last: i64) {
        let values: Vec<_> = (2..30)
            .map(|at| {
                let text: String = self.0[at].chars().take(20).collect();
                let text = text.replace('\'', "''");
                format!("CASE (g + {at}) % 7 WHEN 0 THEN NULL ELSE '{at}:' || g || ' {text}' END")
            })
            .collect();
        side.execute(&format!(
            "INSERT INTO {} SELECT g, now() - interval '1 hour' + g * interval '1 millisecond', {} \
             FROM generate_series({first}, {last}) AS g",
            table(side),
            values.join(", ")
        ))
        .await;
    }

    /// Every cell of the rows that are carried, as text, in the order of the key.
    async fn cells(&self, side: &Side, except: i64) -> Vec<Vec<Option<String>>> {
        let names = self.0.map(|name| quoted(side, name));
        let (key, at) = (&names[0], &names[1]);
        let (key_text, at_text) = match side {
            Side::Mssql(_) => (format!("t.{key}"), at.clone()),
            Side::Postgres(_) => (
                format!("t.{key}::text"),
                format!(r#"to_char({at} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"#),
            ),
            Side::Sqlite(_) => (format!("CAST(t.{key} AS TEXT)"), at.clone()),
        };
        let sql = format!(
            "SELECT {key_text}, {at_text}, {} FROM {} AS t WHERE {} IS NOT NULL AND t.{key} <> \
             {except} ORDER BY t.{key}",
            names[2..].join(", "),
            table(side),
            names[2]
        );
        side.cells(&sql).await
    }

    fn stream(&self, from: &Side, to: &Side) -> Stream {
        let [key, at, decides, ..] = self.0;
        let filter = format!("\"{}\" IS NOT NULL", decides.replace('"', "\"\""));
        let mut config = json!({
            "object": table(to), "primary_key": [key], "select": self.0, "where": filter,
            "cursor": { "column": at, "set_by": "application", "safety": { "lookback": "1d" },
                        "unindexed": true },
        });
        if matches!(from, Side::Mssql(_)) {
            config["columns"] = json!({ at: "datetimeoffset(6)" });
        }
        let config: etl_core::StreamConfig = serde_json::from_value(config).unwrap();
        config.validate().unwrap();
        Stream { pipeline: "names".to_owned(), name: table(from), config }
    }

    async fn run(&self, from: &Side, to: &Side) -> RunReport {
        let stream = self.stream(from, to);
        let schema = from.schema(&stream).await;
        let mut admin = to.admin(&stream);
        admin.prepare(&schema).await.unwrap();
        let findings = admin.check(&schema).await.unwrap();
        assert!(findings.iter().all(|found| found.ok), "{findings:?}");
        let options = PipelineOptions::default();
        let (source, sink) = (from.built(&stream), to.sink(&stream));
        let mut pipeline = Pipeline::new(stream.full_name(), source, Vec::new(), sink, options);
        let finished = pipeline.run(&CancellationToken::new()).await;
        assert_eq!(finished.report.outcome, Outcome::Success, "{:?}", finished.error);
        finished.report
    }
}

async fn through_all(first: usize) {
    let columns = Columns::from(first);
    let mut stops = Vec::new();
    for kind in STOPS {
        let side = Side::of(kind).await;
        if let Side::Mssql(database) = &side {
            // So that a sweep sees rows within the lookback too.
            database.snapshots().await.unwrap();
        }
        stops.push(side);
    }
    columns.make(&stops[0]).await;
    let wanted = columns.cells(&stops[0], 0).await;
    assert!(wanted.len() > 150 && wanted.iter().flatten().any(Option::is_none));
    for (at, pair) in stops.windows(2).enumerate() {
        let report = columns.run(&pair[0], &pair[1]).await;
        assert_eq!(report.written, u64::try_from(wanted.len()).unwrap(), "stop {at}");
        assert_eq!(columns.cells(&pair[1], 0).await, wanted, "stop {at}: {}", pair[1].kind());
    }

    // One row leaves, some change, some are new. Only the first target sees who left.
    let [key, at, decides, text, ..] = columns.0.map(|name| quoted(&stops[0], name));
    let source = table(&stops[0]);
    for change in [
        format!(
            "UPDATE {source} SET {decides} = NULL, {at} = {at} + interval '1 min' WHERE {key} = 1"
        ),
        format!(
            "UPDATE {source} SET {text} = 'changed', {at} = {at} + interval '1 min' WHERE {key} IN (2, 3, 4)"
        ),
    ] {
        stops[0].execute(&change).await;
    }
    columns.insert(&stops[0], 201, 210).await;
    let first = columns.run(&stops[0], &stops[1]).await;
    assert_eq!(first.deleted, 1, "{first:?}");
    assert_eq!(columns.cells(&stops[1], 0).await, columns.cells(&stops[0], 0).await);
    let wanted = columns.cells(&stops[0], 1).await;
    for (at, pair) in stops.windows(2).enumerate().skip(1) {
        columns.run(&pair[0], &pair[1]).await;
        assert_eq!(columns.cells(&pair[1], 1).await, wanted, "stop {at}: {}", pair[1].kind());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_30_hostile_columns_goes_there_and_back() {
    through_all(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_table_of_30_hostile_columns_goes_there_and_back() {
    through_all(1).await;
}

/// The names of a stream's columns in every place where a pipeline file has them.
#[test]
fn a_pipeline_file_names_such_columns() {
    for name in HOSTILE {
        let config: Value = json!({
            "object": "t", "primary_key": [name], "select": [name, "at"],
            "cursor": { "column": "at" }, "columns": { name: "varchar(40)" },
            "transforms": [{ "rename": { name: "plain" } }, { "rename": { "plain": name } },
                           { "cast": { name: "varchar(40)" } }, { "select": [name, "at"] }],
            "where": format!("\"{}\" = 'x'", name.replace('"', "\"\"")),
        });
        let text = config.to_string();
        let config: etl_core::StreamConfig = serde_json::from_str(&text).unwrap();
        config.validate().unwrap_or_else(|error| panic!("{name:?}: {error}"));
        assert_eq!(config.select[0], name);
    }
}
