//! SQLite as a target: one file, commits that are durable when they return.

mod admin;
mod aside;
mod deferred;
mod encode;
mod ledger;
mod moved;
mod replace;
mod session;
mod sink;
mod state;
mod write;

use std::sync::Arc;

use etl_core::catalog::ObjectName;
use etl_core::connector::{Mode, SinkConnector, Stream, section};
use etl_core::error::{Error, Result, ResultExt};
use etl_core::sink::{Sink, SinkAdmin};
use etl_sql::sqlite::{Config, migrations, plan, quote};
use serde_json::Value;
use sqlx::sqlite::SqliteConnection;

pub use admin::SqliteAdmin;
pub use sink::SqliteSink;

/// The registry's entry.
pub const CONNECTOR: SinkConnector = SinkConnector { kind: "sqlite", build, admin, object, schema };

fn build(value: &Value, stream: &Stream) -> Result<Box<dyn Sink>> {
    Ok(Box::new(SqliteSink::new(Arc::new(Settings::new(value, stream)?))))
}

fn admin(value: &Value, stream: &Stream) -> Result<Box<dyn SinkAdmin>> {
    Ok(Box::new(SqliteAdmin::new(Arc::new(Settings::new(value, stream)?))))
}

fn object(text: &str) -> Result<ObjectName> {
    quote::table("object", text).map(quote::object)
}

fn schema() -> schemars::Schema {
    schemars::schema_for!(Config)
}

/// What sink and admin know before they open the file.
#[derive(Debug)]
pub struct Settings {
    config: Config,
    stream: Stream,
    name: String,
    table: String,
}

impl Settings {
    fn new(value: &Value, stream: &Stream) -> Result<Self> {
        let config: Config = section("target", value)?;
        config.validate().context(|| "target")?;
        let object = format!("streams.{}.object", stream.name);
        let table = quote::table(&object, &stream.config.object)?;
        let ours = ["etl_checkpoint", "etl_run", "etl_quarantine", "etl_schema_version"];
        if ours.iter().any(|name| table.eq_ignore_ascii_case(name)) {
            return Err(Error::config(format!("{object}: {table} is a state table of ours")));
        }
        let name = stream.full_name();
        Ok(Self { config, stream: stream.clone(), name, table })
    }

    /// The table in which loads are collected that replace the target.
    fn stage(&self) -> Option<String> {
        let replaces = self.stream.config.mode == Mode::Replace;
        replaces.then(|| plan::stage(&self.name, &self.table))
    }

    /// The tables that have the stream's columns.
    fn tables(&self) -> Vec<String> {
        std::iter::once(self.table.clone()).chain(self.stage()).collect()
    }

    /// # Errors
    /// `Config` if the state tables are missing, or of an older version than this program.
    async fn check_version(&self, c: &mut SqliteConnection) -> Result<()> {
        if migrations::are_applied(c).await? {
            return Ok(());
        }
        Err(self.unprepared("the state tables are missing, or of an older version,"))
    }

    /// What to say when the file, a table or the pipeline's row is missing.
    fn unprepared(&self, what: &str) -> Error {
        Error::config(format!(
            "{}: {what} in {}; run `etl-job prepare` once",
            self.name,
            self.config.shown()
        ))
    }
}
