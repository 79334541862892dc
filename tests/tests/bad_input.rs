//! Bad input: refused before anything is written, with what to change.
//!
//! Over every pair a stream is prepared that would run. Then each fault is tried alone; after each the
//! target must be as empty as before, and once all are mended the stream must run.

use etl_core::connector::Stream;
use etl_core::sink::SinkAdmin;
use etl_core::{Class, Error, Outcome, Pipeline, PipelineOptions, RunReport};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row as _};
use tokio_util::sync::CancellationToken;

use crate::support::side::Side;

const KINDS: &[&str] = &["mssql", "postgres", "sqlite"];

/// A table `t` of three rows with what the faults need: `odd` has no mapping, and `long` is a
/// key without a length where the database takes such keys.
const TABLES: [(&str, &str); 3] = [
    (
        "mssql",
        "CREATE TABLE dbo.t (id nvarchar(20) NOT NULL PRIMARY KEY, amount decimal(18,2),
           note nvarchar(40), at datetime2(3), odd datetime2(7),
           long nvarchar(851) NOT NULL CONSTRAINT long_key UNIQUE, cur rowversion NOT NULL);
         CREATE UNIQUE INDEX ix_cur ON dbo.t (cur);
         INSERT INTO dbo.t (id, long) VALUES (N'a', N'a'), (N'b', N'b'), (N'c', N'c');",
    ),
    (
        "postgres",
        "CREATE TABLE public.t (id varchar(20) PRIMARY KEY, amount numeric(18,2),
           note varchar(40), at timestamp(3), odd interval, long text NOT NULL UNIQUE,
           cur timestamptz NOT NULL DEFAULT now());
         CREATE INDEX ON public.t (cur, id);
         CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN NEW.cur := now(); RETURN NEW; END $$;
         CREATE TRIGGER touch BEFORE UPDATE ON public.t FOR EACH ROW EXECUTE FUNCTION touch();
         INSERT INTO public.t (id, long) VALUES ('a', 'a'), ('b', 'b'), ('c', 'c')",
    ),
    (
        "sqlite",
        "PRAGMA journal_mode = WAL;
         CREATE TABLE t (id VARCHAR(20) NOT NULL PRIMARY KEY, amount DECIMAL_TEXT(18,2),
           note VARCHAR(40), at TIMESTAMP_TEXT(3), odd GEOMETRY, long TEXT NOT NULL UNIQUE,
           cur TIMESTAMPTZ_TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')));
         CREATE INDEX t_cur ON t (cur);
         CREATE TRIGGER t_touched AFTER UPDATE ON t FOR EACH ROW BEGIN
           UPDATE t SET cur = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now') WHERE id = NEW.id; END;
         INSERT INTO t (id, long) VALUES ('a', 'a'), ('b', 'b'), ('c', 'c')",
    ),
];

/// What is wrong with a stream's config, and words of what is said about it.
struct Fault {
    change: fn(&mut Value),
    class: Class,
    words: &'static [&'static str],
}

fn select(config: &mut Value, column: &str) {
    config["select"].as_array_mut().unwrap().push(column.into());
}

/// Faults that each source tells.
const OF_SOURCES: &[Fault] = &[
    Fault {
        change: |config| select(config, "odd"),
        class: Class::Schema,
        words: &["column odd", "columns"],
    },
    Fault {
        change: |config| select(config, "missing"),
        class: Class::Schema,
        words: &["no column missing"],
    },
    Fault {
        change: |config| config["columns"] = json!({ "amount": "decimal(18,1)" }),
        class: Class::Config,
        words: &["columns.amount", "2 digits after the point", "declare decimal(19,2)"],
    },
    Fault {
        change: |config| config["columns"] = json!({ "amount": "decimal(17,2)" }),
        class: Class::Config,
        words: &["columns.amount", "16 digits before the point", "declare decimal(18,2)"],
    },
    Fault {
        change: |config| config["columns"] = json!({ "at": "datetime2(2)" }),
        class: Class::Config,
        words: &["columns.at", "3 digits of a second", "declare datetime2(3)"],
    },
];

