//! The columns of a stream as the file has them now, and what they must be.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use etl_core::connector::{FilterExit, Mode, OnSpecial};
use etl_core::error::{Error, Result, ResultExt};
use etl_core::{Definition, StreamSchema};
use etl_sql::sqlite::table::{self, Column, Table};
use etl_sql::sqlite::types;
use sqlx::sqlite::SqliteConnection;

use crate::sqlite::Settings;
use crate::sqlite::decode::Columns;

/// The stream's schema and the table behind it.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) stream: StreamSchema,
    pub(super) table: Table,
}

impl Shape {
    /// # Errors
    /// `Schema` or `Config` with the first thing that keeps the table from being read.
    pub(super) async fn of(c: &mut SqliteConnection, settings: &Settings) -> Result<Self> {
        let shape = Self::found(c, settings).await.context(|| settings.name.clone())?;
        for (_, met) in shape.requirements(settings) {
            met.context(|| settings.name.clone())?;
        }
        Ok(shape)
    }

    /// The same, which must be what a run was told before.
    ///
    /// # Errors
    /// As [`Shape::of`]; `Schema` if the table has changed.
    pub(super) async fn as_described(
        c: &mut SqliteConnection,
        settings: &Settings,
        described: Option<SchemaRef>,
    ) -> Result<Self> {
        let shape = Self::of(c, settings).await?;
        if described.is_none_or(|described| described == shape.stream.schema) {
            return Ok(shape);
        }
        Err(Error::schema(format!(
            "{}: table {} has changed since the run began; run again",
            settings.name, settings.table
        )))
    }

    /// Empty columns for the stream's rows.
    ///
    /// # Errors
    /// As [`Columns::new`].
    pub(super) fn columns(&self, settings: &Settings) -> Result<Columns> {
        // Without its key a row could not be named.
        let puts_aside = |name: &str| {
            settings.stream.config.special(name) == OnSpecial::Quarantine
                && !settings.key().iter().any(|key| key == name)
        };
        Ok(Columns::new(&self.stream.schema)?.putting_aside(puts_aside))
    }

    /// The same without looking at the requirements.
    pub(super) async fn found(c: &mut SqliteConnection, settings: &Settings) -> Result<Self> {
        let table = table::look_up(c, &settings.table).await?.ok_or_else(|| {
            Error::schema(format!(
                "there is no table {} in {} (views cannot be read: they have no key)",
                settings.table,
                settings.config.shown()
            ))
        })?;
        let fields = settings
            .stream
            .config
            .select
            .iter()
            .map(|name| field(settings, &table, name))
            .collect::<Result<Vec<_>>>()?;
        let schema = Arc::new(Schema::new(fields));
        if let Some(filter) = &settings.filter {
            filter.check(&schema).context(|| "where")?;
        }
        let definition = definition(settings, &schema)?;
        let stream = StreamSchema {
            name: settings.name.clone(),
            schema,
            key: settings.key().to_vec(),
            definition,
        };
        Ok(Self { stream, table })
    }

    /// What a sweep relies on, each with what was found.
    pub(super) fn requirements(&self, settings: &Settings) -> Vec<(&'static str, Result<String>)> {
        vec![
            ("key", self.key(settings)),
            ("cursor type", self.cursor_type(settings)),
            ("cursor not null", self.cursor_not_null(settings)),
            ("cursor index", self.cursor_index(settings)),
        ]
    }

    fn key(&self, settings: &Settings) -> Result<String> {
        let key = settings.key().join(", ");
        for name in settings.key() {
            let field = self.stream.schema.field_with_name(name);
            let kind = field.map(Field::data_type).unwrap_or(&DataType::Null);
            if matches!(kind, DataType::Float32 | DataType::Float64 | DataType::Null) {
                return Err(Error::config(format!(
                    "primary_key: column {name} is {kind}, which cannot tell rows apart exactly"
                )));
            }
        }
        if self.table.is_unique(settings.key()) {
            return Ok(format!("({key}) is unique"));
        }
        Err(Error::config(format!(
            "primary_key: ({key}) is neither the primary key of {} nor has it a unique index; two \
             rows with one key would overwrite each other: CREATE UNIQUE INDEX … ON {} ({key})",
            self.table.name, self.table.name
        )))
    }

