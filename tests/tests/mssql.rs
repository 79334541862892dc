//! The SQL Server sink against a server.
use std::sync::Arc;
use std::time::Duration;
use arrow::array::*;
use arrow::datatypes::*;
use etl_core::connector::Stream;
use etl_core::schema::*;
use etl_core::sink::*;
use etl_core::*;
use etl_tests::mssql::Database;
use serde_json::json;

#[tokio::test]
async fn smoke() {
    let db = Database::new().await;
    let config: StreamConfig = serde_json::from_value(json!({"object":"dbo.orders","primary_key":["id"],"cursor":{"column":"u"},"select":["id","name","amount","u","f","b","d","t","g","x"]})).unwrap();
    let stream = Stream { pipeline: "p".into(), name: "public.orders".into(), config };
    let con = etl_sinks::find("mssql").unwrap();
    let mut sink = (con.build)(&db.section(), &stream).unwrap();
    let mut admin = (con.admin)(&db.section(), &stream).unwrap();
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("name", DataType::Utf8, true).with_metadata([(meta::MAX_CHARS.to_owned(), "20".to_owned())].into()),
        Field::new("amount", DataType::Decimal128(18,2), true),
        Field::new("u", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
        Field::new("f", DataType::Float64, true),
        Field::new("b", DataType::Boolean, true),
        Field::new("d", DataType::Date32, true),
        Field::new("t", DataType::Time64(TimeUnit::Microsecond), true),
        Field::new("g", DataType::FixedSizeBinary(16), true),
        Field::new("x", DataType::Binary, true),
    ]));
    let ss = StreamSchema { name: "p/public.orders".into(), schema: schema.clone(), key: vec!["id".into()], definition: Definition::default() };
    for s in admin.plan(&ss).unwrap() { println!("-- {}\n{}\nGO", s.name, s.text); }
    admin.prepare(&ss).await.unwrap();
    admin.prepare(&ss).await.unwrap();
    for f in admin.check(&ss).await.unwrap() { println!("{f}"); }
    sink.open(&ss).await.unwrap();
    let run = Run { id: uuid::Uuid::new_v4(), ttl: Duration::from_secs(5), waited: false };
    let Claim::Claimed(c) = sink.claim(&run).await.unwrap() else { panic!() };
    println!("{c:?}");
    let batch = |name: Option<&str>, pos: &str| {
        let r = RecordBatch::try_new(schema.clone(), vec![
            Arc::new(Int64Array::from(vec![1,2])) as ArrayRef,
            Arc::new(StringArray::from(vec![name, Some("x🚚")])),
            Arc::new(Decimal128Array::from(vec![Some(-123456), None]).with_precision_and_scale(18,2).unwrap()),
            Arc::new(TimestampMicrosecondArray::from(vec![1_700_000_000_123_456, -1]).with_timezone("UTC")),
            Arc::new(Float64Array::from(vec![Some(1.5), None])),
            Arc::new(BooleanArray::from(vec![Some(true), None])),
            Arc::new(Date32Array::from(vec![Some(-719162), Some(2932896)])),
            Arc::new(Time64MicrosecondArray::from(vec![Some(86_399_999_999), None])),
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size([Some([1u8,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]), None].into_iter(), 16).unwrap()),
            Arc::new(BinaryArray::from(vec![Some(&b"\0\x01"[..]), Some(&b""[..])])),
        ]).unwrap();
        Batch { changes: Changes::upserts(r), position: Position::from_text(pos).unwrap(), progress: Progress::default() }
    };
    let mut fence = Fence { run: run.id, sequence: c.sequence, definition: "{}".into(), ttl: Duration::from_secs(5) };
    for (name, pos) in [(Some("a"),"1"),(Some("A"),"2"),(Some("A "),"3"),(Some("A "),"4"),(None,"5"),(Some(""),"6")] {
        let counts = sink.commit(&batch(name,pos), &fence).await.unwrap();
        println!("{name:?} {counts:?}");
        println!("again {:?}", sink.commit(&batch(name,pos), &fence).await.unwrap());
        fence.sequence += 1;
    }
    let mut stale = fence.clone(); stale.sequence -= 2;
    println!("{:?}", sink.commit(&batch(None,"7"), &stale).await);
    println!("{:?}", sink.renew(&fence).await);
    let run2 = Run { id: uuid::Uuid::new_v4(), ttl: Duration::from_secs(5), waited: false };
    let mut sink2 = (con.build)(&db.section(), &stream).unwrap();
    println!("{:?}", sink2.claim(&run2).await);
    println!("{:?}", admin.checkpoint().await);
    println!("{:?}", admin.change(StateChange::Position(None)).await);
    println!("{:?}", sink.commit(&batch(None,"7"), &fence).await);
    for r in db.texts("SELECT CONVERT(nvarchar(40),id), name, CONVERT(nvarchar(40),amount), CONVERT(nvarchar(60),u,126), CONVERT(nvarchar(40),f), CONVERT(nvarchar(40),b), CONVERT(nvarchar(40),d), CONVERT(nvarchar(40),t), CONVERT(nvarchar(40),g), CONVERT(nvarchar(40),DATALENGTH(x)) FROM dbo.orders ORDER BY id").await { println!("{r:?}"); }
    for r in db.texts("SELECT outcome, CONVERT(nvarchar(40),rows_written), CONVERT(nvarchar(40),rows_updated), CONVERT(nvarchar(40),rows_unchanged) FROM etl.run").await { println!("{r:?}"); }
}

#[tokio::test]
async fn init_smoke() {
    let db = Database::new().await;
    let config: StreamConfig = serde_json::from_value(json!({"object":"sales.orders","primary_key":["id"],"cursor":{"column":"u"},"select":["id"]})).unwrap();
    let ss = StreamSchema { name: "p/public.orders".into(), schema: Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false), Field::new("n", DataType::Int64, false)])), key: vec!["id".into()], definition: Definition::default() };
    let target = Arc::new(etl_sql::mssql::target::Target::planned(&config, &ss).unwrap());
    let mut job = db.owner.clone();
    job.user = "etl_job".into();
    for pw in ["Str0ng'pw-1", "Str0ng'pw-2"] {
    job.password = secrecy::SecretString::from(pw);
    let steps = mssql_init::steps::steps(&job, &[target.clone()]).unwrap();
    mssql_init::run(&db.owner, &job, &steps, Duration::from_secs(20)).await.unwrap();
    etl_sql::mssql::Connection::open(&job).await.unwrap();
    }
    let stream = Stream { pipeline: "p".into(), name: "public.orders".into(), config };
    let con = etl_sinks::find("mssql").unwrap();
    let mut admin = (con.admin)(&db.section_as("etl_job", "Str0ng'pw-2"), &stream).unwrap();
    for f in admin.check(&ss).await.unwrap() { println!("{f}"); }
    let mut c = etl_sql::mssql::Connection::open(&job).await.unwrap();
    println!("{:?}", c.batch("CREATE TABLE dbo.x (a int)", "x").await.map(drop));
}
