//! A table to read from.

use std::sync::Arc;

use etl_core::connector::Stream;
use etl_core::error::Result;
use etl_core::source::Source;
use etl_sources::SOURCES;
use etl_tests::postgres::Database;
use serde_json::{Value, json};

pub(super) use crate::support::sweep::*;

/// A table with a cursor that the database sets.
pub(super) struct Trial {
    pub(super) database: Database,
    pub(super) table: String,
}

impl Trial {
    /// Makes the table with these columns and `updated_at`, its trigger and its index.
    pub(super) async fn create(database: Database, table: &str, columns: &str) -> Self {
        let sql = format!(
            "CREATE TABLE {table} ({columns}, updated_at timestamptz NOT NULL DEFAULT now()); \
             CREATE FUNCTION {table}_touch() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN NEW.updated_at := now(); RETURN NEW; END $$; \
             CREATE TRIGGER touch BEFORE UPDATE ON {table} \
             FOR EACH ROW EXECUTE FUNCTION {table}_touch(); \
             CREATE INDEX ON {table} (updated_at)"
        );
        database.execute(&sql).await;
        Self { database, table: table.to_owned() }
    }

    /// A table `public.orders` of `id`, `note` and `src_xid`, its writer's transaction number.
    pub(super) async fn numbered(database: Database) -> Self {
        let sql = "CREATE TABLE public.orders (id bigint PRIMARY KEY, note text, \
             src_xid xid8 NOT NULL DEFAULT pg_current_xact_id()); \
             CREATE FUNCTION number() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN NEW.src_xid := pg_current_xact_id(); RETURN NEW; END $$; \
             CREATE TRIGGER number BEFORE INSERT OR UPDATE ON public.orders \
             FOR EACH ROW EXECUTE FUNCTION number(); CREATE INDEX ON public.orders (src_xid, id)";
        database.execute(sql).await;
        Self { database, table: "public.orders".to_owned() }
    }

    /// A source of such a table.
    pub(super) fn by_number(&self, change: impl FnOnce(&mut Value)) -> Arc<dyn Source> {
        self.source(|config| {
            numbered(config);
            change(config);
        })
    }

    /// A table `public.orders` of `id` and `note`.
    pub(super) async fn orders() -> Self {
        Self::create(Database::new().await, "public.orders", "id bigint PRIMARY KEY, note text")
            .await
    }

    pub(super) async fn execute(&self, sql: &str) {
        self.database.execute(sql).await;
    }

    /// A source of `id`, `note` and `updated_at`, with `change` made to the stream's config.
    pub(super) fn source(&self, change: impl FnOnce(&mut Value)) -> Arc<dyn Source> {
        self.try_source(change).expect("a source")
    }

    pub(super) fn try_source(&self, change: impl FnOnce(&mut Value)) -> Result<Arc<dyn Source>> {
        build(&self.database.section(), &stream(&self.table, change))
    }
}

/// Makes a stream's config one of a table with transaction numbers.
pub(super) fn numbered(config: &mut Value) {
    config["select"] = json!(["id", "note", "src_xid"]);
    config["cursor"] = json!({ "column": "src_xid", "safety": "xid8" });
}

/// The stream of `table` with `change` made to its config.
pub(super) fn stream(table: &str, change: impl FnOnce(&mut Value)) -> Stream {
    let mut config = json!({
        "object": "dbo.orders",
        "primary_key": ["id"],
        "cursor": { "column": "updated_at", "guard": "1s" },
        "select": ["id", "note", "updated_at"],
    });
    change(&mut config);
    let config = serde_json::from_value(config).expect("a stream's config");
    Stream { pipeline: "trial".to_owned(), name: table.to_owned(), config }
}

pub(super) fn build(section: &Value, stream: &Stream) -> Result<Arc<dyn Source>> {
    let connector = SOURCES.iter().find(|connector| connector.kind == "postgres");
    (connector.expect("the registry's line").build)(section, stream)
}
