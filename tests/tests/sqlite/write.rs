//! What only this sink can get wrong.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use etl_core::batch::Progress;
use etl_core::connector::Stream;
use etl_core::sink::{Checkpoint, Claim, Counts, Fence, Run, Sink};
use etl_core::{Batch, Changes, Class, Definition, Position, StreamSchema};
use serde_json::{Value, json};
use sqlx::Executor;
use uuid::Uuid;

use super::{File, stream};

fn notes(config: &Value) -> (Stream, StreamSchema) {
    let mut all = json!({
        "object": "notes", "primary_key": ["id"], "cursor": { "column": "id" },
        "select": ["id", "note", "score"],
    });
    all.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
    let stream = stream(all);
    let schema = StreamSchema {
        name: stream.full_name(),
        schema: Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("note", DataType::Utf8, true),
            Field::new("score", DataType::Float64, true),
        ])),
        key: vec!["id".to_owned()],
        definition: Definition::default(),
    };
    (stream, schema)
}

fn batch(schema: &StreamSchema, step: i64, rows: &[(i64, &str, f64)]) -> Batch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| Some(row.1)).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| row.2).collect::<Float64Array>()),
    ];
    let records = RecordBatch::try_new(Arc::clone(&schema.schema), columns).unwrap();
    Batch::new(
        Changes::upserts(records),
        Position::encode(&step).unwrap(),
        Progress { read: u64::try_from(rows.len()).unwrap(), ..Progress::default() },
    )
}

async fn claim(sink: &mut dyn Sink, run: Uuid) -> (Checkpoint, Fence) {
    let ttl = Duration::from_mins(1);
    match sink.claim(&Run { id: run, ttl, waited: false }).await.unwrap() {
        Claim::Claimed(checkpoint) => {
            let sequence = checkpoint.sequence;
            (checkpoint, Fence { run, sequence, definition: "{}".to_owned(), ttl, generation: 0 })
        }
        Claim::Busy(lease) => panic!("busy: {lease:?}"),
    }
}

async fn opened(file: &File, stream: &Stream, schema: &StreamSchema) -> Box<dyn Sink> {
    let mut sink = file.sink(stream);
    sink.open(schema).await.unwrap();
    sink
}

