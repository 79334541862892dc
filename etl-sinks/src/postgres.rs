//! Sink `postgres`: rows into Postgres, exactly once.

mod admin;
pub mod apply;
mod aside;
mod config;
pub mod replace;
mod sink;
mod state;
pub mod statements;

use etl_core::connector::{SinkConnector, Stream, StreamConfig, section};
use etl_core::schema::StreamSchema;
use etl_core::sink::{Sink, SinkAdmin};
use etl_core::{Error, Result};
use etl_sql::postgres::Connect;
use etl_sql::postgres::quote::TableName;
use etl_sql::postgres::session::{Limits, Session};
use etl_sql::postgres::target::Target;
use serde_json::Value;

pub use config::PostgresTarget;
pub use sink::PostgresSink;

/// The registry's entry.
pub const CONNECTOR: SinkConnector = SinkConnector {
    kind: "postgres",
    build: |value, stream| Ok(Box::new(build(value, stream)?) as Box<dyn Sink>),
    admin: |value, stream| Ok(Box::new(build(value, stream)?) as Box<dyn SinkAdmin>),
    object: |text| Ok(TableName::parse(text)?.into()),
    schema: || schemars::schema_for!(PostgresTarget),
};

fn build(value: &Value, stream: &Stream) -> Result<PostgresSink> {
    PostgresSink::new(&section("target", value)?, stream)
}

/// A stream's target before anything was opened, and the way to it.
struct Link {
    connect: Connect,
    limits: Limits,
    state_schema: String,
    grant_to: Option<String>,
    stream: StreamConfig,
    name: String,
    session: Option<Session>,
}

impl Link {
    /// A session, new or as the last good call left it. It must be given back with [`Link::keep`]
    /// only after a good end; otherwise it is gone, as it should be.
    async fn take(&mut self) -> Result<Session> {
        match self.session.take() {
            Some(session) => Ok(session),
            None => Session::open(&self.connect, self.limits)
                .await
                .map_err(|error| error.context(&self.name)),
        }
    }

    fn keep(&mut self, session: Session) {
        self.session = Some(session);
    }

    fn planned(&self, schema: &StreamSchema) -> Result<Target> {
        if schema.name != self.name {
            return Err(Error::internal(format!(
                "the sink of {} was given the schema of {}",
                self.name, schema.name
            )));
        }
        Target::planned(&self.stream, schema)
    }

    /// The target as planned, and its stage, if it has one.
    fn targets(&self, schema: &StreamSchema) -> Result<Vec<Target>> {
        let target = self.planned(schema)?;
        let stage = target.stage(&self.state_schema)?;
        Ok(std::iter::once(target).chain(stage).collect())
    }

    fn doing(&self, what: &str) -> String {
        format!("{}: {what}", self.name)
    }

    /// What to say when the pipeline's row, or the whole schema, is missing.
    fn unprepared(&self, doing: &str) -> Error {
        Error::config(format!(
            "{doing}: it has no row in {}.checkpoint; run `etl-job prepare` once, with an owner's \
             login",
            self.state_schema
        ))
    }
}
