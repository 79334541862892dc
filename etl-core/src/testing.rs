//! What connectors prove themselves with, and what the engine is tested against.
//!
//! * [`sink_contract`] and [`source_contract`]: suites that every connector runs on a fixture of
//!   its own.

mod case;
mod row;
pub mod sink_contract;
pub mod source_contract;

pub use case::{Check, Failure};
pub use row::{CanonicalRow, Row, canonical};
pub use sink_contract::{LedgerRow, SinkFixture, TargetSpec, sink_contract};
pub use source_contract::{Change, OpenTransaction, SourceFixture, SourceSpec, source_contract};
