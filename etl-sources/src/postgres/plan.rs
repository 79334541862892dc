//! What is read, worked out from the config and the catalog.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use etl_core::connector::{FilterExit, Mode, Safety, SetBy, Stream};
use etl_core::error::{Error, Result};
use etl_core::predicate::{Booleans, Dialect, Predicate};
use etl_core::schema::{Definition, StreamSchema};
use etl_sql::postgres::catalog::{Column, Identity, Table};
use etl_sql::postgres::failed;
use etl_sql::postgres::quote::{self, TableName};
use etl_sql::postgres::types::{self, Fit, Mapped, Wire};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row};

use super::mark::Kind;

/// A stream's columns, key, cursor and filter, resolved.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) identity: Identity,
    pub(super) oid: i64,
    pub(super) columns: Vec<Mapped>,
    pub(super) schema: SchemaRef,
    /// Places of the key columns in `columns`.
    pub(super) key: Vec<usize>,
    /// Place of the cursor in `columns`.
    pub(super) cursor: usize,
    /// What the cursor's values are.
    pub(super) kind: Kind,
    /// The filter as SQL.
    pub(super) filter: Option<String>,
    pub(super) exit: FilterExit,
    /// Name and shape of each selected column.
    fingerprint: Vec<(String, String)>,
    /// Their numbers in the table.
    numbers: Vec<i16>,
}

impl Plan {
    /// Works the plan out.
    ///
    /// # Errors
    /// `Schema` for a column that is missing or needs a declaration; `Config` for settings that do
    /// not fit the columns.
    pub(super) async fn resolve(
        connection: &mut PgConnection,
        identity: Identity,
        table: &Table,
        stream: &Stream,
        predicate: Option<&Predicate>,
    ) -> Result<Self> {
        let config = &stream.config;
        let mut columns = Vec::with_capacity(config.select.len());
        for name in &config.select {
            let column = table.column(name).ok_or_else(|| missing(name, table, stream))?;
            match types::map(column, config.declared(name)?)? {
                Fit::Mapped(mapped) => columns.push(mapped),
                Fit::NumericUndeclared => return Err(undeclared(connection, stream, column).await),
            }
        }
        for mapped in &mut columns {
            if config.primary_key.contains(mapped.field.name()) {
                mapped.field.set_nullable(false);
            }
        }
        let fields: Vec<_> = columns.iter().map(|mapped| mapped.field.clone()).collect();
        let schema = Arc::new(Schema::new(fields));
        if let Some(predicate) = predicate {
            predicate.check(&schema).map_err(|error| error.context("where"))?;
        }
        let place = |name: &String| schema.index_of(name).map_err(Error::from);
        let cursor = place(&config.cursor.column)?;
        let kind = kind(stream, columns.get(cursor).map(|mapped| mapped.wire))?;
        if kind == Kind::Xid && !identity.is_known() {
            return Err(Error::permission(
                "the server does not tell its system identifier to this role, and on another \
                 server, such as a restored copy, transaction numbers mean nothing: GRANT EXECUTE \
                 ON FUNCTION pg_control_system(), pg_control_checkpoint()",
            ));
        }
        Ok(Self {
            identity,
            oid: table.oid,
            key: config.primary_key.iter().map(place).collect::<Result<_>>()?,
            cursor,
            kind,
            filter: predicate.map(render).transpose()?,
            exit: config.filter_exit(),
            fingerprint: fingerprint(table, &config.select),
            numbers: numbers(table, &config.select),
            columns,
            schema,
        })
    }

    /// Makes sure that the table and the server are still those of this plan.
    ///
    /// # Errors
    /// `Schema` with what changed.
    pub(super) fn still_fits(&self, table: &Table, stream: &Stream) -> Result<()> {
        let now = fingerprint(table, &stream.config.select);
        let changed = self.fingerprint.iter().find(|column| !now.contains(column));
        if let Some((name, was)) = changed {
            let is = table.column(name).map_or_else(|| "gone".to_owned(), Column::fingerprint);
            return Err(Error::schema(format!(
                "column {name} of {} changed while it was being read: it was {was} and is {is}; \
                 run again, after the target was made to fit",
                stream.table()
            )));
        }
        if table.oid != self.oid {
            return Err(Error::schema(format!(
                "table {} was dropped and created anew while it was being read; run again",
                stream.table()
            )));
        }
        let select = &stream.config.select;
        let now = numbers(table, select);
        let other =
            select.iter().zip(self.numbers.iter().zip(&now)).find(|(_, (was, is))| was != is);
        if let Some((name, _)) = other {
            return Err(Error::schema(format!(
                "column {name} of {} is another one than when the read began: it was dropped and \
                 added anew, or another column has its name now. Its values changed without any \
                 update, so run once with --full-refresh",
                stream.table()
            )));
        }
        Ok(())
    }

    /// Names, types and definition, as the engine wants them.
    pub(super) fn stream_schema(&self, stream: &Stream, name: &TableName) -> StreamSchema {
        let config = &stream.config;
        let set_by = match config.cursor.set_by {
            SetBy::Database => "database",
            SetBy::Application => "application",
        };
        let safety = config.cursor.safety.as_str();
        let offset = config.cursor.utc_offset.as_deref().map(|text| format!(", offset {text}"));
        let mut definition = Definition::default()
            .with("source.system", &self.identity.system)
            .with("source.timeline", &self.identity.timeline)
            .with("source.table", name)
            .with("source.select", config.select.join(", "))
            .with("source.key", config.primary_key.join(", "))
            .with(
                "source.cursor",
                format!(
                    "{} set by {set_by}, {safety}{}",
                    config.cursor.column,
                    offset.unwrap_or_default()
                ),
            )
            .with("source.where", config.filter.as_deref().unwrap_or("nothing"))
            .with("source.on_filter_exit", self.exit.as_str());
        if self.kind == Kind::Xid {
            // A table that was restored from a dump has old numbers in it.
            definition = definition.with("source.oid", self.oid);
        }
        for (column, shape) in &self.fingerprint {
            let declared = config.columns.get(column).map(|text| format!(" as {text}"));
            definition = definition.with(
                format!("source.column.{column}"),
                format!("{shape}{}", declared.unwrap_or_default()),
            );
        }
        StreamSchema {
            name: stream.full_name(),
            schema: Arc::clone(&self.schema),
            key: config.primary_key.clone(),
            definition,
        }
    }

