//! The registry of sources: one folder, one cargo feature and one line below for each.

#[cfg(feature = "postgres")]
pub mod postgres;

use etl_core::connector::SourceConnector;

/// Every kind of source of this build, by the word after `type:`.
pub const SOURCES: &[SourceConnector] = &[
    #[cfg(feature = "postgres")]
    postgres::CONNECTOR,
];
