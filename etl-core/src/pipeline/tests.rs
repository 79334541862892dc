//! The engine against the memory source and sink, with programmed faults, in virtual time.

mod lease;
mod outcome;
mod quarantine;
mod read_ahead;
mod replace;
mod replay;
mod retry;
mod stop;

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::batch::{Batch, BatchLimits, Changes, Progress};
use crate::connector::{Finding, Mode, Stream};
use crate::error::Result;
use crate::pipeline::{Finished, Pipeline, PipelineOptions};
use crate::position::Position;
use crate::schema::StreamSchema;
use crate::sink::{Run, Sink};
use crate::source::Source;
use crate::testing::Row;
use crate::testing::fault::{Fault, Faults, FaultySink, FaultySource, Method, When};
use crate::testing::memory_sink::MemorySink;
use crate::testing::memory_source::MemorySource;
use crate::testing::memory_table::MemoryTable;
use crate::testing::memory_target::MemoryTarget;
use crate::testing::network::{Conditions, Network};
use crate::testing::source_contract::Change;

/// A table, a target, and what is to go wrong between them.
struct World {
    table: MemoryTable,
    target: MemoryTarget,
    faults: Faults,
    options: PipelineOptions,
    filter: Option<&'static str>,
    mode: Mode,
}

impl World {
    /// `count` settled rows, batches of one row, appended: a lost or doubled row shows.
    async fn new(count: i64, faults: Faults) -> Self {
        Self::of(Mode::Append, count, faults).await
    }

    async fn of(mode: Mode, count: i64, faults: Faults) -> Self {
        let table = MemoryTable::new();
        let rows: Vec<_> = (1..=count).map(|id| Change::Insert(Row::new(id))).collect();
        table.write(&rows).unwrap();
        tokio::time::sleep(Duration::from_secs(10)).await;
        let network = Network::new(Conditions::default(), 0);
        let target = MemoryTarget::new(mode, network);
        let limits = BatchLimits { rows: 1, ..BatchLimits::default() };
        let options = PipelineOptions { limits, ..PipelineOptions::default() };
        let world = Self { table, target, faults, options, filter: None, mode };
        world.target.prepare(&world.source().schema().await.unwrap());
        world
    }

    fn source(&self) -> MemorySource {
        let config = json!({
            "object": "orders",
            "mode": self.mode,
            "primary_key": ["id"],
            "cursor": { "column": "updated_at", "guard": "1s" },
            "select": ["id", "name", "status", "amount", "active", "updated_at"],
            "where": self.filter,
        });
        let config = serde_json::from_value(config).unwrap();
        let stream = Stream { pipeline: "test".to_owned(), name: "orders".to_owned(), config };
        MemorySource::new(&self.table, &stream).unwrap()
    }

    fn pipeline(&self) -> Pipeline {
        self.pipeline_from(Arc::new(self.source()))
    }

    fn pipeline_from(&self, source: Arc<dyn Source>) -> Pipeline {
        let source = Arc::new(FaultySource::new(source, &self.faults));
        let sink = FaultySink::new(Box::new(MemorySink::new(&self.target)), &self.faults);
        Pipeline::new("test/orders", source, Vec::new(), Box::new(sink), self.options.clone())
    }

    async fn run(&self) -> Finished {
        self.pipeline().run(&CancellationToken::new()).await
    }

    /// The keys in the target, in order, as often as they are there.
    fn keys(&self) -> Vec<i64> {
        let ids = self.target.rows().into_iter().map(|row| row["id"].clone());
        let mut keys: Vec<i64> = ids.map(|id| id.unwrap().parse().unwrap()).collect();
        keys.sort_unstable();
        keys
    }

    /// A run that claimed the pipeline and was killed.
    async fn dead_run(&self, ttl: Duration) {
        let run = Run { id: uuid::Uuid::new_v4(), ttl, waited: false };
        MemorySink::new(&self.target).claim(&run).await.unwrap();
    }
}

/// A source with given batches, which remembers what it was told.
struct Canned {
    batches: Vec<Batch>,
    committed: Mutex<Vec<String>>,
}

impl Canned {
    fn new(batches: Vec<Vec<Row>>) -> Self {
        let batch = |(step, rows): (usize, Vec<Row>)| Batch {
            changes: Changes::upserts(Row::records(&rows).unwrap()),
            position: Position::encode(&step).unwrap(),
            progress: Progress::default(),
            aside: crate::Aside::default(),
        };
        let batches = batches.into_iter().enumerate().map(batch).collect();
        Self { batches, committed: Mutex::default() }
    }
}

#[async_trait]
impl Source for Canned {
    async fn schema(&self) -> Result<StreamSchema> {
        Ok(Row::stream("test/orders"))
    }

    async fn read(
        &self,
        _: Option<Position>,
        _: BatchLimits,
    ) -> Result<BoxStream<'static, Result<Batch>>> {
        Ok(stream::iter(self.batches.clone()).map(Ok).boxed())
    }

    async fn committed(&self, position: &Position) -> Result<()> {
        self.committed.lock().unwrap().push(position.to_string());
        Ok(())
    }

    async fn check(&self) -> Result<Vec<Finding>> {
        Ok(Vec::new())
    }
}

fn faults(rules: impl IntoIterator<Item = (Method, When, Fault)>) -> Faults {
    rules
        .into_iter()
        .fold(Faults::new(0), |all, (method, when, fault)| all.with(method, when, fault))
}

const SECOND: Duration = Duration::from_secs(1);