    fn cursor_type(&self, settings: &Settings) -> Result<String> {
        let name = settings.cursor();
        let field = self.stream.schema.field_with_name(name);
        let kind = field.map(Field::data_type).unwrap_or(&DataType::Null);
        match kind {
            DataType::Timestamp(_, Some(_)) if settings.utc_offset_micros != 0 => {
                Err(Error::config(format!(
                    "cursor.utc_offset: column {name} is a timestamp with time zone, which is \
                     always UTC in SQLite; leave the offset out"
                )))
            }
            DataType::Timestamp(..) => Ok(format!("{name} is {kind}")),
            _ => Err(Error::config(format!(
                "cursor.column: {name} is {kind}; it must be a timestamp as text. If it is one, \
                 say so under columns: {{ {name}: timestamptz }}"
            ))),
        }
    }

    fn cursor_not_null(&self, settings: &Settings) -> Result<String> {
        let name = settings.cursor();
        let nullable = self.table.column(name).is_none_or(|column| column.nullable);
        if !nullable {
            return Ok(format!("{name} is NOT NULL"));
        }
        if settings.stream.config.cursor.nullable {
            return Ok(format!("{name} may be NULL; such rows are never read (nullable: true)"));
        }
        Err(Error::config(format!(
            "cursor.column: {name} may be NULL, and a row without a cursor is never read: make it \
             NOT NULL, or accept that with cursor.nullable: true"
        )))
    }

    fn cursor_index(&self, settings: &Settings) -> Result<String> {
        let name = settings.cursor();
        if self.table.is_indexed(name) {
            return Ok(format!("an index begins with {name}"));
        }
        if settings.stream.config.cursor.unindexed {
            return Ok(format!(
                "no index begins with {name}; every run reads all (unindexed: true)"
            ));
        }
        let table = &self.table.name;
        Err(Error::config(format!(
            "cursor.column: no index begins with {name}, so every run would read the whole table: \
             CREATE INDEX {table}_{name} ON {table} ({name}), or accept that with \
             cursor.unindexed: true"
        )))
    }
}

fn field(settings: &Settings, table: &Table, name: &str) -> Result<Field> {
    let Some(column) = table.column(name) else { return Err(no_column(table, name)) };
    let over = settings.stream.config.declared(name)?;
    let key = settings.key().iter().any(|key| key == name);
    types::field_for(name, &column.declared, column.nullable && !key, over)
}

fn no_column(table: &Table, name: &str) -> Error {
    let names = || table.columns.iter().map(|Column { name, .. }| name.as_str());
    let meant = names()
        .map(|known| (strsim::jaro_winkler(known, name), known))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or_else(String::new, |(_, known)| format!("; did you mean {known}?"));
    let names = names().collect::<Vec<_>>().join(", ");
    Error::schema(format!("table {} has no column {name}{meant} (it has {names})", table.name))
}

/// Everything that decides which rows and values the stream holds.
fn definition(settings: &Settings, schema: &Schema) -> Result<Definition> {
    let config = &settings.stream.config;
    let columns: Vec<_> = schema
        .fields()
        .iter()
        .map(|field| {
            let null = if field.is_nullable() { " null" } else { "" };
            format!("{} {}{null}", field.name(), field.data_type())
        })
        .collect();
    let exit = match (config.mode, config.filter_exit()) {
        (Mode::Append, _) => FilterExit::Keep,
        (_, exit) => exit,
    };
    Ok(Definition::default()
        .with("source", format!("sqlite {}", settings.config.canonical()?))
        .with("table", &settings.table)
        .with("columns", columns.join(", "))
        .with("key", config.primary_key.join(", "))
        .with("cursor", format!("{} {:?}", config.cursor.column, config.cursor.safety))
        .with("utc_offset", config.cursor.utc_offset.as_deref().unwrap_or("Z"))
        .with("where", config.filter.as_deref().unwrap_or(""))
        .with("on_filter_exit", exit.as_str()))
}