struct Bad {
    source: Side,
    target: Side,
    name: &'static str,
    object: &'static str,
}

impl Bad {
    async fn new(from: &str, to: &str) -> Self {
        let (source, target) = (Side::of(from).await, Side::of(to).await);
        let (_, sql) = TABLES.iter().find(|(kind, _)| *kind == from).unwrap();
        source.execute(sql).await;
        let name = |kind| match kind {
            "mssql" => "dbo.t",
            "postgres" => "public.t",
            _ => "t",
        };
        let (name, object) = (name(from), name(to));
        Self { source, target, name, object }
    }

    /// The stream that would run, changed.
    fn stream(&self, change: impl FnOnce(&mut Value)) -> Stream {
        let mut config = json!({
            "object": self.object, "primary_key": ["id"],
            "select": ["id", "amount", "note", "at", "cur"], "cursor": { "column": "cur" },
        });
        change(&mut config);
        let config = serde_json::from_value(config).unwrap();
        Stream { pipeline: "bad".to_owned(), name: self.name.to_owned(), config }
    }

    fn admin(&self, stream: &Stream) -> Box<dyn SinkAdmin> {
        let section = self.target.section();
        (etl_sinks::find(self.target.kind()).unwrap().admin)(&section, stream).unwrap()
    }

    /// As `prepare` or `mssql-init` does it.
    async fn prepare(&self, stream: &Stream) -> Result<(), Error> {
        let source = self.source.section();
        let source = (etl_sources::find(self.source.kind()).unwrap().build)(&source, stream)?;
        self.admin(stream).prepare(&source.schema().await?).await
    }

    async fn run(&self, stream: &Stream) -> Result<RunReport, Error> {
        let (from, to) = (self.source.section(), self.target.section());
        let from = (etl_sources::find(self.source.kind()).unwrap().build)(&from, stream)?;
        let to = (etl_sinks::find(self.target.kind()).unwrap().build)(&to, stream)?;
        let options = PipelineOptions::default();
        let mut pipeline = Pipeline::new(stream.full_name(), from, Vec::new(), to, options);
        let finished = pipeline.run(&CancellationToken::new()).await;
        finished.error.map_or(Ok(finished.report), Err)
    }

    /// A run is refused in these words, and nothing is written; so is preparing.
    async fn refused(&self, stream: &Stream, class: Class, words: &[&str]) {
        let pair = format!("{} to {}", self.source.kind(), self.target.kind());
        for error in [self.run(stream).await.map(drop), self.prepare(stream).await] {
            let error = error.expect_err(&format!("{pair} was not refused: {words:?}"));
            let text = error.to_string();
            assert_eq!(error.class(), class, "{pair}: {text}");
            for word in words {
                assert!(text.contains(word), "{pair}: no {word} in {text}");
            }
        }
        self.assert_nothing_was_written(&pair).await;
    }

    async fn assert_nothing_was_written(&self, pair: &str) {
        assert_eq!(self.rows().await, 0, "{pair}: rows were written");
        let checkpoint = self.admin(&self.stream(|_| ())).checkpoint().await.unwrap();
        assert_eq!(checkpoint.and_then(|found| found.position), None, "{pair}: a position");
    }

