//! The registry of sinks: one folder, one feature and one line each.

#[cfg(feature = "mssql")]
pub mod mssql;

use etl_core::connector::SinkConnector;
use etl_core::{Error, Result};

/// Every sink that this build has.
pub const SINKS: &[SinkConnector] = &[
    #[cfg(feature = "mssql")]
    mssql::CONNECTOR,
];

/// The sink of a kind.
///
/// # Errors
/// `Config` listing the kinds that there are.
pub fn find(kind: &str) -> Result<&'static SinkConnector> {
    SINKS.iter().find(|sink| sink.kind == kind).ok_or_else(|| {
        let known: Vec<_> = SINKS.iter().map(|sink| sink.kind).collect();
        Error::config(format!("there is no sink \"{kind}\"; there is: {}", known.join(", ")))
    })
}
