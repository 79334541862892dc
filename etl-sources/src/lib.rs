//! The registry of sources: one folder, one cargo feature and one line each.

#[cfg(feature = "postgres")]
pub mod postgres;

use etl_core::connector::SourceConnector;
use etl_core::{Error, Result};

/// Every source of this build.
pub const SOURCES: &[SourceConnector] = &[
    #[cfg(feature = "postgres")]
    postgres::CONNECTOR,
];

/// The source of a kind.
///
/// # Errors
/// `Config` listing the kinds that there are.
pub fn find(kind: &str) -> Result<&'static SourceConnector> {
    SOURCES.iter().find(|source| source.kind == kind).ok_or_else(|| {
        let known: Vec<_> = SOURCES.iter().map(|source| source.kind).collect();
        Error::config(format!("there is no source \"{kind}\"; there is: {}", known.join(", ")))
    })
}
