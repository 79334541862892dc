//! A source and a transform of one's own: `source.rs`, sixty lines of code.
//!
//! `cargo run --package etl-core --features testing --example own_source` carries orders with it;
//! `cargo test --workspace own_source` has the contract suite prove it.

mod source;

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use etl_core::connector::{Mode, Stream};
use etl_core::pipeline::output_schema;
use etl_core::testing::{Conditions, MemorySink, MemoryTarget, Network, Row};
use etl_core::{Definition, Pipeline, PipelineOptions, Source, Transform};
use serde_json::json;
use source::{Hide, Orders};
use tokio_util::sync::CancellationToken;

/// What the program holds: rows with the time of their last change, in microseconds since 1970 UTC.
#[derive(Default)]
pub struct Store(Mutex<Held>);

#[derive(Default)]
struct Held {
    rows: BTreeMap<i64, Row>,
    last: i64,
}

impl Held {
    /// Later than any time before, whatever the machine's clock does.
    fn tick(&mut self) -> i64 {
        self.last = chrono::Utc::now().timestamp_micros().max(self.last + 1);
        self.last
    }
}

impl Store {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes rows, all of them at one time. Nobody else writes or asks for the time meanwhile.
    pub fn write(&self, changed: Vec<Row>, deleted: &[i64]) {
        let mut held = self.held();
        let now = Some(held.tick());
        held.rows.extend(changed.into_iter().map(|row| (row.id, Row { updated_at: now, ..row })));
        held.rows.retain(|id, _| !deleted.contains(id));
    }

    /// A time: whatever was written before is not later, and whatever comes is.
    pub fn now(&self) -> i64 {
        self.held().tick()
    }

    /// The rows behind a time and a key, up to a time, in that order.
    pub fn changed(&self, after: (i64, i64), until: i64) -> Vec<Row> {
        let place = |row: &Row| (row.updated_at.unwrap_or(0), row.id);
        let wanted = |row: &&Row| place(row) > after && place(row).0 <= until;
        let mut rows: Vec<_> = self.held().rows.values().filter(wanted).cloned().collect();
        rows.sort_by_key(place);
        rows
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let store = Arc::new(Store::default());
    store.write((1..=3).map(Row::new).collect(), &[]);
    let config = serde_json::from_value(json!({
        "object": "orders",
        "primary_key": ["id"],
        "cursor": { "column": "updated_at" },
        "select": ["id", "name", "status", "amount", "active", "updated_at"],
        "where": "status = 'confirmed'",
    }))?;
    let stream = Stream { pipeline: "shop".to_owned(), name: "orders".to_owned(), config };
    let source = Arc::new(Orders(Arc::clone(&store), stream.clone()));
    let transforms: Vec<Box<dyn Transform>> = vec![Box::new(Hide("name"))];

    let target = MemoryTarget::new(Mode::Upsert, Network::new(Conditions::default(), 1));
    let schema = output_schema(source.schema().await?, &transforms, &Definition::default())?;
    target.prepare(&schema);
    let sink = Box::new(MemorySink::new(&target));
    let options = PipelineOptions::default();
    let mut pipeline = Pipeline::new(stream.full_name(), source, transforms, sink, options);
    for round in 0..2 {
        let finished = pipeline.run(&CancellationToken::new()).await;
        let (report, rows) = (&finished.report, target.rows());
        println!("run {round}: read {}, written {}", report.read, report.written);
        println!("{:?}", rows.iter().map(|row| &row["name"]).collect::<Vec<_>>());
        if let Some(error) = finished.error {
            return Err(error.into());
        }
        store.write(vec![Row::new(2).name(Some("Zoë"))], &[]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use etl_core::testing::{Change, OpenTransaction, SourceFixture, source_contract};
    use etl_core::{Changes, Result};

    use super::*;

    struct Fixture(Arc<Store>);

    #[async_trait]
    impl SourceFixture for Fixture {
        async fn source(&self, stream: Stream) -> Result<Arc<dyn Source>> {
            Ok(Arc::new(Orders(Arc::clone(&self.0), stream)))
        }
        async fn write(&self, changes: &[Change]) -> Result<()> {
            let (mut changed, mut deleted) = (Vec::new(), Vec::new());
            for change in changes {
                match change {
                    Change::Insert(row) | Change::Update(row) => changed.push(row.clone()),
                    Change::Delete(id) => deleted.push(*id),
                }
            }
            self.0.write(changed, &deleted);
            Ok(())
        }
        async fn begin(&self) -> Result<Option<Box<dyn OpenTransaction>>> {
            Ok(None)
        }
        async fn settle(&self) -> Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn own_source_keeps_the_contract() {
        source_contract(async |_| Ok(Box::new(Fixture(Arc::default())) as Box<dyn SourceFixture>))
            .await;
    }

    #[test]
    fn own_source_hides_a_text_and_refuses_what_is_none() {
        let changes =
            Changes::upserts(Row::records(&[Row::new(1), Row::new(2).name(None)]).unwrap());
        let hidden = Row::from_records(Hide("name").apply(changes).unwrap().records()).unwrap();
        assert_eq!(hidden[0].name.as_deref(), Some("n…"));
        assert_eq!(hidden[1].name, None);
        for column in ["id", "amount", "nothing"] {
            assert!(Hide(column).schema(Row::stream("s")).is_err(), "{column}");
        }
    }

    /// What the documents say of its size.
    #[test]
    fn own_source_takes_sixty_lines() {
        let code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
        assert!(include_str!("source.rs").lines().filter(code).count() <= 60);
    }
}
