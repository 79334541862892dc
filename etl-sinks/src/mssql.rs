//! Sink `mssql`: rows into SQL Server, exactly once.

mod admin;
mod apply;
pub mod aside;
mod ledger;
pub mod replace;
mod sink;
pub mod statements;

use std::sync::Arc;

use etl_core::connector::{SinkConnector, Stream, StreamConfig, section};
use etl_core::schema::StreamSchema;
use etl_core::sink::{Sink, SinkAdmin};
use etl_core::{Error, Result};
use etl_sql::mssql::MssqlConfig;
use etl_sql::mssql::config::MssqlSection;
use etl_sql::mssql::connect::{Connection, value};
use etl_sql::mssql::error::Phase;
use etl_sql::mssql::plan;
use etl_sql::mssql::quote::TableName;
use etl_sql::mssql::target::Target;
use serde_json::Value;

pub use sink::MssqlSink;

/// The registry's entry.
pub const CONNECTOR: SinkConnector = SinkConnector {
    kind: "mssql",
    build: |value, stream| Ok(Box::new(build(value, stream)?) as Box<dyn Sink>),
    admin: |value, stream| Ok(Box::new(build(value, stream)?) as Box<dyn SinkAdmin>),
    object: |text| Ok(TableName::parse(text)?.into()),
    schema: || schemars::schema_for!(MssqlSection),
};

fn build(value: &Value, stream: &Stream) -> Result<MssqlSink> {
    let section: MssqlSection = section("target", value)?;
    let config = section.into_config(&format!("etl-job {}", stream.pipeline))?;
    MssqlSink::new(config, stream)
}

/// A stream's target before anything was opened, and the connection to it.
struct Link {
    config: MssqlConfig,
    stream: StreamConfig,
    name: String,
    connection: Option<Connection>,
    /// Whether the connection at hand has a staging table.
    staged: bool,
    /// Whether it has a table for rows to put aside.
    parks: bool,
}

impl Link {
    /// A connection, new or as the last good call left it. It must be given back with
    /// [`Link::keep`] only after a good end; otherwise it is gone, as it should be.
    async fn take(&mut self) -> Result<Connection> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        (self.staged, self.parks) = (false, false);
        Connection::open(&self.config).await.map_err(|error| error.context(&self.name))
    }

    fn keep(&mut self, connection: Connection) {
        self.connection = Some(connection);
    }

    /// The target as planned, or as found if the schema was opened.
    fn planned(&self, schema: &StreamSchema) -> Result<Arc<Target>> {
        if schema.name != self.name {
            return Err(Error::internal(format!(
                "the sink of {} was given the schema of {}",
                self.name, schema.name
            )));
        }
        Target::planned(&self.stream, schema).map(Arc::new)
    }

    /// The target as planned, and its stage, if it has one.
    fn targets(&self, schema: &StreamSchema) -> Result<Vec<Arc<Target>>> {
        let target = self.planned(schema)?;
        let stage = target.stage(&self.config.state_schema)?;
        Ok(std::iter::once(target).chain(stage).collect())
    }

    /// Whether there are state tables that we may see.
    ///
    /// # Errors
    /// `Config` if they are of an older version than this program.
    async fn has_state(&self, connection: &mut Connection, doing: &str) -> Result<bool> {
        let sql = statements::version(&self.config.state_schema)?;
        let row = connection.query_row(&sql, &[], Phase::Repeatable, doing).await?;
        let Some(row) = row else { return Ok(false) };
        let found = value::<i32>(&row, "version")?.unwrap_or(0);
        if found >= plan::VERSION {
            return Ok(true);
        }
        Err(Error::config(format!(
            "{doing}: the state tables in [{}] are of version {found}, this program needs {}; run \
             mssql-init with this pipeline file",
            self.config.state_schema,
            plan::VERSION
        )))
    }

    /// What to say when the pipeline's row, or the whole schema, is missing.
    fn unprepared(&self, doing: &str) -> Error {
        Error::config(format!(
            "{doing}: {} has no row in [{}].[checkpoint]; run mssql-init with this pipeline file",
            self.name, self.config.state_schema
        ))
    }
}
