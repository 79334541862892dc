//! What connectors prove themselves with, and what the engine is tested against.
//!
//! * [`sink_contract()`] and [`source_contract()`]: suites that every connector runs on a fixture of
//!   its own.
//! * [`MemorySource`] and [`MemorySink`]: models of two database servers, with transactions that
//!   commit late and outcomes that nobody knows. They keep the contracts.
//! * [`fault`]: faults around any sink and any source.
//! * [`simulation`]: all of it at once, from a seed.
//!
//! ```
//! use etl_core::testing::{Change, MemorySource, MemoryTable, Row};
//! use etl_core::{BatchLimits, Source, connector::Stream};
//! use futures::TryStreamExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = serde_json::from_str(
//!     r#"{ "object": "orders", "primary_key": ["id"], "cursor": { "column": "updated_at" },
//!          "select": ["id", "name", "status", "amount", "active", "updated_at"] }"#,
//! )?;
//! let stream = Stream { pipeline: "shop".to_owned(), name: "orders".to_owned(), config };
//! let table = MemoryTable::new();
//! let source = MemorySource::new(&table, &stream)?;
//!
//! // A writer who has not committed is not seen, and not passed over.
//! let mut open = table.begin(std::time::Duration::ZERO);
//! open.write(&Change::Insert(Row::new(1)))?;
//! let sweep: Vec<_> = source.read(None, BatchLimits::default()).await?.try_collect().await?;
//! assert_eq!(sweep[0].changes.len(), 0);
//! let after = sweep.last().map(|batch| batch.position.clone());
//! open.commit();
//! let sweep: Vec<_> = source.read(after, BatchLimits::default()).await?.try_collect().await?;
//! assert_eq!(sweep[0].changes.len(), 1);
//! # Ok(())
//! # }
//! ```

mod case;
pub mod fault;
pub mod memory_sink;
pub mod memory_source;
pub mod memory_table;
pub mod memory_target;
pub mod network;
mod row;
pub mod simulation;
pub mod sink_contract;
pub mod source_contract;

pub use case::{Check, Failure};
pub use fault::{Fault, Faults, FaultySink, FaultySource};
pub use memory_sink::{MemoryAdmin, MemorySink};
pub use memory_source::MemorySource;
pub use memory_table::MemoryTable;
pub use memory_target::{Constraints, MarkDefect, MemoryTarget};
pub use network::{Conditions, Network};
pub use row::{CanonicalRow, Row, canonical};
pub use sink_contract::{LedgerRow, SinkFixture, TargetSpec, sink_contract};
pub use source_contract::{Change, OpenTransaction, SourceFixture, SourceSpec, source_contract};
