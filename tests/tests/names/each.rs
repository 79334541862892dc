//! Each name as schema, table and column: made, written and read by sink and source, and found in
//! the server's catalog letter by letter.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{Field, Schema};
use etl_core::batch::Progress;
use etl_core::connector::Stream;
use etl_core::schema::meta;
use etl_core::sink::{Claim, Counts, Fence, Run};
use etl_core::testing::canonical;
use etl_core::{Batch, BatchLimits, Changes, Definition, Position, StreamSchema};
use etl_sql::{mssql, postgres, sqlite};
use futures::TryStreamExt;
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor};
use uuid::Uuid;

use super::HOSTILE;
use crate::matrix::TARGETS;
use crate::support::side::Side;

/// A name as SQL writes it.
fn quoted(kind: &str, name: &str) -> String {
    let quoted = match kind {
        "mssql" => mssql::quote::name(name),
        "postgres" => postgres::quote::name(name),
        _ => sqlite::quote::name(name),
    };
    quoted.unwrap()
}

/// The same without doubling what ends a name.
fn undoubled(kind: &str, name: &str) -> String {
    if kind == "mssql" { format!("[{name}]") } else { format!("\"{name}\"") }
}

/// A table of this name, as a pipeline file writes it, in a schema of the same name.
fn object(kind: &str, name: &str) -> String {
    // A table whose name begins so would be a temporary one.
    let table = if kind == "mssql" { name.replace('#', "no.") } else { name.to_owned() };
    match kind {
        "sqlite" => quoted(kind, &table),
        _ => format!("{}.{}", quoted(kind, name), quoted(kind, &table)),
    }
}

fn records(name: &str, rows: &[(i64, Option<&str>)]) -> RecordBatch {
    let bounded = [(meta::MAX_CHARS.to_owned(), "80".to_owned())].into();
    let at = TimestampMicrosecondArray::from(vec![1_700_000_000_123_456; rows.len()]);
    let at: ArrayRef = Arc::new(at.with_timezone("UTC"));
    let columns: Vec<(Field, ArrayRef)> = vec![
        (
            Field::new("id of mine", arrow::datatypes::DataType::Int64, false),
            Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>()),
        ),
        (
            Field::new(name, arrow::datatypes::DataType::Utf8, true).with_metadata(bounded),
            Arc::new(rows.iter().map(|row| row.1).collect::<StringArray>()),
        ),
        (Field::new("at", at.data_type().clone(), true), at),
    ];
    let (fields, arrays): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

fn stream(name: &str, table: &str, column: &str) -> Stream {
    let config = json!({
        "object": table, "primary_key": ["id of mine"], "select": ["id of mine", column, "at"],
        "cursor": { "column": "at", "set_by": "application", "safety": { "lookback": "1d" },
                    "unindexed": true, "nullable": true },
        "columns": { "at": "datetimeoffset(6)" },
    });
    let config: etl_core::StreamConfig = serde_json::from_value(config).unwrap();
    config.validate().unwrap();
    Stream { pipeline: "names".to_owned(), name: name.to_owned(), config }
}

/// Writes three rows, changes one and deletes one.
async fn write(side: &Side, stream: &Stream, column: &str) {
    let schema = StreamSchema {
        name: stream.full_name(),
        schema: records(column, &[]).schema(),
        key: vec!["id of mine".to_owned()],
        definition: Definition::default(),
    };
    let mut admin = side.admin(stream);
    admin.prepare(&schema).await.unwrap();
    let findings = admin.check(&schema).await.unwrap();
    assert!(findings.iter().all(|found| found.ok), "{column:?}: {findings:?}");
    let mut sink = side.sink(stream);
    sink.open(&schema).await.unwrap();
    let ttl = std::time::Duration::from_mins(2);
    let run = Run { id: Uuid::new_v4(), ttl, waited: false };
    let Claim::Claimed(found) = sink.claim(&run).await.unwrap() else { panic!("busy") };
    let definition = Definition::default().to_text().unwrap();
    let mut fence = Fence { run: run.id, sequence: found.sequence, definition, ttl, generation: 0 };
    let first = records(column, &[(1, Some("one")), (2, None), (3, Some(column))]);
    let second = records(column, &[(1, Some("changed")), (2, None)]);
    let deletes = BooleanBuffer::from(vec![false, true]);
    for (step, changes, counts) in [
        (1, Changes::upserts(first), (3, 0, 0)),
        (2, Changes::new(second, Some(deletes)).unwrap(), (0, 1, 1)),
    ] {
        let position = Position::encode(&json!({ "step": step })).unwrap();
        let aside = etl_core::Aside::default();
        let batch = Batch { changes, position, progress: Progress::default(), aside };
        let (inserted, updated, deleted) = counts;
        let counts = Counts { inserted, updated, deleted, unchanged: 0 };
        assert_eq!(sink.commit(&batch, &fence).await.unwrap(), counts, "{column:?}");
        fence.sequence += 1;
    }
}

/// What the source of the same database reads, by column.
async fn read(side: &Side, table: &str, column: &str) -> Vec<(Option<String>, Option<String>)> {
    let stream = stream(table, "unused", column);
    let source = side.built(&stream);
    let limits = BatchLimits { rows: 10, bytes: 1 << 20 };
    let batches: Vec<Batch> = source.read(None, limits).await.unwrap().try_collect().await.unwrap();
    let mut rows: Vec<_> = batches
        .iter()
        .flat_map(|batch| canonical(batch.changes.records()).unwrap())
        .map(|row| (row["id of mine"].clone(), row[column].clone()))
        .collect();
    rows.sort();
    rows
}

