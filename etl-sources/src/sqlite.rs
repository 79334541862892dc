//! SQLite as a source: sweeps in the order of a timestamp column that the file itself sets.

mod catalog;
mod check;
mod decode;
mod horizon;
mod lookup;
mod place;
mod shape;
mod source;
mod statement;
mod sweep;

use std::sync::Arc;

use etl_core::catalog::{Catalog, ObjectName};
use etl_core::connector::{SourceConnector, Stream, section};
use etl_core::error::{Error, Result, ResultExt};
use etl_core::predicate::Predicate;
use etl_core::source::Source;
use etl_sql::sqlite::{Config, quote};
use serde_json::Value;

use catalog::SqliteCatalog;

pub use source::SqliteSource;

/// The registry's entry.
pub const CONNECTOR: SourceConnector =
    SourceConnector { kind: "sqlite", build, catalog, object, schema };

fn build(value: &Value, stream: &Stream) -> Result<Arc<dyn Source>> {
    Ok(Arc::new(SqliteSource::new(Settings::new(value, stream)?)))
}

fn catalog(value: &Value, _pipeline: &str) -> Result<Box<dyn Catalog>> {
    let config: Config = section("source", value)?;
    config.validate().context(|| "source")?;
    Ok(Box::new(SqliteCatalog { config }))
}

fn object(text: &str) -> Result<ObjectName> {
    quote::table("table", text).map(quote::object)
}

fn schema() -> schemars::Schema {
    schemars::schema_for!(Config)
}

/// What a source knows before it opens the file.
#[derive(Debug)]
struct Settings {
    config: Config,
    stream: Stream,
    name: String,
    table: String,
    filter: Option<Predicate>,
    /// What the cursor's clock shows at midnight UTC, in microseconds.
    utc_offset_micros: i64,
}

impl Settings {
    fn new(value: &Value, stream: &Stream) -> Result<Self> {
        let config: Config = section("source", value)?;
        config.validate().context(|| "source")?;
        let key = format!("streams.{}", stream.name);
        stream.config.cursor.no_transaction_numbers("SQLite").context(|| &key)?;
        let table = quote::table(&key, stream.table())?;
        let filter = stream.config.filter.as_deref().map(Predicate::parse).transpose();
        let offset = stream.config.cursor.utc_offset.as_deref().map(offset_micros).transpose();
        Ok(Self {
            config,
            stream: stream.clone(),
            name: stream.full_name(),
            table,
            filter: filter.context(|| format!("{key}.where"))?,
            utc_offset_micros: offset.context(|| format!("{key}.cursor.utc_offset"))?.unwrap_or(0),
        })
    }

    fn cursor(&self) -> &str {
        &self.stream.config.cursor.column
    }

    fn key(&self) -> &[String] {
        &self.stream.config.primary_key
    }
}

/// Microseconds of `+02:00`, `-05:30` or `Z`.
fn offset_micros(text: &str) -> Result<i64> {
    let parse = || -> Option<i64> {
        if text == "Z" {
            return Some(0);
        }
        let sign = match text.get(0..1)? {
            "+" => 1,
            "-" => -1,
            _ => return None,
        };
        let (hours, minutes) = text.get(1..)?.split_once(':')?;
        let part = |text: &str, most: i64| -> Option<i64> {
            let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|number| digits && *number <= most)
        };
        Some(sign * (part(hours, 14)? * 60 + part(minutes, 59)?) * 60_000_000)
    };
    parse().ok_or_else(|| Error::config(format!("\"{text}\" is not an offset such as +02:00")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_read_or_refused() {
        assert_eq!(offset_micros("+02:00").unwrap(), 7_200_000_000);
        assert_eq!(offset_micros("-05:30").unwrap(), -19_800_000_000);
        assert_eq!(offset_micros("Z").unwrap(), 0);
        for wrong in ["02:00", "+2:00", "+02", "+15:00", "+02:60", "", "é2:00", "++2:00"] {
            assert!(offset_micros(wrong).is_err(), "{wrong}");
        }
    }
}
