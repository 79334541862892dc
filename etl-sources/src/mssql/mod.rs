//! SQL Server as a source: sweeps in the order of a cursor, behind a horizon that late commits
//! cannot slip under.
//!
//! What the horizon is and why it holds: [`etl_sql::mssql::read::horizon`]. A sweep is one `SELECT`,
//! sent after the horizon was asked for. What that statement sees depends on the database:
//!
//! | database | what a sweep sees | writers |
//! |---|---|---|
//! | `ALLOW_SNAPSHOT_ISOLATION ON` | all rows as they were when it began | neither waits for the other |
//! | `READ_COMMITTED_SNAPSHOT ON` | the same: one statement, one view | neither waits for the other |
//! | neither | each row as it is when it is reached, only below the horizon | it waits for whoever has changed a row that it reaches, up to `lock_timeout`; then the run is temporary (75) |
//!
//! In the last case a row that is changed while the sweep runs may come as a mixture of both versions,
//! if the server looks its columns up by an index. It is then above the horizon and is read again by
//! the next sweep; nothing is lost or stays wrong. In `append` mode a mixture would stay, so that
//! `append` is refused there.

pub mod catalog;
mod check;
mod config;
mod lookup;
mod plan;
mod position;
pub mod query;
mod reader;
mod source;
mod sweep;

use std::sync::Arc;

use etl_core::catalog::Catalog;
use etl_core::connector::{self, SourceConnector, Stream};
use etl_core::error::Result;
use etl_core::source::Source;
use etl_sql::mssql::quote::TableName;
use serde_json::Value;

use catalog::MssqlCatalog;

pub use config::MssqlSourceConfig;
pub use plan::Plan;
pub use position::Place;
pub use source::MssqlSource;

/// The registry's line.
pub const CONNECTOR: SourceConnector = SourceConnector {
    kind: "mssql",
    build,
    catalog,
    object: |text| Ok(TableName::parse(text)?.into()),
    schema: || schemars::schema_for!(MssqlSourceConfig),
};

fn build(section: &Value, stream: &Stream) -> Result<Arc<dyn Source>> {
    let config: MssqlSourceConfig = connector::section("source", section)?;
    Ok(Arc::new(MssqlSource::new(config, stream)?))
}

fn catalog(section: &Value, pipeline: &str) -> Result<Box<dyn Catalog>> {
    let config: MssqlSourceConfig = connector::section("source", section)?;
    Ok(Box::new(MssqlCatalog { connect: config.connect(pipeline)? }))
}
