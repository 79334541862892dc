//! Every type there and back; what counts as a difference.

use etl_core::connector::Stream;
use etl_core::{Pipeline, PipelineOptions, RunReport};
use etl_tests::postgres::Database;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row};
use tokio_util::sync::CancellationToken;

/// A table to read from and a table to write to, in two databases.
struct Pair {
    source: Database,
    target: Database,
    stream: Stream,
    columns: Vec<String>,
}

const TOUCH: &str = "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
   $$ BEGIN NEW.changed := clock_timestamp(); RETURN NEW; END $$;";

impl Pair {
    /// `columns` are definitions such as `a integer`, in both databases after `setup`.
    async fn new(setup: &str, columns: &[&str], more: Value) -> Self {
        let (source, target) = (Database::new().await, Database::new().await);
        let names: Vec<_> = ["id"]
            .into_iter()
            .chain(columns.iter().map(|column| column.split(' ').next().unwrap()))
            .chain(["changed"])
            .map(str::to_owned)
            .collect();
        source
            .execute(&format!(
                "{setup}; {TOUCH} CREATE TABLE public.t (id bigint PRIMARY KEY, {}, changed timestamptz NOT NULL DEFAULT now());
                 CREATE INDEX ON public.t (changed); CREATE TRIGGER touch BEFORE UPDATE ON public.t FOR EACH ROW EXECUTE FUNCTION touch()",
                columns.join(", ")
            ))
            .await;
        target.execute(setup).await;
        let mut config = json!({
            "object": "public.t", "primary_key": ["id"], "select": names,
            "cursor": { "column": "changed", "guard": "1s" },
        });
        for (key, value) in more.as_object().unwrap() {
            config[key] = value.clone();
        }
        let config = serde_json::from_value(config).unwrap();
        let stream = Stream { pipeline: "values".to_owned(), name: "public.t".to_owned(), config };
        Self { source, target, stream, columns: names }
    }

    async fn prepare(&self) {
        let schema = self.source().schema().await.unwrap();
        let admin =
            (etl_sinks::find("postgres").unwrap().admin)(&self.target.section(), &self.stream);
        admin.unwrap().prepare(&schema).await.unwrap();
    }

    fn source(&self) -> std::sync::Arc<dyn etl_core::source::Source> {
        (etl_sources::find("postgres").unwrap().build)(&self.source.section(), &self.stream)
            .unwrap()
    }

    async fn run(&self) -> RunReport {
        let sink =
            (etl_sinks::find("postgres").unwrap().build)(&self.target.section(), &self.stream);
        let name = self.stream.full_name();
        let options = PipelineOptions::default();
        let mut pipeline = Pipeline::new(name, self.source(), Vec::new(), sink.unwrap(), options);
        let finished = pipeline.run(&CancellationToken::new()).await;
        assert!(finished.error.is_none(), "{:?}", finished.error);
        finished.report
    }

    /// The whole table as text, but the cursor.
    async fn content(&self, database: &Database) -> Vec<Vec<Option<String>>> {
        let columns: Vec<_> = self.columns.iter().filter(|name| *name != "changed").collect();
        let shown: Vec<_> = columns.iter().map(|name| format!("{name}::text")).collect();
        let sql = format!("SELECT {} FROM public.t ORDER BY t.id", shown.join(", "));
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut database.connect().await).await;
        let row = |row: &sqlx::postgres::PgRow| (0..columns.len()).map(|at| row.get(at)).collect();
        rows.unwrap().iter().map(row).collect()
    }

    async fn assert_equal(&self) {
        assert_eq!(self.content(&self.target).await, self.content(&self.source).await);
    }
}