/// Every table and column that a database has, letter by letter.
async fn catalog(side: &Side) -> Vec<(String, String)> {
    let sql = match side.kind() {
        "mssql" => {
            "SELECT t.[name], c.[name] AS [column_name] FROM sys.tables AS t INNER JOIN \
            sys.columns AS c ON c.[object_id] = t.[object_id]"
        }
        "postgres" => {
            "SELECT c.relname::text, a.attname::text FROM pg_class c JOIN pg_attribute a \
            ON a.attrelid = c.oid WHERE c.relkind = 'r' AND a.attnum > 0"
        }
        _ => "SELECT s.name, c.name FROM sqlite_schema AS s, pragma_table_info(s.name) AS c",
    };
    let text = |cell: &Option<String>| cell.clone().unwrap();
    side.cells(sql).await.iter().map(|row| (text(&row[0]), text(&row[1]))).collect()
}

async fn all_names(kind: &str) {
    let side = Side::of(kind).await;
    for (number, name) in HOSTILE.iter().enumerate() {
        let table = object(kind, name);
        write(&side, &stream(&format!("n{number}"), &table, name), name).await;
        let text = |text: &str| Some(text.to_owned());
        let wanted = [(text("1"), text("changed")), (text("3"), text(name))];
        assert_eq!(read(&side, &table, name).await, wanted, "{kind}: {name:?}");
    }
    let there = catalog(&side).await;
    for name in HOSTILE {
        let table = if kind == "mssql" { name.replace('#', "no.") } else { name.to_owned() };
        let known = there.iter().any(|(t, c)| *t == table && c == name);
        assert!(known, "{kind}: {name:?} is not in the catalog as it is written");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_64_names_is_written_and_read_by_sql_server() {
    all_names("mssql").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_64_names_is_written_and_read_by_postgres() {
    all_names("postgres").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_64_names_is_written_and_read_by_sqlite() {
    all_names("sqlite").await;
}

/// Whether a table of one column, both of this name, is made, and nothing else.
async fn is_kept(side: &Side, name: &str, quote: fn(&str, &str) -> String) -> bool {
    let quoted = quote(side.kind(), name);
    let before = catalog(side).await;
    let sql = format!("CREATE TABLE {quoted} ({quoted} int)");
    let made = match side {
        Side::Mssql(database) => database.connect().await.batch(&sql, "a test").await.is_ok(),
        Side::Postgres(database) => {
            database.connect().await.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.is_ok()
        }
        Side::Sqlite(_) => {
            side.sqlite().await.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.is_ok()
        }
    };
    let new: Vec<_> = catalog(side).await.into_iter().filter(|one| !before.contains(one)).collect();
    made && new == [(name.to_owned(), name.to_owned())]
}

/// The same names with a quoting that forgets to double: what ends a name ends it too early.
#[tokio::test(flavor = "multi_thread")]
async fn control_names_quoted_without_doubling_are_seen() {
    for kind in TARGETS {
        let side = Side::of(kind).await;
        let end = if *kind == "mssql" { ']' } else { '"' };
        // To SQL Server a table with such a name is a temporary one.
        let names =
            || HOSTILE.into_iter().filter(|name| *kind != "mssql" || !name.starts_with('#'));
        for name in names() {
            let broken = is_kept(&side, name, undoubled).await;
            assert_eq!(broken, !name.contains(end), "{kind}, undoubled: {name:?}");
        }
        let side = Side::of(kind).await;
        for name in names() {
            assert!(is_kept(&side, name, quoted).await, "{kind}: {name:?}");
        }
    }
}

#[test]
fn what_is_quoted_is_read_as_an_object() {
    for schema in HOSTILE {
        for table in HOSTILE.iter().filter(|table| !table.starts_with('#')) {
            let name = mssql::quote::TableName { schema: schema.into(), table: (*table).into() };
            let text = name.quoted().unwrap();
            assert_eq!(mssql::quote::TableName::parse(&text).unwrap(), name, "{text}");
            let name = postgres::quote::TableName { schema: schema.into(), table: (*table).into() };
            let text = name.quoted().unwrap();
            assert_eq!(postgres::quote::TableName::parse(&text).unwrap(), name, "{text}");
        }
        let text = sqlite::quote::name(schema).unwrap();
        assert_eq!(sqlite::quote::table("object", &text).unwrap(), schema);
    }
}

/// A filter names a column as SQL does, in quotes; each database gets it in its own.
#[test]
fn a_filter_names_every_column() {
    for name in HOSTILE {
        let quoted = format!("\"{}\"", name.replace('"', "\"\""));
        let filter = format!("{quoted} = 'x' AND {quoted} IS NOT NULL");
        let predicate = etl_core::predicate::Predicate::parse(&filter).unwrap();
        assert_eq!(predicate.columns().into_iter().collect::<Vec<_>>(), [name]);
        let dialect = etl_core::predicate::Dialect {
            name: &mssql::quote::name,
            text: &mssql::quote::text,
            booleans: etl_core::predicate::Booleans::Bits,
        };
        let name = mssql::quote::name(name).unwrap();
        let sql = predicate.to_sql(&dialect).unwrap();
        assert_eq!(sql, format!("(({name} = N'x') AND (NOT ({name} IS NULL)))"));
    }
}
