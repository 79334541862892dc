//! The registry of sources.

use etl_core::connector::SourceConnector;
use etl_core::{Error, Result};

/// Every source of this build.
pub const SOURCES: &[SourceConnector] = &[];

/// The source that a file calls `kind`.
///
/// # Errors
/// `Config` with the kinds that exist.
pub fn find(kind: &str) -> Result<&'static SourceConnector> {
    SOURCES.iter().find(|connector| connector.kind == kind).ok_or_else(|| {
        let known: Vec<_> = SOURCES.iter().map(|connector| connector.kind).collect();
        Error::config(format!("there is no source \"{kind}\"; there is: {}", known.join(", ")))
    })
}
