//! Safeguards taken out, by wrapping what has them.

use std::sync::Arc;

use async_trait::async_trait;
use etl_core::batch::{Batch, BatchLimits, Changes, Progress};
use etl_core::connector::Finding;
use etl_core::position::Position;
use etl_core::schema::StreamSchema;
use etl_core::sink::{Claim, Counts, Fence, Run, RunReport, Sink};
use etl_core::{Class, Result, Source};
use futures::StreamExt;
use futures::stream::BoxStream;
use serde_json::{Value, json};

/// A source that takes a broken connection for the end of its rows, and says that everything
/// below the horizon was read.
pub(super) fn credulous(source: Arc<dyn Source>) -> Arc<dyn Source> {
    Arc::new(Credulous(source))
}

struct Credulous(Arc<dyn Source>);

#[async_trait]
impl Source for Credulous {
    async fn schema(&self) -> Result<StreamSchema> {
        self.0.schema().await
    }

    async fn read(
        &self,
        after: Option<Position>,
        limits: BatchLimits,
    ) -> Result<BoxStream<'static, Result<Batch>>> {
        let batches = self.0.read(after, limits).await?;
        let believing = batches.scan(None::<Batch>, |last, next| {
            let next = match (next, last.as_ref()) {
                (Err(_), Some(before)) => Ok(end_after(before)),
                (next, _) => next,
            };
            *last = next.as_ref().ok().cloned();
            futures::future::ready(Some(next))
        });
        Ok(believing.boxed())
    }

    async fn committed(&self, position: &Position) -> Result<()> {
        self.0.committed(position).await
    }

    async fn check(&self) -> Result<Vec<Finding>> {
        self.0.check().await
    }
}

/// The batch with which a sweep ends that had read everything after this one.
fn end_after(batch: &Batch) -> Batch {
    let mut place: Value = serde_json::from_str(batch.position.as_str()).unwrap();
    place["low"] = place["h"].clone();
    place["scan"] = json!(null);
    let none = batch.changes.records().slice(0, 0);
    let position = Position::from_text(place.to_string()).unwrap();
    let changes = Changes::upserts(none);
    Batch::new(changes, position, Progress::default())
}

/// A sink that, when it does not know whether a batch was committed, asks where the checkpoint
/// is now and writes the batch there.
pub(super) fn resends_blindly(sink: Box<dyn Sink>) -> Box<dyn Sink> {
    Box::new(Blind { sink, at: None })
}

struct Blind {
    sink: Box<dyn Sink>,
    /// The sequence that was asked for, and the fence that it stands for.
    at: Option<(i64, i64)>,
}

#[async_trait]
impl Sink for Blind {
    async fn open(&mut self, schema: &StreamSchema) -> Result<()> {
        self.sink.open(schema).await
    }

    async fn claim(&mut self, run: &Run) -> Result<Claim> {
        self.sink.claim(run).await
    }

    async fn commit(&mut self, batch: &Batch, fence: &Fence) -> Result<Counts> {
        let behind = self.at.map_or(0, |(asked, stood)| asked - stood);
        let fence = Fence { sequence: fence.sequence + behind, ..fence.clone() };
        match self.sink.commit(batch, &fence).await {
            Err(error) if error.class() == Class::Unknown => {
                let run = Run { id: fence.run, ttl: fence.ttl, waited: true };
                if let Claim::Claimed(checkpoint) = self.sink.claim(&run).await? {
                    self.at = Some((checkpoint.sequence, fence.sequence - behind));
                }
                Err(error)
            }
            other => other,
        }
    }

    async fn renew(&mut self, fence: &Fence) -> Result<()> {
        let behind = self.at.map_or(0, |(asked, stood)| asked - stood);
        let fence = Fence { sequence: fence.sequence + behind, ..fence.clone() };
        self.sink.renew(&fence).await
    }

    async fn finish(&mut self, report: &RunReport) -> Result<()> {
        self.sink.finish(report).await
    }
}

/// A sink that makes each batch durable in two parts, the first with the position of both.
pub(super) fn splits(sink: Box<dyn Sink>) -> Box<dyn Sink> {
    Box::new(Splitter { sink, more: 0 })
}

struct Splitter {
    sink: Box<dyn Sink>,
    /// By how much the checkpoint's sequence is ahead of what the engine counts.
    more: i64,
}

#[async_trait]
impl Sink for Splitter {
    async fn open(&mut self, schema: &StreamSchema) -> Result<()> {
        self.sink.open(schema).await
    }

    async fn claim(&mut self, run: &Run) -> Result<Claim> {
        self.sink.claim(run).await
    }

    async fn commit(&mut self, batch: &Batch, fence: &Fence) -> Result<Counts> {
        let mut fence = Fence { sequence: fence.sequence + self.more, ..fence.clone() };
        let records = batch.changes.records();
        let half = records.num_rows() / 2;
        if half > 0 {
            let mut first = batch.clone();
            first.changes = Changes::upserts(records.slice(0, half));
            self.sink.commit(&first, &fence).await?;
            fence.sequence += 1;
            self.more += 1;
        }
        let mut rest = batch.clone();
        rest.changes = Changes::upserts(records.slice(half, records.num_rows() - half));
        self.sink.commit(&rest, &fence).await
    }

    async fn renew(&mut self, fence: &Fence) -> Result<()> {
        let fence = Fence { sequence: fence.sequence + self.more, ..fence.clone() };
        self.sink.renew(&fence).await
    }

    async fn finish(&mut self, report: &RunReport) -> Result<()> {
        self.sink.finish(report).await
    }
}