    /// The names of the key's columns, in the key's order.
    pub(super) fn key_names(&self) -> Vec<String> {
        let fields = self.schema.fields();
        self.key.iter().filter_map(|place| fields.get(*place)).map(|f| f.name().clone()).collect()
    }

    /// Whether only rows below the horizon are delivered.
    pub(super) fn settled_only(stream: &Stream) -> bool {
        stream.config.mode == Mode::Append
    }
}

fn fingerprint(table: &Table, select: &[String]) -> Vec<(String, String)> {
    select
        .iter()
        .filter_map(|name| table.column(name))
        .map(|column| (column.name.clone(), column.fingerprint()))
        .collect()
}

fn numbers(table: &Table, select: &[String]) -> Vec<i16> {
    select.iter().filter_map(|name| table.column(name)).map(|column| column.number).collect()
}

fn render(predicate: &Predicate) -> Result<String> {
    // The texts were looked at when the source was built: none has a NUL.
    let text = |text: &str| quote::text(text).unwrap_or_else(|_| "NULL".to_owned());
    predicate.to_sql(&Dialect { name: &quote::name, text: &text, booleans: Booleans::Keywords })
}

fn missing(name: &str, table: &Table, stream: &Stream) -> Error {
    let known: Vec<_> = table.columns.iter().map(|column| column.name.as_str()).collect();
    Error::schema(format!(
        "{} has no column {name}; it has {}. Correct select, letter by letter",
        stream.table(),
        known.join(", ")
    ))
}

fn kind(stream: &Stream, wire: Option<Wire>) -> Result<Kind> {
    let cursor = &stream.config.cursor;
    let column = &cursor.column;
    if wire == Some(Wire::Xid8) {
        return match cursor.safety {
            Safety::Xid8 => Ok(Kind::Xid),
            _ => Err(Error::config(format!(
                "cursor: column {column} is an xid8, a transaction's number and no time; use \
                 cursor.safety: xid8"
            ))),
        };
    }
    match (wire, super::source::utc_offset(stream)?) {
        (Some(Wire::TimestampTz), None) => Ok(Kind::Time { to_utc: 0 }),
        (Some(Wire::TimestampTz), Some(_)) => Err(Error::config(format!(
            "cursor.utc_offset: column {column} is timestamptz and has its own; take it out"
        ))),
        (Some(Wire::Timestamp), Some(offset)) => Ok(Kind::Time { to_utc: -offset }),
        (Some(Wire::Timestamp), None) => Err(Error::config(format!(
            "cursor: column {column} is a timestamp without time zone; say which one it is meant \
             in, for example cursor.utc_offset: \"+00:00\", or make it timestamptz"
        ))),
        _ => Err(Error::config(format!(
            "cursor: column {column} is neither timestamptz nor timestamp, and no other type says \
             when a row was written. Add a column such as updated_at timestamptz NOT NULL DEFAULT \
             now() with a trigger that sets it BEFORE UPDATE, and an index on it"
        ))),
    }
}

/// What to write for a numeric that has no declared precision and scale, from its values.
async fn undeclared(connection: &mut PgConnection, stream: &Stream, column: &Column) -> Error {
    match observed(connection, stream, column).await {
        Ok(found) => Error::schema(format!(
            "column {}: {} has no precision and scale that the target could take over. {found}",
            column.name, column.declared
        )),
        Err(error) => error,
    }
}

async fn observed(
    connection: &mut PgConnection,
    stream: &Stream,
    column: &Column,
) -> Result<String> {
    let doing = format!("looking at the numbers of column {}", column.name);
    let name = quote::name(&column.name)?;
    let table = TableName::parse(stream.table())?.quoted()?;
    let sql = format!(
        "SELECT max(length(trunc(abs({name}))::text)), max(scale(trim_scale({name}))) FROM {table} \
         WHERE {name}::text NOT IN ('NaN', 'Infinity', '-Infinity')"
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .fetch_one(connection)
        .await
        .map_err(|error| failed(&doing, error))?;
    let whole: Option<i32> = row.try_get(0).map_err(|error| failed(&doing, error))?;
    let scale: Option<i32> = row.try_get(1).map_err(|error| failed(&doing, error))?;
    let (Some(whole), Some(scale)) = (whole, scale) else {
        return Ok(format!(
            "The table holds none yet. Write for example columns: {{ {}: \"decimal(18,2)\" }}",
            column.name
        ));
    };
    let found = format!(
        "Its values have up to {whole} digits before the point and {scale} after it (precision {}, \
         scale {scale}).",
        whole + scale
    );
    Ok(if whole + scale > 38 {
        format!("{found} No decimal holds that; write columns: {{ {}: text }}", column.name)
    } else {
        format!(
            "{found} Write columns: {{ {}: \"decimal({},{scale})\" }}, or a wider one",
            column.name,
            (whole + scale).max(18)
        )
    })
}
