//! The engine of an exactly-once row mover.
//!
//! A [`Source`] yields [`Batch`]es, [`Transform`]s change them, a [`Sink`] commits them with their
//! [`Position`] in one transaction, and a [`Pipeline`] carries them, retrying what is worth it.
//!
//! ```text
//! Source ──▶ read-ahead (one batch) ──▶ Transform … ──▶ Sink
//!    ▲                                                   │ rows + position, one transaction
//!    └───────────── position, once per run ◀─────────────┘
//! ```
//!
//! This crate knows no database, no file and no environment variable. Connectors live in
//! `etl-sources` and `etl-sinks`; each proves itself with the suites in `testing` (feature `testing`).

pub mod batch;
pub mod catalog;
pub mod connector;
pub mod error;
mod exact;
pub mod ledger;
pub mod metrics;
pub mod pipeline;
pub mod position;
pub mod predicate;
pub mod quarantine;
pub mod retry;
pub mod schema;
pub mod sink;
pub mod source;
pub mod transform;

#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use batch::{Batch, BatchLimits, Changes, Progress};
pub use connector::StreamConfig;
pub use error::{Class, Error, Result};
pub use ledger::{Ledger, RowCounts, RunCounts};
pub use pipeline::{Pipeline, PipelineOptions};
pub use position::Position;
pub use quarantine::{Aside, Entry, MaxRejected, Rejected, RowKey};
pub use schema::{Definition, StreamSchema};
pub use sink::{Checkpoint, Claim, Counts, Fence, Lease, Outcome, Phase, Run, RunReport, Sink};
pub use source::{Batches, Found, Lookup, Source};
pub use transform::Transform;
