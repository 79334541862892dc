//! The registry of sinks.

use etl_core::connector::SinkConnector;
use etl_core::{Error, Result};

/// Every sink of this build.
pub const SINKS: &[SinkConnector] = &[];

/// The sink that a file calls `kind`.
///
/// # Errors
/// `Config` with the kinds that exist.
pub fn find(kind: &str) -> Result<&'static SinkConnector> {
    SINKS.iter().find(|connector| connector.kind == kind).ok_or_else(|| {
        let known: Vec<_> = SINKS.iter().map(|connector| connector.kind).collect();
        Error::config(format!("there is no sink \"{kind}\"; there is: {}", known.join(", ")))
    })
}