    async fn rows(&self) -> i64 {
        let sql = format!("SELECT COUNT(*) FROM {}", self.object);
        match &self.target {
            Side::Mssql(database) => database.number(&format!("{sql};")).await,
            Side::Postgres(database) => {
                let mut connection = database.connect().await;
                let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut connection).await;
                row.unwrap().get(0)
            }
            Side::Sqlite(_) => {
                let mut connection = self.target.sqlite().await;
                sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap().get(0)
            }
        }
    }

    /// Gives the target a column that nobody fills.
    async fn demand_more(&self) {
        let table = self.object;
        match &self.target {
            Side::Sqlite(_) => self.remake("more INTEGER NOT NULL").await,
            _ => self.target.execute(&format!("ALTER TABLE {table} ADD more int NOT NULL")).await,
        }
    }

    /// As the refusal advises.
    async fn give_it_a_default(&self) {
        match &self.target {
            Side::Sqlite(_) => self.remake("more INTEGER NOT NULL DEFAULT 7").await,
            Side::Postgres(_) => {
                self.target.execute("ALTER TABLE public.t ALTER more SET DEFAULT 7").await;
            }
            Side::Mssql(_) => {
                let sql = "ALTER TABLE dbo.t ADD CONSTRAINT df_more DEFAULT 7 FOR more;";
                self.target.execute(sql).await;
            }
        }
    }

    /// SQLite alters no table in this way: the same one is made again with one more column.
    async fn remake(&self, column: &str) {
        let mut connection = self.target.sqlite().await;
        let sql = "SELECT sql FROM sqlite_master WHERE name = 't'";
        let made: String = sqlx::query(sql).fetch_one(&mut connection).await.unwrap().get(0);
        let made = made.replacen("more INTEGER NOT NULL, ", "", 1);
        let made = made.replacen('(', &format!("({column}, "), 1);
        self.target.execute(&format!("DROP TABLE t; {made}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_before_anything_is_written_by_every_pair() {
    for from in crate::matrix::sources().await {
        for to in KINDS {
            let bad = Bad::new(from, to).await;
            let good = bad.stream(|_| ());
            bad.prepare(&good).await.unwrap();
            for fault in OF_SOURCES {
                bad.refused(&bad.stream(fault.change), fault.class, fault.words).await;
            }
            bad.demand_more().await;
            let words = ["column more is NOT NULL without a default", "give it a default"];
            bad.refused(&good, Class::Schema, &words).await;
            bad.give_it_a_default().await;

            let report = bad.run(&good).await.unwrap();
            assert_eq!((report.outcome, report.written), (Outcome::Success, 3), "{from} to {to}");
            assert_eq!(bad.rows().await, 3, "{from} to {to}");
        }
    }
}

/// SQL Server has no index over a text without a length, nor over more than 1,700 bytes.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_no_index_takes_is_refused_by_sql_server_and_a_declared_length_mends_it() {
    for (from, words) in [
        ("postgres", &["key column long is nvarchar(max)", "long: \"varchar(100)\""][..]),
        ("sqlite", &["key column long is nvarchar(max)", "long: \"varchar(100)\""]),
        ("mssql", &["the key takes 1702 bytes", "at most 1700", "under columns"]),
    ] {
        let bad = Bad::new(from, "mssql").await;
        bad.prepare(&bad.stream(|_| ())).await.unwrap();
        let long = |config: &mut Value| {
            config["primary_key"] = json!(["long"]);
            config["select"] = json!(["long", "note", "cur"]);
        };
        bad.refused(&bad.stream(long), Class::Schema, words).await;
        let bad = Bad::new(from, "mssql").await;
        let declared = bad.stream(|config| {
            long(config);
            config["columns"] = json!({ "long": "varchar(100)" });
        });
        bad.prepare(&declared).await.unwrap();
        assert_eq!(bad.run(&declared).await.unwrap().written, 3, "{from}");
    }
}

/// Where the target has such indexes the same key is taken.
#[tokio::test(flavor = "multi_thread")]
async fn a_text_key_without_a_length_is_taken_by_postgres_and_sqlite() {
    for (from, to) in [("postgres", "postgres"), ("postgres", "sqlite"), ("sqlite", "postgres")] {
        let bad = Bad::new(from, to).await;
        let stream = bad.stream(|config| {
            config["primary_key"] = json!(["long"]);
            config["select"] = json!(["long", "note", "cur"]);
        });
        bad.prepare(&stream).await.unwrap();
        assert_eq!(bad.run(&stream).await.unwrap().written, 3, "{from} to {to}");
    }
}