const TYPES: &[&str] = &[
    "a smallint",
    "b integer",
    "c bigint",
    "d real",
    "e double precision",
    "f numeric(38,0)",
    "g numeric(38,38)",
    "h numeric(18,2)",
    "i boolean",
    "j varchar(5)",
    "k text",
    "l bytea",
    "m date",
    "n timestamp",
    "o timestamptz(3)",
    "p time(0)",
    "q uuid",
    "r json",
    "s jsonb",
    "t integer[]",
    "u text[]",
    "v char(4)",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_type_comes_back_as_it_was_from_one_postgres_to_another() {
    let pair = Pair::new("", TYPES, json!({})).await;
    let nines = "9".repeat(38);
    pair.source
        .execute(&format!(
            r#"INSERT INTO t VALUES
            (1, -32768, -2147483648, -9223372036854775808, -3.4028235e38, 1.7976931348623157e308, -{nines}, 0.{nines},
             -9999999999999999.99, true, '🚚é😀中a', E'it''s \\ "x"\n\t%_ ', '\x00ff', '0001-01-01', '0001-01-01 00:00:00.000001',
             '9999-12-31 23:59:59.999Z', '00:00:00', '00000000-0000-0000-0000-000000000000', ' {{"b": 1,  "a": 1.00, "a": 2}} ',
             '{{"b": 1, "a": [1.00, null]}}', '{{1,NULL,-3}}', '{{"a b","\"", NULL, ""}}', 'ab'),
            (2, 32767, 2147483647, 9223372036854775807, 1e-45, 5e-324, {nines}, -0.{nines},
             9999999999999999.99, false, '', '', '', '9999-12-31', '9999-12-31 23:59:59.999999', '1969-12-31 23:59:59.999Z',
             '23:59:59', 'ffffffff-ffff-ffff-ffff-ffffffffffff', 'null', 'null', '{{}}', '{{}}', ''),
            (3, 0, 0, 0, 0, -0.0, 0, 0.00000000000000000000000000000000000001, 0.01, NULL, ' ', ' ', '\x20', '2000-01-01',
             '2000-01-01', '2024-03-31 01:30:00.001Z', '12:00', '12345678-9abc-def0-1234-56789abcdef0', '"x"', '[]', '[2:3]={{1,2}}',
             '{{{{a,b}},{{c,d}}}}', 'x'),
            (4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
            (5, 1, 1, 1, 0.1, 0.1, 10000, 0.0001, 100.00, true, 'x', repeat('long 🚚 ', 30000), decode(repeat('00ff', 100000), 'hex'),
             '1970-01-01', 'epoch', 'epoch', '01:02:03', gen_random_uuid(), '{{}}', '{{}}', '{{1}}', '{{x}}', 'abcd')"#
        ))
        .await;
    pair.prepare().await;
    let first = pair.run().await;
    assert_eq!(first.written, 5);
    pair.assert_equal().await;
    // Ties of the cursor are read again; what is there is found equal, value by value.
    let again = pair.run().await;
    assert_eq!((again.unchanged, again.written), (5, 0));
    // The types are the source's own: only char(n) became varchar(n).
    let types = |database: Database| async move {
        let sql = "SELECT string_agg(format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'public.t'::regclass AND attnum > 0";
        let types: String =
            sqlx::query_scalar(sql).fetch_one(&mut database.connect().await).await.unwrap();
        types
    };
    let wanted = types(pair.source.clone()).await.replace("character(4)", "character varying(4)");
    // A cursor without digits of its own gets six.
    assert_eq!(types(pair.target.clone()).await.replace("(6)", ""), wanted);
}

/// Types of the target that compare otherwise than by bytes, and the changes that must be seen.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_the_targets_own_comparison_does_not_see_arrives() {
    let setup = "CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        CREATE EXTENSION citext; CREATE TYPE mood AS ENUM ('sad', 'Sad'); CREATE DOMAIN short AS varchar(9)";
    let columns = [
        "a text",
        "b text",
        "c mood",
        "d json",
        "e jsonb",
        "f float8",
        "g float4",
        "h char(5)",
        "i text[]",
        "j text",
    ];
    let pair = Pair::new(setup, &columns, json!({})).await;
    pair.source.execute("INSERT INTO t VALUES (1, 'x', 'x', 'sad', '{\"a\":1}', '{\"a\":1.0}', 0, 0, 'x', '{a}', 'x')").await;
    pair.target
        .execute(
            "CREATE TABLE public.t (id bigint PRIMARY KEY, a text COLLATE nocase, b citext, c mood, d json, e jsonb,
             f float8, g float4, h char(5), i text[], j short, changed timestamptz)",
        )
        .await;
    pair.prepare().await;
    assert_eq!(pair.run().await.written, 1);
    pair.assert_equal().await;
    let mut missed = Vec::new();
    for change in [
        "a = 'X'",
        "a = 'X '",
        "b = 'X'",
        "c = 'Sad'",
        "d = '{\"a\": 1}'",
        "e = '{\"a\":1.00}'",
        "f = '-0'",
        "g = '-0'",
        "h = 'X'",
        "i = '{A}'",
        "i = '{\"A \"}'",
        "j = 'x '",
        "a = NULL",
        "f = NULL",
        "e = NULL",
    ] {
        // Without the trigger: the cursor stays, so that this column alone tells the difference.
        let quietly = format!("SET session_replication_role = replica; UPDATE t SET {change}");
        pair.source.execute(&quietly).await;
        let (first, again) = (pair.run().await, pair.run().await);
        let equal = pair.content(&pair.target).await == pair.content(&pair.source).await;
        if (first.written, again.written, again.unchanged, equal) != (1, 0, 1, true) {
            missed.push((change, first.written, again.written, equal));
        }
    }
    assert!(missed.is_empty(), "{missed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_somebody_else_inserts_at_the_same_time_is_updated() {
    let pair = Pair::new("", &["a text"], json!({ "foreign_writers": true })).await;
    pair.source.execute("INSERT INTO t SELECT g, 'ours' FROM generate_series(1, 3) g").await;
    pair.prepare().await;
    // Their row is there, not yet committed, when we look for it.
    let mut other = pair.target.connect().await;
    etl_tests::postgres::run(&mut other, "BEGIN; INSERT INTO t VALUES (2, 'theirs', now())").await;
    let (report, ()) = tokio::join!(pair.run(), async {
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        etl_tests::postgres::run(&mut other, "COMMIT").await;
    });
    assert_eq!(report.written, 3);
    pair.assert_equal().await;
}
