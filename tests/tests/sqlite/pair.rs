//! Source and sink together.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray,
    Float32Array, Float64Array, Int16Array, Int32Array, Int64Array, RecordBatch, StringArray,
    Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use etl_core::batch::Progress;
use etl_core::connector::Stream;
use etl_core::schema::meta;
use etl_core::sink::{Claim, Fence, Run};
use etl_core::{
    Batch, BatchLimits, Changes, Definition, Outcome, Pipeline, PipelineOptions, Position,
    RunReport, StreamSchema,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{File, stream, sweep};

async fn run(source: &File, target: &File, stream: &Stream) -> RunReport {
    let limits = BatchLimits { rows: 10_000, bytes: 8 << 20 };
    let options = PipelineOptions { limits, ..PipelineOptions::default() };
    let (from, to) = (source.source(stream), target.sink(stream));
    let mut pipeline = Pipeline::new(stream.full_name(), from, Vec::new(), to, options);
    let finished = pipeline.run(&CancellationToken::new()).await;
    assert_eq!(finished.report.outcome, Outcome::Success, "{:?}", finished.error);
    finished.report
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_thousand_rows_are_carried_changed_and_deleted() {
    const ROWS: u64 = 200_000;
    let source = File::with(&format!(
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer VARCHAR(60) NOT NULL, status \
         VARCHAR(20) NOT NULL, amount DECIMAL_TEXT(18,2) NOT NULL, note TEXT, updated_at \
         TIMESTAMPTZ_TEXT NOT NULL);
         CREATE INDEX orders_updated_at ON orders (updated_at);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
         INSERT INTO orders SELECT i, 'customer ' || (i % 977), 'confirmed',
           printf('%d.%02d', i % 1000, i % 100), iif(i % 3, 'note ' || i, NULL),
           strftime('%Y-%m-%dT%H:%M:%fZ', 1767322800 + i / 100, 'unixepoch') FROM n"
    ))
    .await;
    let stream = stream(json!({
        "object": "orders", "primary_key": ["id"], "cursor": { "column": "updated_at" },
        "select": ["id", "customer", "status", "amount", "note", "updated_at"],
        "where": "status = 'confirmed'",
    }));
    let target = File::new();
    let schema = source.source(&stream).schema().await.unwrap();
    target.admin(&stream).prepare(&schema).await.unwrap();

    let started = Instant::now();
    let first = run(&source, &target, &stream).await;
    eprintln!("{ROWS} rows loaded in {:?}", started.elapsed());
    assert_eq!((first.read, first.written), (ROWS, ROWS));

    let now = "updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";
    source
        .run(&format!(
            "UPDATE orders SET status = 'cancelled', {now} WHERE id % 1000 = 0;
             UPDATE orders SET amount = '0.01', {now} WHERE id % 1000 = 1"
        ))
        .await;
    let started = Instant::now();
    let second = run(&source, &target, &stream).await;
    eprintln!("400 changes carried in {:?}", started.elapsed());
    assert_eq!((second.written, second.deleted), (200, 200));

    let copy = etl_sql::sqlite::quote::text(&source.path.to_string_lossy());
    let mut c = target.connect().await;
    sqlx::Executor::execute(&mut c, sqlx::AssertSqlSafe(format!("ATTACH {copy} AS source")))
        .await
        .unwrap();
    let different: i64 = sqlx::query_scalar(
        "WITH want AS (SELECT * FROM source.orders WHERE status = 'confirmed'), have AS (SELECT \
         id, customer, status, amount, note, replace(updated_at, '000Z', 'Z') FROM main.orders) \
         SELECT (SELECT count(*) FROM (SELECT * FROM want EXCEPT SELECT * FROM have)) \
         + abs((SELECT count(*) FROM want) - (SELECT count(*) FROM have))",
    )
    .fetch_one(&mut c)
    .await
    .unwrap();
    assert_eq!(different, 0);
}

const DAY: i64 = 86_400_000_000;

type Column = (Field, ArrayRef);

fn column(name: &str, array: impl arrow::array::Array + 'static) -> Column {
    (Field::new(name, array.data_type().clone(), true), Arc::new(array))
}

fn meaning((field, array): Column, key: &str, value: &str) -> Column {
    (field.with_metadata([(key.to_owned(), value.to_owned())].into()), array)
}

fn texts(name: &str, values: [&str; 3]) -> Column {
    let [a, b, c] = values.map(Some);
    column(name, StringArray::from(vec![a, b, c, None]))
}

fn decimals(name: &str, precision: u8, scale: i8) -> Column {
    let most = 10_i128.pow(u32::from(precision)) - 1;
    let array = Decimal128Array::from(vec![Some(most), Some(-most), Some(0), None]);
    column(name, array.with_precision_and_scale(precision, scale).unwrap())
}

fn times(values: [i64; 3]) -> TimestampMicrosecondArray {
    let [a, b, c] = values.map(Some);
    TimestampMicrosecondArray::from(vec![a, b, c, None])
}

/// Every type that a sink must take, with the values at its ends.
fn every_type() -> Vec<Column> {
    let ends = [-719_162 * DAY, 2_932_897 * DAY - 1, -1];
    let uuids = [Some([0xab; 16]), Some([0; 16]), Some([255; 16]), None].into_iter();
    let uuids = FixedSizeBinaryArray::try_from_sparse_iter_with_size(uuids, 16).unwrap();
    let f32s = vec![Some(f32::MIN_POSITIVE), Some(f32::INFINITY), Some(0.1), None];
    let f64s = vec![Some(f64::MAX), Some(f64::NEG_INFINITY), Some(0.1 + 0.2), None];
    let blobs = vec![Some(b"\0\xff".as_slice()), Some(b""), Some(b"12"), None];
    vec![
        column("i16", Int16Array::from(vec![Some(i16::MIN), Some(i16::MAX), Some(0), None])),
        column("i32", Int32Array::from(vec![Some(i32::MIN), Some(i32::MAX), Some(0), None])),
        column("i64", Int64Array::from(vec![Some(i64::MIN), Some(i64::MAX), Some(0), None])),
        column("f32", Float32Array::from(f32s)),
        column("f64", Float64Array::from(f64s)),
        decimals("d18", 18, 2),
        decimals("d38", 38, 10),
        decimals("d38all", 38, 38),
        decimals("d5", 5, 0),
        column("bool", BooleanArray::from(vec![Some(true), Some(false), Some(true), None])),
        texts("text", ["", "it's \"🦀\" \r\n%", " 1.10 "]),
        meaning(texts("chars", ["🦀🦀🦀", "007", "1e5"]), meta::MAX_CHARS, "3"),
        meaning(texts("units", ["🦀🦀", "a   ", "NULL"]), meta::MAX_UNITS, "4"),
        meaning(texts("json", ["{\"a\": 1.0}", "1", "null"]), meta::MEANING, "json"),
        meaning(texts("array", ["[1,2]", "[]", "[null]"]), meta::MEANING, "array"),
        column("bytes", BinaryArray::from_opt_vec(blobs)),
        meaning(column("uuid", uuids), meta::MEANING, "uuid"),
        column("date", Date32Array::from(vec![Some(-719_162), Some(2_932_896), Some(0), None])),
        column("at", times(ends)),
        column("at_utc", times(ends).with_timezone("UTC")),
        meaning(
            column("at_ms", times([1_000, 0, -1_000]).with_timezone("UTC")),
            meta::FRACTION,
            "3",
        ),
        column("time", Time64MicrosecondArray::from(vec![Some(0), Some(DAY - 1), Some(1), None])),
    ]
}

/// Commits `records` in a new file, once for appends, twice for upserts.
async fn written(stream: &Stream, described: &StreamSchema, records: &RecordBatch) -> File {
    let file = File::new();
    file.admin(stream).prepare(described).await.unwrap();
    let mut sink = file.sink(stream);
    sink.open(described).await.unwrap();
    let ttl = Duration::from_mins(1);
    let run = Run { id: Uuid::new_v4(), ttl, waited: false };
    let Claim::Claimed(claimed) = sink.claim(&run).await.unwrap() else { panic!("busy") };
    let sequence = claimed.sequence;
    let mut fence =
        Fence { run: run.id, sequence, definition: "{}".to_owned(), ttl, generation: 0 };
    let batch = |step: i64| {
        Batch::new(
            Changes::upserts(records.clone()),
            Position::encode(&step).unwrap(),
            Progress::default(),
        )
    };
    assert_eq!(sink.commit(&batch(1), &fence).await.unwrap().inserted, 4);
    if stream.config.mode == etl_core::connector::Mode::Upsert {
        fence.sequence += 1;
        assert_eq!(sink.commit(&batch(2), &fence).await.unwrap().unchanged, 4);
    } else {
        // What a source asks for, and an append target does not have.
        file.run("CREATE UNIQUE INDEX orders_id ON orders (id)").await;
    }
    file
}

#[tokio::test]
async fn every_type_is_written_and_read_back() {
    let changed = times([1, 2, 3]).with_timezone("UTC");
    let changed = TimestampMicrosecondArray::from(
        changed.iter().map(|micros| micros.or(Some(4))).collect::<Vec<_>>(),
    );
    let mut all = vec![column("id", Int64Array::from(vec![1, 2, 3, 4]))];
    all.extend(every_type());
    all.push(column("changed", changed.with_timezone("UTC")));
    let (fields, columns): (Vec<_>, Vec<_>) = all
        .into_iter()
        .map(|(field, array)| {
            let nullable = field.name() != "id" && field.name() != "changed";
            (field.with_nullable(nullable), array)
        })
        .unzip();
    let names: Vec<_> = fields.iter().map(|field| field.name().clone()).collect();
    let schema = Arc::new(Schema::new(fields));
    let records = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    assert!(matches!(
        schema.field_with_name("at").unwrap().data_type(),
        DataType::Timestamp(TimeUnit::Microsecond, None)
    ));
    for mode in ["upsert", "append"] {
        let stream = stream(json!({
            "object": "orders", "mode": mode, "primary_key": ["id"], "select": names,
            "cursor": { "column": "changed", "unindexed": true },
        }));
        let described = StreamSchema {
            name: stream.full_name(),
            schema: Arc::clone(&schema),
            key: vec!["id".to_owned()],
            definition: Definition::default(),
        };
        let file = written(&stream, &described, &records).await;
        let back = sweep(&*file.source(&stream), None, BatchLimits::default()).await.unwrap();
        let back = back[0].changes.records();
        for (index, field) in schema.fields().iter().enumerate() {
            let mut found = back.schema().field(index).clone();
            found.metadata_mut().remove(meta::SOURCE_TYPE);
            assert_eq!(&found, field.as_ref(), "{mode}");
            assert_eq!(back.column(index), records.column(index), "{} {mode}", field.name());
        }
    }
}
