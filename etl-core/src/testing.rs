//! What connectors prove themselves with, and what the engine is tested against.
//!
//! * [`sink_contract()`] and [`source_contract()`]: suites that every connector runs on a fixture of
//!   its own.
//! * [`MemorySource`] and [`MemorySink`]: models of two database servers, with transactions that
//!   commit late and outcomes that nobody knows. They keep the contracts.
//! * [`fault`]: faults around any sink and any source.
//! * [`simulation`]: all of it at once, from a seed.

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
pub use memory_target::{MarkDefect, MemoryTarget};
pub use network::{Conditions, Network};
pub use row::{CanonicalRow, Row, canonical};
pub use sink_contract::{LedgerRow, SinkFixture, TargetSpec, sink_contract};
pub use source_contract::{Change, OpenTransaction, SourceFixture, SourceSpec, source_contract};
