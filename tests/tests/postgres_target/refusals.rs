//! Tables and values that are refused, by name, before anything is written.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Decimal128Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Field, Schema};
use etl_core::connector::Stream;
use etl_core::schema::meta;
use etl_core::sink::{Claim, Fence, Run, Sink, SinkAdmin};
use etl_core::{Batch, Changes, Class, Definition, Error, Position, Result, StreamSchema};
use etl_sql::postgres::bulk;
use etl_sql::postgres::target::Target;
use etl_tests::postgres::{Database, standby};
use serde_json::{Value, json};
use uuid::Uuid;

use super::shop::Shop;

fn stream() -> Stream {
    let config = json!({
        "object": "public.t", "primary_key": ["k"], "select": ["k", "a", "at"],
        "cursor": { "column": "at" },
    });
    let config = serde_json::from_value(config).unwrap();
    Stream { pipeline: "refusals".to_owned(), name: "t".to_owned(), config }
}

fn records(key: &str, amount: i128, at: i64) -> RecordBatch {
    let amounts = Decimal128Array::from(vec![amount]).with_precision_and_scale(10, 3).unwrap();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("k", Arc::new(StringArray::from(vec![key]))),
        ("a", Arc::new(amounts)),
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![at]))),
    ];
    let fields: Vec<_> = columns
        .iter()
        .map(|(name, array)| Field::new(*name, array.data_type().clone(), *name != "k"))
        .collect();
    let columns = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn schema() -> StreamSchema {
    StreamSchema {
        name: stream().full_name(),
        schema: records("", 0, 0).schema(),
        key: vec!["k".to_owned()],
        definition: Definition::default(),
    }
}

fn admin(section: &Value) -> Box<dyn SinkAdmin> {
    (etl_sinks::find("postgres").unwrap().admin)(section, &stream()).unwrap()
}

