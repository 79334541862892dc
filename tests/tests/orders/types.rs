//! Every type of the mapping, from Postgres to SQL Server and read back by value.

use etl_core::Pipeline;
use etl_core::connector::Stream;
use etl_core::pipeline::PipelineOptions;
use etl_tests::{mssql, postgres};
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// A literal and what the target must show for it.
type Cell = (&'static str, Option<&'static str>);

/// Column, its Postgres type, and cells.
const COLUMNS: &[(&str, &str, [Cell; 3])] = &[
    ("small", "smallint", [("-32768", Some("-32768")), ("32767", Some("32767")), ("NULL", None)]),
    (
        "whole",
        "integer",
        [("-2147483648", Some("-2147483648")), ("2147483647", Some("2147483647")), ("NULL", None)],
    ),
    (
        "big",
        "bigint",
        [
            ("-9223372036854775808", Some("-9223372036854775808")),
            ("9223372036854775807", Some("9223372036854775807")),
            ("NULL", None),
        ],
    ),
    ("single", "real", [("-1.5", Some("-1.5")), ("0.1", Some("0.1")), ("NULL", None)]),
    (
        "double",
        "double precision",
        [("-2.5e15", Some("-2500000000000000")), ("0.1", Some("0.1")), ("NULL", None)],
    ),
    (
        "amount",
        "numeric(18,2)",
        [
            ("-9999999999999999.99", Some("-9999999999999999.99")),
            ("0.01", Some("0.01")),
            ("NULL", None),
        ],
    ),
    (
        "wide",
        "numeric(38,10)",
        [
            (
                "-9999999999999999999999999999.9999999999",
                Some("-9999999999999999999999999999.9999999999"),
            ),
            ("1e-10", Some("0.0000000001")),
            ("NULL", None),
        ],
    ),
    (
        "free",
        "numeric",
        [("12345.678", Some("12345.678")), ("-0.001", Some("-0.001")), ("NULL", None)],
    ),
    ("flag", "boolean", [("true", Some("true")), ("false", Some("false")), ("NULL", None)]),
    ("fixed", "char(4)", [("'a'", Some("a")), ("'ab c'", Some("ab c")), ("NULL", None)]),
    ("short", "varchar(3)", [("'🚚🚚🚚'", Some("🚚🚚🚚")), ("' x '", Some(" x ")), ("NULL", None)]),
    (
        "note",
        "text",
        [
            ("''", Some("")),
            ("E'line\\none\\ttab \"q\" ''s''; ção'", Some("line\none\ttab \"q\" 's'; ção")),
            ("NULL", None),
        ],
    ),
    ("raw", "bytea", [("'\\x'", Some("")), ("'\\x0001ff00'", Some("0001ff00")), ("NULL", None)]),
    (
        "day",
        "date",
        [
            ("'0001-01-01'", Some("0001-01-01")),
            ("'9999-12-31'", Some("9999-12-31")),
            ("NULL", None),
        ],
    ),
    (
        "local",
        "timestamp",
        [
            ("'0001-01-01 00:00:00'", Some("0001-01-01T00:00:00.000000")),
            ("'9999-12-31 23:59:59.999999'", Some("9999-12-31T23:59:59.999999")),
            ("NULL", None),
        ],
    ),
    (
        "milli",
        "timestamp(3)",
        [
            ("'2024-02-29 12:34:56.789'", Some("2024-02-29T12:34:56.789000")),
            ("'1969-12-31 23:59:59.999'", Some("1969-12-31T23:59:59.999000")),
            ("NULL", None),
        ],
    ),
    (
        "second",
        "timestamptz(0)",
        [
            ("'2024-02-29 12:34:56+00'", Some("2024-02-29T12:34:56.000000Z")),
            ("'1969-12-31 23:59:59+00'", Some("1969-12-31T23:59:59.000000Z")),
            ("NULL", None),
        ],
    ),
    (
        "zoned",
        "timestamptz",
        [
            ("'0001-01-01 00:00:00+00'", Some("0001-01-01T00:00:00.000000Z")),
            ("'2023-11-14 22:13:20.123456+02'", Some("2023-11-14T20:13:20.123456Z")),
            ("NULL", None),
        ],
    ),
    (
        "clock",
        "time",
        [
            ("'00:00:00.000001'", Some("00:00:00.000001")),
            ("'23:59:59.999999'", Some("23:59:59.999999")),
            ("NULL", None),
        ],
    ),
    (
        "clock2",
        "time(2)",
        [
            ("'00:00:00.01'", Some("00:00:00.010000")),
            ("'23:59:59.99'", Some("23:59:59.990000")),
            ("NULL", None),
        ],
    ),
    (
        "uid",
        "uuid",
        [
            (
                "'00112233-4455-6677-8899-aabbccddeeff'",
                Some("00112233-4455-6677-8899-aabbccddeeff"),
            ),
            (
                "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
                Some("ffffffff-ffff-ffff-ffff-ffffffffffff"),
            ),
            ("NULL", None),
        ],
    ),
    ("doc", "jsonb", [("'{\"a\": 1}'", Some("{\"a\": 1}")), ("'[]'", Some("[]")), ("NULL", None)]),
    (
        "list",
        "integer[]",
        [("'{1,2,NULL}'", Some("{1,2,NULL}")), ("'{}'", Some("{}")), ("NULL", None)],
    ),
    (
        "span",
        "interval",
        [
            ("'1 day 02:03:04'", Some("1 day 02:03:04")),
            ("'-1 mon'", Some("-1 mons")),
            ("NULL", None),
        ],
    ),
];

