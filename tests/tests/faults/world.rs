//! Orders in Postgres that nobody changes, targets for them, and runs in this process.

use std::sync::Arc;
use std::time::Duration;

use etl_core::connector::{Stream, section};
use etl_core::pipeline::Finished;
use etl_core::retry::RetryPolicy;
use etl_core::sink::{Sink, SinkAdmin, StateChange};
use etl_core::testing::fault::Gate;
use etl_core::testing::{Faults, FaultySink};
use etl_core::{BatchLimits, Outcome, Pipeline, PipelineOptions, Source};
use etl_sources::postgres::{PostgresConfig, PostgresSource};
use etl_sql::mssql::{MssqlConfig, Tls};
use etl_tests::torture::{Rows, Tally};
use etl_tests::{mssql, postgres, tds};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row as _};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::support::side::Side;

/// A run that takes longer than this hangs.
const WATCHDOG: Duration = Duration::from_secs(90);

/// A table of orders, several of which share each cursor value.
pub(super) struct World {
    pub(super) source: postgres::Database,
    pub(super) wanted: Rows,
}

impl World {
    pub(super) async fn new(rows: u64) -> Arc<Self> {
        let source = postgres::Database::new().await;
        source.execute(TABLE).await;
        source
            .execute(&format!(
                "INSERT INTO public.orders SELECT g, 'note ' || g, g * 1.25,
                 timestamptz '2024-01-01' + g / 3 * interval '1.000007 second'
                 FROM generate_series(1, {rows}) AS g"
            ))
            .await;
        let wanted = postgres_rows(&source).await;
        Arc::new(Self { source, wanted })
    }
}

const TABLE: &str = "CREATE TABLE public.orders (id bigint PRIMARY KEY, note varchar(40),
   amount numeric(18,2), updated_at timestamptz NOT NULL DEFAULT now());
 CREATE INDEX ON public.orders (updated_at, id);
 CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
   $$ BEGIN NEW.updated_at := now(); RETURN NEW; END $$;
 CREATE TRIGGER touch BEFORE UPDATE ON public.orders FOR EACH ROW EXECUTE FUNCTION touch()";

pub(super) async fn postgres_rows(database: &postgres::Database) -> Rows {
    let sql = r#"SELECT id::text, note, amount::text,
       to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
       FROM public.orders"#;
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut database.connect().await).await;
    rows.unwrap().iter().map(|row| (0..4).map(|at| row.get(at)).collect()).collect()
}

/// A server of this test alone, whose statements can be held and whose clock can be set.
pub(super) fn double() -> (Side, tds::Handle) {
    let double = tds::Server::start(tds::Options::default()).unwrap();
    let mut owner = MssqlConfig::from_url(&double.url().into()).unwrap();
    owner.tls = Tls::Disable;
    (Side::Mssql(mssql::Database { owner }), double)
}

/// What the orders are called in a target.
pub(super) fn object(target: &str) -> &'static str {
    match target {
        "mssql" => "dbo.orders",
        "postgres" => "public.orders",
        _ => "orders",
    }
}

/// The orders that a target holds.
pub(super) async fn orders(target: &Side) -> Rows {
    match target {
        Side::Postgres(database) => postgres_rows(database).await,
        Side::Mssql(_) | Side::Sqlite(_) => {
            let id = if target.kind() == "mssql" { "id" } else { "CAST(id AS TEXT)" };
            target.cells(&format!("SELECT {id}, note, amount, updated_at FROM orders")).await
        }
    }
}

/// What a pipeline file says about the orders; soft delete is said like a mode.
pub(super) fn stream_config(target: &str, mode: &str) -> Value {
    let mut config = json!({
        "object": object(target), "mode": mode, "primary_key": ["id"],
        "cursor": { "column": "updated_at", "guard": "1s" },
        "select": ["id", "note", "amount", "updated_at"],
    });
    if mode == "soft_delete" {
        config["mode"] = "upsert".into();
        config["where"] = "amount >= 0".into();
        config["on_filter_exit"] = "soft_delete".into();
        config["soft_delete"] = json!({ "column": "_deleted_at" });
    }
    config
}

/// One stream from a world into a target of its own.
pub(super) struct Lane {
    pub(super) world: Arc<World>,
    pub(super) target: Side,
    pub(super) stream: Stream,
    /// The source's and the target's sections, with limits that a test can wait for.
    pub(super) sections: (Value, Value),
    pub(super) options: PipelineOptions,
}

impl Lane {
    /// A prepared target of this kind for the world's orders.
    pub(super) async fn new(world: &Arc<World>, kind: &str, mode: &str) -> Self {
        Self::into(world, Side::of(kind).await, mode).await
    }

    pub(super) async fn into(world: &Arc<World>, target: Side, mode: &str) -> Self {
        let stream = Stream {
            pipeline: "torture".to_owned(),
            name: "public.orders".to_owned(),
            config: serde_json::from_value(stream_config(target.kind(), mode)).unwrap(),
        };
        let source = world.source.section();
        let sections = (limited(source, false), limited(target.section(), true));
        let options = PipelineOptions {
            limits: BatchLimits { rows: 3, bytes: 1 << 20 },
            lease_ttl: Duration::from_millis(400),
            retry: RetryPolicy {
                base: Duration::from_millis(5),
                cap: Duration::from_millis(40),
                tries: 4,
            },
            ..PipelineOptions::default()
        };
        let lane = Self { world: Arc::clone(world), target, stream, sections, options };
        // The limits are for runs: a machine that is busy may take its time here.
        for tries in 1.. {
            match lane.prepare().await {
                Ok(()) => break,
                Err(error) if tries < 10 => eprintln!("preparing once more: {error:?}"),
                Err(error) => panic!("preparing: {error:?}"),
            }
        }
        lane
    }

