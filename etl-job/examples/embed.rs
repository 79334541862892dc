//! A pipeline inside another program: SQLite to SQLite, through the registries.
//!
//! `cargo run --package etl-job --example embed`
//!
//! Nothing here needs `etl-job`'s own code: the engine is `etl-core`, connectors come from
//! `etl-sources` and `etl-sinks`.

use std::error::Error;
use std::path::Path;

use etl_core::connector::{Stream, StreamConfig};
use etl_core::pipeline::output_schema;
use etl_core::{Definition, Pipeline, PipelineOptions, transform};
use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use tokio_util::sync::CancellationToken;

/// A key, an index on the cursor, and a cursor that the database itself sets.
const SOURCE: &str = "
CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    status VARCHAR(20) NOT NULL,
    amount DECIMAL_TEXT(18,2) NOT NULL,
    updated_at TIMESTAMPTZ_TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'))
);
CREATE INDEX orders_updated_at ON orders (updated_at, id);
CREATE TRIGGER orders_touched AFTER UPDATE ON orders WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE orders SET updated_at = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now') WHERE id = NEW.id;
END;
INSERT INTO orders (id, status, amount)
VALUES (1, 'confirmed', '10.00'), (2, 'confirmed', '20.00'), (3, 'new', '30.00');";

/// One order leaves the filter, another enters it.
const CHANGE: &str = "
UPDATE orders SET status = 'cancelled' WHERE id = 2;
UPDATE orders SET status = 'confirmed' WHERE id = 3;";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let (source, target) = (folder.path().join("source.db"), folder.path().join("target.db"));
    execute(&source, SOURCE).await?;
    let mut pipeline = pipeline(&source, &target).await?;
    // Whoever cancels it ends the run at the next batch boundary.
    let stop = CancellationToken::new();

    carry(&mut pipeline, &stop).await?;
    execute(&source, CHANGE).await?;
    carry(&mut pipeline, &stop).await?;

    let mut connection = open(&target).await?;
    let (rows, keys): (i64, i64) =
        sqlx::query_as("SELECT count(*), sum(id) FROM orders").fetch_one(&mut connection).await?;
    connection.close().await?;
    // Orders 1 and 3.
    if (rows, keys) != (2, 4) {
        return Err(format!("the target holds {rows} rows with keys that sum up to {keys}").into());
    }
    println!("the target holds the {rows} confirmed orders");
    Ok(())
}

/// A pipeline of one stream, and a target that is prepared for it.
async fn pipeline(source: &Path, target: &Path) -> Result<Pipeline, Box<dyn Error>> {
    // What a pipeline file says about a stream, in the same words.
    let config: StreamConfig = serde_json::from_value(json!({
        "object": "orders",
        "primary_key": ["id"],
        "cursor": { "column": "updated_at" },
        "select": ["id", "status", "amount", "updated_at"],
        "where": "status = 'confirmed'",
    }))?;
    config.validate()?;
    let stream = Stream { pipeline: "embedded".to_owned(), name: "orders".to_owned(), config };

    // The registries build by the word after `type:` and open no connection.
    let from = json!({ "type": "sqlite", "path": source });
    let to = json!({ "type": "sqlite", "path": target });
    let source = (etl_sources::find("sqlite")?.build)(&from, &stream)?;
    let sink = (etl_sinks::find("sqlite")?.build)(&to, &stream)?;
    let mut admin = (etl_sinks::find("sqlite")?.admin)(&to, &stream)?;
    let transforms = transform::build(&stream.config.transforms, stream.config.filter_exit())?;

    // What the source does not know of, and what a later run must find unchanged.
    let definition = Definition::default()
        .with("mode", stream.config.mode.as_str())
        .with("object", &stream.config.object);
    let options = PipelineOptions { definition, ..PipelineOptions::default() };

    // Once per target, with an owner's login: state tables, target table, checkpoint row.
    let schema = output_schema(source.schema().await?, &transforms, &options.definition)?;
    admin.prepare(&schema).await?;

    Ok(Pipeline::new(stream.full_name(), source, transforms, sink, options))
}

/// One run. It never panics and never returns early: how it ended is in what it gives back.
async fn carry(pipeline: &mut Pipeline, stop: &CancellationToken) -> Result<(), Box<dyn Error>> {
    let finished = Box::pin(pipeline.run(stop)).await;
    let report = &finished.report;
    println!(
        "{}: {}, read {}, written {}, deleted {}, unchanged {}",
        report.name,
        report.outcome.as_str(),
        report.read,
        report.written,
        report.deleted,
        report.unchanged
    );
    match finished.error {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

async fn execute(path: &Path, sql: &'static str) -> Result<(), Box<dyn Error>> {
    let mut connection = open(path).await?;
    sqlx::raw_sql(sql).execute(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

async fn open(path: &Path) -> sqlx::Result<SqliteConnection> {
    SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await
}
