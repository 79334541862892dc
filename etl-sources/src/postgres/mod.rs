//! Postgres as a source: sweeps in the order of a cursor, behind a horizon that late commits
//! cannot slip under.

mod catalog;
mod check;
mod config;
mod lookup;
mod mark;
mod plan;
mod position;
mod query;
mod reader;
mod settle;
mod source;
mod sweep;

use std::sync::Arc;

use etl_core::catalog::Catalog;
use etl_core::connector::{self, SourceConnector, Stream};
use etl_core::error::{Result, ResultExt};
use etl_core::source::Source;
use etl_sql::postgres::quote::TableName;
use serde_json::Value;

use catalog::PostgresCatalog;

pub use config::PostgresConfig;
pub use mark::{Kind, Mark};
pub use position::Place;
pub use source::PostgresSource;

/// The registry's line.
pub const CONNECTOR: SourceConnector = SourceConnector {
    kind: "postgres",
    build,
    catalog,
    object: |text| Ok(TableName::parse(text)?.into()),
    schema: || schemars::schema_for!(PostgresConfig),
};

fn build(section: &Value, stream: &Stream) -> Result<Arc<dyn Source>> {
    let config: PostgresConfig = connector::section("source", section)?;
    Ok(Arc::new(PostgresSource::new(&config, stream)?))
}

fn catalog(section: &Value, pipeline: &str) -> Result<Box<dyn Catalog>> {
    let config: PostgresConfig = connector::section("source", section)?;
    Ok(Box::new(PostgresCatalog { connect: config.connect(pipeline)? }))
}

/// Whether somebody between here and the server could read or change what is sent.
///
/// # Errors
/// `Config` if the section cannot be read.
pub fn tls_unverified(section: &Value) -> Result<bool> {
    let config: PostgresConfig =
        connector::section("source", section).context(|| "looking at tls")?;
    Ok(config.tls.unverified())
}