async fn carried(columns: &[&str], target: &mssql::Database, source: &postgres::Database) {
    let mut select = vec!["id"];
    select.extend(columns);
    select.push("updated_at");
    let config = json!({
        "object": "dbo.every_type", "primary_key": ["id"], "select": select,
        "cursor": { "column": "updated_at" },
        "columns": if columns.contains(&"free") { json!({ "free": "decimal(20,4)", "span": "text" }) } else { json!({}) },
    });
    let stream = Stream {
        pipeline: "types".to_owned(),
        name: "public.every_type".to_owned(),
        config: serde_json::from_value(config).unwrap(),
    };
    let reader =
        (etl_sources::find("postgres").unwrap().build)(&source.section(), &stream).unwrap();
    let connector = etl_sinks::find("mssql").unwrap();
    let schema = reader.schema().await.unwrap();
    (connector.admin)(&target.section(), &stream).unwrap().prepare(&schema).await.unwrap();
    let sink = (connector.build)(&target.section(), &stream).unwrap();
    let options = PipelineOptions::default();
    let mut pipeline = Pipeline::new(stream.full_name(), reader, Vec::new(), sink, options);
    let finished = pipeline.run(&CancellationToken::new()).await;
    assert!(finished.error.is_none(), "{:?}", finished.error);
}

const CURSOR: &str = "updated_at timestamptz NOT NULL DEFAULT now());
    CREATE INDEX ON public.every_type (updated_at);
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN NEW.updated_at := now(); RETURN NEW; END $$;
    CREATE TRIGGER touch BEFORE UPDATE ON public.every_type
      FOR EACH ROW EXECUTE FUNCTION touch();";

#[tokio::test(flavor = "multi_thread")]
async fn every_type_arrives_as_it_was() {
    let (source, target) = (postgres::Database::new().await, mssql::Database::new().await);
    let definitions: Vec<_> = COLUMNS.iter().map(|(name, of, _)| format!("{name} {of}")).collect();
    source
        .execute(&format!(
            "CREATE TABLE public.every_type (id bigint PRIMARY KEY, {}, {CURSOR}",
            definitions.join(", ")
        ))
        .await;
    let names: Vec<_> = COLUMNS.iter().map(|(name, ..)| *name).collect();
    for row in 0..3 {
        let values: Vec<_> = COLUMNS.iter().map(|(_, _, cells)| cells[row].0).collect();
        source
            .execute(&format!(
                "INSERT INTO public.every_type (id, {}) VALUES ({row}, {})",
                names.join(", "),
                values.join(", ")
            ))
            .await;
    }
    carried(&names, &target, &source).await;
    let sql = format!("SELECT [{}] FROM [dbo].[every_type] ORDER BY [id];", names.join("], ["));
    let found = target.rows(&sql).await;
    assert_eq!(found.len(), 3);
    for (column, (name, _, cells)) in COLUMNS.iter().enumerate() {
        for (row, (_, wanted)) in cells.iter().enumerate() {
            let mut wanted = wanted.map(str::to_owned);
            if *name == "free" {
                wanted = wanted
                    .map(|text| format!("{text:0<width$}", width = text.find('.').unwrap() + 5));
            }
            assert_eq!(found[row][column], wanted, "{name}, row {row}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_and_binaries_of_any_length_arrive_as_they_were() {
    let (source, target) = (postgres::Database::new().await, mssql::Database::new().await);
    source
        .execute(&format!(
            "CREATE TABLE public.every_type (id bigint PRIMARY KEY, note text, raw bytea, {CURSOR}
             INSERT INTO public.every_type (id, note, raw)
             SELECT n, repeat('é', n), decode(repeat('a7', n), 'hex')
               FROM unnest(ARRAY[0, 1, 2000, 2001, 4000, 4001, 8000, 8001, 32767, 32768, 65535, 65536, 200000]) AS n"
        ))
        .await;
    carried(&["note", "raw"], &target, &source).await;
    let found =
        target.rows("SELECT [id], [note], [raw] FROM [dbo].[every_type] ORDER BY [id];").await;
    assert_eq!(found.len(), 13);
    for row in found {
        let length: usize = row[0].as_deref().unwrap().parse().unwrap();
        assert_eq!(row[1].as_deref(), Some("é".repeat(length).as_str()), "text of {length}");
        assert_eq!(row[2].as_deref(), Some("a7".repeat(length).as_str()), "binary of {length}");
    }
}