    async fn prepare(&self) -> etl_core::Result<()> {
        let schema = self.source(&self.world.source.section()).schema().await?;
        self.admin().prepare(&schema).await
    }

    pub(super) fn source(&self, section_: &Value) -> Arc<dyn Source> {
        let config: PostgresConfig = section("source", section_).unwrap();
        let source = PostgresSource::new(&config, &self.stream).unwrap();
        Arc::new(source.with_silence(Duration::from_secs(3)))
    }

    pub(super) fn sink(&self, section: &Value) -> Box<dyn Sink> {
        (etl_sinks::find(self.target.kind()).unwrap().build)(section, &self.stream).unwrap()
    }

    pub(super) fn admin(&self) -> Box<dyn SinkAdmin> {
        let section = self.target.section();
        (etl_sinks::find(self.target.kind()).unwrap().admin)(&section, &self.stream).unwrap()
    }

    /// A pipeline between these sections.
    pub(super) fn pipeline(&self, sections: &(Value, Value)) -> Pipeline {
        self.pipeline_of(self.source(&sections.0), self.sink(&sections.1))
    }

    pub(super) fn pipeline_of(&self, source: Arc<dyn Source>, sink: Box<dyn Sink>) -> Pipeline {
        let name = self.stream.full_name();
        Pipeline::new(name, source, Vec::new(), sink, self.options.clone())
    }

    /// A pipeline whose sink's calls are held or lost.
    pub(super) fn faulty(&self, sections: &(Value, Value), faults: &Faults) -> Pipeline {
        let sink = Box::new(FaultySink::new(self.sink(&sections.1), faults));
        self.pipeline_of(self.source(&sections.0), sink)
    }

    /// One run; `None` if it hangs.
    pub(super) async fn run(
        mut pipeline: Pipeline,
        tally: &Tally,
        story: &str,
    ) -> Option<Finished> {
        tally.runs(1);
        let stop = CancellationToken::new();
        let run = Box::pin(pipeline.run(&stop));
        let ended = tokio::time::timeout(WATCHDOG, run).await.ok();
        if ended.is_none() {
            tally.hang(story);
        }
        ended
    }

    /// Runs without faults until one run is a success, then compares with the first orders.
    pub(super) async fn settle(&self, tally: &Tally, story: &str) {
        self.settle_to(&self.world.wanted, tally, story).await;
    }

    /// The same with the orders as they are now.
    pub(super) async fn settle_now(&self, tally: &Tally, story: &str) {
        self.settle_to(&postgres_rows(&self.world.source).await, tally, story).await;
    }

    async fn settle_to(&self, wanted: &Rows, tally: &Tally, story: &str) {
        let mut last = None;
        for _ in 0..20 {
            let Some(run) = Self::run(self.pipeline(&self.sections), tally, story).await else {
                return;
            };
            if run.report.outcome == Outcome::Success {
                tally.compare(story, wanted, &orders(&self.target).await);
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            last = Some(run);
        }
        panic!("{story}: no success without faults: {last:?}");
    }

    /// An empty target and no position: as before the first run.
    pub(super) async fn clear(&self) {
        self.admin().change(StateChange::Position(None)).await.unwrap();
        self.target.execute(&format!("DELETE FROM {};", object(self.target.kind()))).await;
    }

    /// The sections with another address for the source or the target.
    pub(super) fn by_way_of(&self, link: Link, address: &str) -> (Value, Value) {
        let (mut source, mut target) = self.sections.clone();
        let section = if link == Link::Source { &mut source } else { &mut target };
        let url = section["url"].as_str().unwrap();
        section["url"] = url.replacen(&host(url), address, 1).into();
        (source, target)
    }

    /// The `host:port` of a link's server.
    pub(super) fn server(&self, link: Link) -> String {
        let section = if link == Link::Source { &self.sections.0 } else { &self.sections.1 };
        host(section["url"].as_str().unwrap())
    }
}

/// Waits until a call of this run stands before the gate. A run that ends before that is told: waiting on would
/// say nothing.
pub(super) async fn at_the_gate(gate: &Gate, run: &mut JoinHandle<Finished>) {
    tokio::select! {
        () = gate.reached() => {}
        ended = run => panic!("the run ended before the gate: {:?}", ended.map(|end| end.report)),
    }
}

/// Runs all of them at once, each as a task, to their ends.
pub(super) async fn at_once<T: Send + 'static>(
    tasks: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    tasks.into_iter().collect::<JoinSet<_>>().join_all().await
}

/// The two connections of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    Source,
    Target,
}

/// A server that does not answer costs a test this long, and not minutes.
fn limited(mut section: Value, target: bool) -> Value {
    if section["type"] == "sqlite" {
        return section;
    }
    section["connect_timeout"] = "3s".into();
    section["tls"] = "disable".into();
    if target {
        section["command_timeout"] = "1500ms".into();
    }
    section
}

fn host(url: &str) -> String {
    let rest = url.split_once('@').unwrap().1;
    rest.split('/').next().unwrap().to_owned()
}