async fn open(section: &Value) -> Result<Box<dyn Sink>> {
    let mut sink = (etl_sinks::find("postgres").unwrap().build)(section, &stream()).unwrap();
    sink.open(&schema()).await?;
    Ok(sink)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_would_lose_or_bend_rows_is_refused_by_name() {
    for (table, told) in [
        ("CREATE UNLOGGED TABLE t (k text PRIMARY KEY, a numeric, at timestamp)", "UNLOGGED"),
        (
            "CREATE TABLE t (k citext PRIMARY KEY, a numeric, at timestamp)",
            "different keys are equal",
        ),
        (
            "CREATE TABLE t (k text COLLATE nocase PRIMARY KEY, a numeric, at timestamp)",
            "different keys are equal",
        ),
        (
            "CREATE TABLE t (k text PRIMARY KEY, a numeric(10,2), at timestamp)",
            "column a is numeric(10,2)",
        ),
        (
            "CREATE TABLE t (k text PRIMARY KEY, a numeric(9,3), at timestamp)",
            "column a is numeric(9,3)",
        ),
        (
            "CREATE TABLE t (k text PRIMARY KEY, a float8, at timestamp)",
            "column a is double precision",
        ),
        (
            "CREATE TABLE t (k text PRIMARY KEY, a numeric, at timestamptz)",
            "column at is timestamp with time zone",
        ),
        (
            "CREATE TABLE t (k text PRIMARY KEY, a numeric, at timestamp(3))",
            "column at is timestamp(3)",
        ),
        ("CREATE TABLE t (k text PRIMARY KEY, a numeric)", "column at (timestamp(6)) is missing"),
        ("CREATE TABLE t (k jsonb PRIMARY KEY, a numeric, at timestamp)", "column k is jsonb"),
        ("CREATE TABLE t (k text, a numeric, at timestamp, UNIQUE (k, a))", "unique index"),
        (
            "CREATE TABLE t (k text, a numeric, at timestamp); CREATE UNIQUE INDEX ON t (k) WHERE a > 0",
            "unique index",
        ),
        (
            "CREATE TABLE t (k text, a numeric, at timestamp); CREATE UNIQUE INDEX ON t (lower(k))",
            "unique index",
        ),
        (
            "CREATE TABLE t (k text PRIMARY KEY, a numeric, at timestamp, more int NOT NULL)",
            "column more is NOT NULL",
        ),
        (
            "CREATE TABLE t (k text PRIMARY KEY, a numeric GENERATED ALWAYS AS (1) STORED, at timestamp)",
            "column a is generated",
        ),
        ("CREATE VIEW t AS SELECT 'x'::text AS k, 1::numeric AS a, now()::timestamp AS at", "view"),
        (
            "CREATE TABLE t (k text PRIMARY KEY, a numeric, at timestamp); CREATE TABLE u () INHERITS (t)",
            "inherit",
        ),
        (
            "CREATE TABLE t (k text PRIMARY KEY, a numeric, at timestamp); CREATE RULE r AS ON INSERT TO t DO INSTEAD NOTHING",
            "rule",
        ),
    ] {
        let database = Database::new().await;
        database
            .execute(&format!(
                "CREATE EXTENSION citext; CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false); {table}"
            ))
            .await;
        let error = open(&database.section()).await.err().expect(table);
        assert_eq!(error.class(), Class::Schema, "{table}: {error}");
        assert!(error.to_string().contains(told), "{table}: {error}");
        // Preparing says the same: a table that was there before must fit as well.
        let error = admin(&database.section()).prepare(&schema()).await.expect_err(table);
        assert!(error.to_string().contains(told), "{table}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_more_than_the_stream_needs_is_taken() {
    for table in [
        "CREATE TABLE t (k varchar(20) PRIMARY KEY, a numeric(20,5), at timestamp, id serial, more int NOT NULL DEFAULT 1)",
        "CREATE TABLE t (k text COLLATE \"en_US\" NOT NULL, a numeric, at timestamp, id int GENERATED ALWAYS AS IDENTITY); CREATE UNIQUE INDEX ON t (k)",
        "CREATE TABLE t (k text, a numeric, at timestamp, PRIMARY KEY (k)) PARTITION BY HASH (k); CREATE TABLE t0 PARTITION OF t FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
        "CREATE DOMAIN code AS varchar(9) CHECK (value <> ''); CREATE TABLE t (k code PRIMARY KEY, a numeric, at timestamp)",
        "CREATE TYPE shade AS ENUM ('key'); CREATE TABLE t (k shade PRIMARY KEY, a numeric, at timestamp)",
        "CREATE TABLE t (k char(9) PRIMARY KEY, a numeric, at timestamp)",
    ] {
        let table =
            if table.contains("en_US") { table.replace("en_US", "C") } else { table.to_owned() };
        let database = Database::new().await;
        database.execute(&table).await;
        admin(&database.section()).prepare(&schema()).await.unwrap();
        for finding in admin(&database.section()).check(&schema()).await.unwrap() {
            assert!(finding.ok, "{table}: {finding}");
        }
        for amount in [1, 2] {
            let report = commit(&database.section(), &records("key", amount, 0)).await;
            assert!(report.is_ok(), "{table}: {report:?}");
        }
        let mut connection = database.connect().await;
        let found: Vec<(String, String)> =
            sqlx::query_as("SELECT k::text, a::numeric(10,3)::text FROM t")
                .fetch_all(&mut connection)
                .await
                .unwrap();
        assert_eq!(found, [("key".to_owned(), "0.002".to_owned())], "{table}");
    }
}

/// One batch of one row by a run of its own.
async fn commit(section: &Value, records: &RecordBatch) -> Result<()> {
    let mut sink = open(section).await?;
    let ttl = std::time::Duration::from_millis(1);
    let run = Run { id: Uuid::new_v4(), ttl, waited: false };
    let claimed = loop {
        match sink.claim(&run).await? {
            Claim::Claimed(claimed) => break claimed,
            Claim::Busy(_) => tokio::time::sleep(ttl).await,
        }
    };
    let sequence = claimed.sequence;
    let fence = Fence { run: run.id, sequence, definition: "{}".to_owned(), ttl, generation: 0 };
    let batch = Batch::new(
        Changes::upserts(records.clone()),
        Position::encode(&sequence)?,
        etl_core::Progress::default(),
    );
    sink.commit(&batch, &fence).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_the_server_would_round_cut_or_misread_is_refused_with_column_and_key() {
    let narrow = "CREATE TABLE t (k varchar(6) PRIMARY KEY, a numeric(10,3), at timestamp)";
    for (table, key, at, column, told) in [
        (narrow, "seven77", 0, "k", "7 characters"),
        // Postgres would cut the blank off.
        (narrow, "six666 ", 0, "k", "7 characters"),
        (narrow, "a\0b", 0, "k", "NUL"),
        (narrow, "ok", i64::MIN, "at", "out of range"),
        ("CREATE TABLE t (k char(6) PRIMARY KEY, a numeric, at timestamp)", "a ", 0, "k", "blank"),
    ] {
        let database = Database::new().await;
        database.execute(table).await;
        admin(&database.section()).prepare(&schema()).await.unwrap();
        let error = commit(&database.section(), &records(key, 1, at)).await.expect_err(told);
        assert_eq!(error.class(), Class::Data, "{error}");
        let text = error.to_string();
        assert!(text.contains(&format!("column {column}")) && text.contains(told), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_constraint_of_the_target_stops_the_run_by_name_and_without_the_value() {
    let database = Database::new().await;
    database
        .execute("CREATE TABLE t (k text PRIMARY KEY, a numeric(10,3) UNIQUE, at timestamp, CONSTRAINT no_canary CHECK (k <> 'CANARY'))")
        .await;
    admin(&database.section()).prepare(&schema()).await.unwrap();
    commit(&database.section(), &records("first", 1, 0)).await.unwrap();
    // No index takes so much, and it cannot be made smaller.
    let mut random = fastrand::Rng::with_seed(7);
    let long: String = (0..9000).map(|_| random.alphanumeric()).collect();
    for (key, amount, told) in
        [("CANARY", 2, "no_canary"), ("second", 1, "t_a_key"), (long.as_str(), 3, "larger")]
    {
        let error = commit(&database.section(), &records(key, amount, 0)).await.expect_err(told);
        assert_eq!(error.class(), Class::Data, "{error}");
        let text = format!("{error:?}");
        assert!(text.contains(told) && !text.contains("CANARY"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_takes_no_writes_is_told_as_such_and_left_so() {
    let database = Database::new().await;
    admin(&database.section()).prepare(&schema()).await.unwrap();
    database
        .execute(&format!(
            "ALTER DATABASE {} SET default_transaction_read_only = on",
            database.name
        ))
        .await;
    read_only(&database.section(), "default_transaction_read_only").await;
    let error = commit(&database.section(), &records("k", 1, 0)).await.unwrap_err();
    assert_eq!((error.class(), error.code()), (Class::Transient, Some("25006")), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_told_as_such() {
    let Some(standby) = standby().await else { return };
    let findings = admin(&standby.section()).check(&schema()).await.unwrap();
    let told: Vec<_> =
        findings.iter().filter(|finding| !finding.ok).map(ToString::to_string).collect();
    assert!(told.iter().any(|told| told.contains("standby")), "{told:?}");
    let error: Error = admin(&standby.section()).prepare(&schema()).await.unwrap_err();
    assert!(error.to_string().contains("standby"), "{error}");
}

async fn read_only(section: &Value, told: &str) {
    let findings = admin(section).check(&schema()).await.unwrap();
    let wrong: Vec<_> = findings.iter().filter(|finding| !finding.ok).collect();
    assert!(wrong.iter().any(|finding| finding.to_string().contains(told)), "{findings:?}");
}

#[test]
fn a_target_that_is_a_state_table_is_refused() {
    let database = json!({ "type": "postgres", "url": "postgres://u@localhost/d" });
    let mut stream = stream();
    stream.config.object = "etl.run".to_owned();
    let built = (etl_sinks::find("postgres").unwrap().build)(&database, &stream);
    assert!(built.err().unwrap().to_string().contains("state table"));
}

/// What of one value becomes of a column that is made for `field`.
fn encoded(field: &Field, array: ArrayRef) -> Result<Vec<u8>> {
    let schema = Arc::new(Schema::new(vec![field.clone()]));
    let stream_schema = StreamSchema { schema: Arc::clone(&schema), ..self::schema() };
    let target = Target::planned(&stream().config, &stream_schema)?;
    let records = RecordBatch::try_new(schema, vec![array]).unwrap();
    bulk::encode(&target, &Changes::upserts(records))
}

fn declared(array: &ArrayRef, key: &str, value: &str) -> Field {
    Field::new("k", array.data_type().clone(), false)
        .with_metadata([(key.to_owned(), value.to_owned())].into())
}

#[test]
fn a_declared_length_in_utf16_units_is_kept() {
    let encoded = |text: &str| {
        let array: ArrayRef = Arc::new(StringArray::from(vec![text]));
        encoded(&declared(&array, meta::MAX_UNITS, "2"), array)
    };
    assert!(encoded("🚚").is_ok() && encoded("ab").is_ok());
    let error = encoded("🚚a").unwrap_err();
    assert!(error.to_string().contains("3 UTF-16 code units"), "{error}");
}

#[test]
fn digits_of_a_second_that_the_server_would_round_are_refused() {
    let encoded = |micros: i64| {
        let array: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![micros]));
        encoded(&declared(&array, meta::FRACTION, "3"), array)
    };
    assert!(encoded(-1_000).is_ok() && encoded(1_999_000).is_ok());
    let error = encoded(1_999_999).unwrap_err();
    assert!(error.to_string().contains("more than 3 fractional digits"), "{error}");
}

/// What a server says quotes values; neither we nor the driver repeat it.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_trigger_says_is_in_no_output() {
    let shop = Shop::sqlite(10, "upsert").await;
    let trigger = |level: &str| {
        format!(
            "CREATE OR REPLACE FUNCTION public.loud() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             RAISE {level} 'Kn4rie % \n{{}}', NEW.customer; RETURN NEW; END $$; \
             CREATE OR REPLACE TRIGGER loud BEFORE INSERT ON dw.orders FOR EACH ROW \
             EXECUTE FUNCTION public.loud()"
        )
    };
    shop.target.execute(&trigger("EXCEPTION")).await;
    let said = shop.job("run", &["--json"]).expect(65);
    assert!(said.stderr.contains("a trigger refuses a row"), "{said:?}");
    assert!(!format!("{said:?}").contains("Kn4rie"), "{said:?}");
    shop.target.execute(&trigger("WARNING")).await;
    let said = shop.job("run", &["--json"]).expect(0);
    assert!(!format!("{said:?}").contains("Kn4rie"), "{said:?}");
}
