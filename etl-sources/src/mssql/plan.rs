//! What is read, worked out from the config and the catalog.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use etl_core::connector::{FilterExit, Mode, Safety, SetBy, Stream};
use etl_core::error::{Error, Result};
use etl_core::predicate::{Booleans, Dialect, Predicate};
use etl_core::schema::{Definition, StreamSchema};
use etl_sql::mssql::quote::{self, TableName};
use etl_sql::mssql::read::Cursor;
use etl_sql::mssql::read::catalog::{Column, Database, Identity, Reading, Table};
use etl_sql::mssql::read::types::{self, Mapped};

/// A stream's columns, key, cursor and filter, resolved.
#[derive(Debug)]
pub struct Plan {
    pub(super) identity: Identity,
    pub(super) reading: Reading,
    object_id: i32,
    pub(super) columns: Vec<Mapped>,
    pub(super) schema: SchemaRef,
    /// Places of the key columns in `columns`.
    pub(super) key: Vec<usize>,
    /// Place of the cursor in `columns`.
    pub(super) cursor: usize,
    pub(super) kind: Cursor,
    /// The filter as T-SQL.
    pub(super) filter: Option<String>,
    pub(super) exit: FilterExit,
    /// Name and shape of each selected column.
    fingerprint: Vec<(String, String)>,
}

impl Plan {
    /// Works the plan out.
    ///
    /// # Errors
    /// `Schema` for a column that is missing or needs a declaration; `Config` for settings that do
    /// not fit the columns.
    pub fn resolve(
        database: &Database,
        table: &Table,
        stream: &Stream,
        predicate: Option<&Predicate>,
    ) -> Result<Self> {
        let config = &stream.config;
        let mut columns = Vec::with_capacity(config.select.len());
        for name in &config.select {
            let column = table.column(name).ok_or_else(|| missing(name, table, stream))?;
            columns.push(types::map(column, config.declared(name)?)?);
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
        let cursor = table.column(&config.cursor.column);
        if config
            .declared(&config.cursor.column)?
            .is_some_and(|kind| kind.arrow() == DataType::Utf8)
        {
            return Err(Error::config(format!(
                "columns.{}: the cursor cannot be read as a text; declare a time, or take the \
                 declaration out",
                config.cursor.column
            )));
        }
        Ok(Self {
            identity: database.identity.clone(),
            reading: database.reading,
            object_id: table.object_id,
            key: config.primary_key.iter().map(place).collect::<Result<_>>()?,
            cursor: place(&config.cursor.column)?,
            kind: kind(stream, cursor.ok_or_else(|| Error::internal("a cursor was lost"))?)?,
            filter: predicate.map(render).transpose()?,
            exit: config.filter_exit(),
            fingerprint: fingerprint(table, &config.select),
            columns,
            schema,
        })
    }

    /// Makes sure that the table and the database are still those of this plan.
    ///
    /// # Errors
    /// `Schema` with what changed.
    pub(super) fn still_fits(
        &self,
        database: &Database,
        table: &Table,
        stream: &Stream,
    ) -> Result<()> {
        if self.identity != database.identity {
            return Err(Error::schema(format!(
                "this is another database now, or its history branched (database {} fork {}, before \
                 {} fork {}): run again, and see what `check` says",
                database.identity.database,
                database.identity.fork,
                self.identity.database,
                self.identity.fork
            )));
        }
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
        if table.object_id != self.object_id {
            return Err(Error::schema(format!(
                "table {} was dropped and created anew while it was being read; run again",
                stream.table()
            )));
        }
        Ok(())
    }

    /// Names, types and definition, as the engine wants them.
    pub(super) fn stream_schema(&self, stream: &Stream, name: &TableName) -> Result<StreamSchema> {
        let config = &stream.config;
        let set_by = match config.cursor.set_by {
            SetBy::Database => "database",
            SetBy::Application => "application",
        };
        let safety = config.cursor.safety.as_str();
        let offset = config.cursor.utc_offset.as_deref().map(|text| format!(", offset {text}"));
        let mut definition = Definition::default()
            .with("source.database", &self.identity.database)
            .with("source.fork", &self.identity.fork)
            .with("source.table", name.quoted()?)
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
        for (column, shape) in &self.fingerprint {
            let declared = config.columns.get(column).map(|text| format!(" as {text}"));
            definition = definition.with(
                format!("source.column.{column}"),
                format!("{shape}{}", declared.unwrap_or_default()),
            );
        }
        Ok(StreamSchema {
            name: stream.full_name(),
            schema: Arc::clone(&self.schema),
            key: config.primary_key.clone(),
            definition,
        })
    }

    /// The names of the key's columns, in the key's order.
    pub(super) fn key_names(&self) -> Vec<String> {
        let fields = self.schema.fields();
        self.key.iter().filter_map(|place| fields.get(*place)).map(|f| f.name().clone()).collect()
    }

    /// Whether only rows below the horizon are delivered: what is above it may be locked, or would
    /// be appended again.
    pub(super) fn settled_only(&self, stream: &Stream) -> bool {
        stream.config.mode == Mode::Append || self.reading == Reading::Locking
    }
}

fn fingerprint(table: &Table, select: &[String]) -> Vec<(String, String)> {
    select
        .iter()
        .filter_map(|name| table.column(name))
        .map(|column| (column.name.clone(), column.fingerprint()))
        .collect()
}

fn render(predicate: &Predicate) -> Result<String> {
    predicate.to_sql(&Dialect { name: &quote::name, text: &quote::text, booleans: Booleans::Bits })
}

fn missing(name: &str, table: &Table, stream: &Stream) -> Error {
    let known: Vec<_> = table.columns.iter().map(|column| column.name.as_str()).collect();
    Error::schema(format!(
        "{} has no column {name}; it has {}. Correct select, letter by letter",
        stream.table(),
        known.join(", ")
    ))
}

/// The kind of the cursor column, once the settings fit it.
pub(super) fn kind(stream: &Stream, column: &Column) -> Result<Cursor> {
    let cursor = &stream.config.cursor;
    let (name, declared) = (&column.name, column.declared());
    let offset = super::source::utc_offset(stream)?;
    let zone = || {
        Error::config(format!(
            "cursor: column {name} is {declared}, without an offset; say which one it is meant in, \
             for example cursor.utc_offset: \"+00:00\""
        ))
    };
    // A period's beginning is in UTC by definition.
    let offset = if column.is_row_start { offset.or(Some(0)) } else { offset };
    match column.type_name.as_str() {
        "timestamp" | "rowversion" => match (cursor.set_by, cursor.safety, offset) {
            (SetBy::Database, Safety::Horizon, None) => Ok(Cursor::Version),
            _ => Err(Error::config(format!(
                "cursor: column {name} is a rowversion, which the database sets and whose horizon \
                 is exact; take set_by, safety and utc_offset out"
            ))),
        },
        "datetime2" => Ok(Cursor::DateTime2(column.scale, -offset.ok_or_else(zone)?)),
        "datetime" => Ok(Cursor::DateTime(-offset.ok_or_else(zone)?)),
        "datetimeoffset" if offset.is_some() => Err(Error::config(format!(
            "cursor.utc_offset: column {name} is {declared} and has its own; take it out"
        ))),
        "datetimeoffset" => Ok(Cursor::DateTimeOffset(column.scale)),
        _ => Err(Error::config(format!(
            "cursor: column {name} is {declared}; a cursor is a rowversion, datetime2, \
             datetimeoffset or datetime. Best is ALTER TABLE {} ADD [row_version] rowversion, with \
             an index on it: the server sets it on every insert and update",
            stream.table()
        ))),
    }
}