/// A prepared file and a sink on it.
async fn prepared(config: &Value) -> (File, StreamSchema, Box<dyn Sink>) {
    let file = File::new();
    let (stream, schema) = notes(config);
    file.admin(&stream).prepare(&schema).await.unwrap();
    let sink = opened(&file, &stream, &schema).await;
    (file, schema, sink)
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_still_tells_its_counts() {
    let (file, schema, mut sink) = prepared(&json!({})).await;
    let (_, mut fence) = claim(&mut *sink, Uuid::new_v4()).await;
    sink.commit(&batch(&schema, 1, &[(1, "a", 0.0), (2, "b", 0.0)]), &fence).await.unwrap();
    fence.sequence += 1;
    // Another process of ours commits the second batch, so that this sink has no answer to it.
    let second = batch(&schema, 2, &[(1, "a", 0.0), (2, "c", 0.0), (3, "d", 0.0)]);
    let mut other = opened(&file, &notes(&json!({})).0, &schema).await;
    let counts = Counts { inserted: 1, updated: 1, deleted: 0, unchanged: 1 };
    assert_eq!(other.commit(&second, &fence).await.unwrap(), counts);
    assert_eq!(sink.commit(&second, &fence).await.unwrap(), counts);
    assert_eq!(file.number("SELECT rows_read FROM etl_run").await, 5);
    assert_eq!(file.number("SELECT rows_written FROM etl_run").await, 4);
}

#[tokio::test]
async fn a_killed_run_is_abandoned_in_the_ledger() {
    let (file, schema, mut killed) = prepared(&json!({})).await;
    claim(&mut *killed, Uuid::new_v4()).await;
    drop(killed);
    file.run("UPDATE etl_checkpoint SET lease_until = '2020-01-01T00:00:00.000000Z'").await;
    let mut next = opened(&file, &notes(&json!({})).0, &schema).await;
    claim(&mut *next, Uuid::new_v4()).await;
    let count = |outcome| format!("SELECT count(*) FROM etl_run WHERE outcome = '{outcome}'");
    assert_eq!(file.number(&count("abandoned")).await, 1);
    assert_eq!(file.number(&count("running")).await, 1);
}

#[tokio::test]
async fn nan_is_an_error_or_null_as_the_config_says() {
    let rows = [(1, "a", f64::INFINITY), (2, "b", f64::NAN)];
    let (file, schema, mut sink) = prepared(&json!({ "on_special": "fail" })).await;
    let (_, fence) = claim(&mut *sink, Uuid::new_v4()).await;
    let error = sink.commit(&batch(&schema, 1, &rows), &fence).await.unwrap_err();
    assert_eq!(error.class(), Class::Data);
    assert!(error.to_string().contains("column score, row id=2"), "{error}");
    assert_eq!(file.number("SELECT count(*) FROM notes").await, 0);

    let (file, schema, mut sink) = prepared(&json!({ "on_special": "null" })).await;
    let (_, fence) = claim(&mut *sink, Uuid::new_v4()).await;
    let told = sink.commit(&batch(&schema, 1, &rows), &fence).await.unwrap();
    assert_eq!(told.inserted, 2);
    assert_eq!(file.number("SELECT count(*) FROM notes WHERE score IS NULL").await, 1);
    assert_eq!(file.number("SELECT score > 1e308 FROM notes WHERE id = 1").await, 1);
}

#[tokio::test]
async fn a_nul_in_a_text_is_refused() {
    let (_file, schema, mut sink) = prepared(&json!({})).await;
    let (_, fence) = claim(&mut *sink, Uuid::new_v4()).await;
    let error = sink.commit(&batch(&schema, 1, &[(7, "a\0b", 0.0)]), &fence).await.unwrap_err();
    assert_eq!(error.class(), Class::Data);
    assert!(error.to_string().contains("column note, row id=7"), "{error}");
}

#[tokio::test]
async fn two_rows_for_one_key_stop_the_batch() {
    let (file, schema, mut sink) = prepared(&json!({})).await;
    let (_, fence) = claim(&mut *sink, Uuid::new_v4()).await;
    let twice = batch(&schema, 1, &[(7, "a", 0.0), (7, "b", 0.0)]);
    assert_eq!(sink.commit(&twice, &fence).await.unwrap_err().class(), Class::Data);
    assert_eq!(file.number("SELECT count(*) FROM notes").await, 0);
}

#[tokio::test]
async fn a_table_of_somebody_else_fits_or_is_refused_with_the_difference() {
    let cases = [
        ("id INTEGER PRIMARY KEY, note TEXT, score REAL)", ""),
        ("id INT PRIMARY KEY, note TEXT, score REAL, own TEXT) STRICT", ""),
        ("id INTEGER PRIMARY KEY, NOTE TEXT COLLATE NOCASE, score REAL)", ""),
        ("id INTEGER PRIMARY KEY, score REAL)", "column note TEXT is missing"),
        ("id INTEGER PRIMARY KEY, note TEXT, score NUMERIC)", "column score is NUMERIC"),
        ("id INTEGER PRIMARY KEY, note TEXT NOT NULL, score REAL)", "column note is NOT NULL"),
        ("id INTEGER, note TEXT, score REAL)", "unique index on exactly (id)"),
        ("id INTEGER, note TEXT, score REAL, PRIMARY KEY (id, note))", "on exactly (id)"),
        ("id INTEGER PRIMARY KEY, note TEXT, score REAL, x INT NOT NULL)", "column x is NOT NULL"),
    ];
    for (columns, says) in cases {
        let file = File::with(&format!("CREATE TABLE notes ({columns}")).await;
        let (stream, schema) = notes(&json!({}));
        match file.admin(&stream).prepare(&schema).await {
            Ok(()) => {
                assert!(says.is_empty(), "{columns} was taken");
                let mut sink = opened(&file, &stream, &schema).await;
                let (_, mut fence) = claim(&mut *sink, Uuid::new_v4()).await;
                sink.commit(&batch(&schema, 1, &[(1, "a", 0.5)]), &fence).await.unwrap();
                fence.sequence += 1;
                let told = sink.commit(&batch(&schema, 2, &[(1, "A", 0.5)]), &fence).await;
                assert_eq!(told.unwrap().updated, 1, "{columns}");
            }
            Err(error) => {
                assert_eq!(error.class(), Class::Schema, "{columns}: {error:?}");
                assert!(!says.is_empty(), "{columns}: {error}");
                assert!(error.to_string().contains(says), "{columns}: {error}");
                let ours = "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'etl%'";
                assert_eq!(file.number(ours).await, 0, "{columns}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sinks_write_one_file_at_once() {
    let file = Arc::new(File::new());
    let mut tasks = Vec::new();
    for name in ["left", "right"] {
        let file = Arc::clone(&file);
        tasks.push(tokio::spawn(async move {
            let (mut stream, mut schema) = notes(&json!({ "object": format!("t_{name}") }));
            stream.name = name.to_owned();
            schema.name = stream.full_name();
            file.admin(&stream).prepare(&schema).await.unwrap();
            let mut sink = opened(&file, &stream, &schema).await;
            let (_, mut fence) = claim(&mut *sink, Uuid::new_v4()).await;
            for step in 1..=40 {
                let rows = [(step, name, 0.0), (step + 1, "later", 1.0)];
                sink.commit(&batch(&schema, step, &rows), &fence).await.unwrap();
                fence.sequence += 1;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    for name in ["left", "right"] {
        assert_eq!(file.number(&format!("SELECT count(*) FROM t_{name}")).await, 41);
    }
    assert_eq!(file.number("SELECT sum(sequence) FROM etl_checkpoint").await, 82);
}

#[tokio::test]
async fn a_file_locked_by_somebody_else_is_transient() {
    let (file, _schema, mut sink) = prepared(&json!({})).await;
    let mut writer = file.connect().await;
    writer.execute("BEGIN IMMEDIATE").await.unwrap();
    let run = Run { id: Uuid::new_v4(), ttl: Duration::from_secs(30), waited: false };
    let error = sink.claim(&run).await.unwrap_err();
    assert_eq!(error.class(), Class::Transient, "{error:?}");
    writer.execute("ROLLBACK").await.unwrap();
    claim(&mut *sink, Uuid::new_v4()).await;
}
