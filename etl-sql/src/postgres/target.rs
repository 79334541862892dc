//! A target table as a stream wants it, and as it is found.

use std::collections::BTreeSet;

use etl_core::connector::{FilterExit, Mode, StreamConfig};
use etl_core::schema::{StreamSchema, meta, meta_number};
use etl_core::{Error, Result};

use super::catalog::{self, Table};
use super::quote::{TableName, name};
use super::session::Session;
use super::sqltype::{SqlType, declaration};
use crate::stage;

/// One column of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name, unquoted.
    pub name: String,
    /// Its name in the staging table, which takes none from the stream: none may be that of a
    /// column of ours.
    pub staged: String,
    /// Its type in the target.
    pub sql_type: SqlType,
    /// Its type as SQL declares it.
    pub declared: String,
    /// The type to which SQL has to cast a staged value, quoted.
    pub cast: Option<String>,
    /// A key text's collation in the target, quoted.
    pub collation: Option<String>,
    /// Whether the target takes NULL.
    pub nullable: bool,
    /// Whether it is part of the stream's key.
    pub key: bool,
    /// The greatest length that the stream declares for a text, in characters.
    pub max_chars: Option<u32>,
    /// The same in UTF-16 code units.
    pub max_units: Option<u32>,
}

/// A target table and how it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `pipeline/stream`, for messages.
    pub stream: String,
    /// The table.
    pub table: TableName,
    /// Its columns, in the stream's order.
    pub columns: Vec<Column>,
    /// How rows are written.
    pub mode: Mode,
    /// Whether rows may be removed.
    pub deletes: bool,
    /// Where rows that leave are marked instead, the column for the time.
    pub mark: Option<String>,
    /// Whether others insert too.
    pub foreign_writers: bool,
}

impl Target {
    /// The table that a stream's plan makes.
    ///
    /// # Errors
    /// `Schema` if a column has no type here; `Config` for bad names.
    pub fn planned(config: &StreamConfig, schema: &StreamSchema) -> Result<Self> {
        let columns = schema.schema.fields().iter().enumerate().map(|(index, field)| {
            usable(field.name())?;
            let key = schema.is_key(field.name());
            let sql_type = SqlType::of(field)?;
            if key && matches!(sql_type, SqlType::Json | SqlType::Jsonb) {
                return Err(Error::schema(format!("column {}: no key is json", field.name())));
            }
            Ok(Column {
                name: field.name().clone(),
                staged: format!("c{index}"),
                sql_type,
                declared: declaration(sql_type, field),
                cast: None,
                collation: None,
                nullable: field.is_nullable() && !key,
                key,
                max_chars: meta_number(field, meta::MAX_CHARS),
                max_units: meta_number(field, meta::MAX_UNITS),
            })
        });
        let columns = columns.collect::<Result<Vec<_>>>();
        Ok(Self {
            stream: schema.name.clone(),
            table: TableName::parse(&config.object)?,
            columns: columns.map_err(|error| error.context(&schema.name))?,
            mode: config.mode,
            deletes: config.filter_exit() == FilterExit::Delete,
            mark: config.mark_beside(schema)?,
            foreign_writers: config.foreign_writers,
        })
    }

    /// The table in which loads are collected, as a target of its own, if this one is replaced. Its
    /// columns have the types in which values are staged: what they become is seen at the end.
    ///
    /// # Errors
    /// `Config` if the state schema's name leaves no room.
    pub fn stage(&self, state_schema: &str) -> Result<Option<Self>> {
        if self.mode != Mode::Replace {
            return Ok(None);
        }
        let TableName { schema, table } = &self.table;
        let table = stage::name([state_schema, &self.stream], &[schema, table]);
        let table = TableName { schema: format!("{state_schema}_stage"), table };
        name(&table.schema)?;
        let mut stage = Self { table, deletes: true, foreign_writers: false, ..self.clone() };
        for column in &mut stage.columns {
            column.declared = column.sql_type.staged().to_owned();
        }
        Ok(Some(stage))
    }

    /// The same for values that are staged under the columns' own names.
    ///
    /// # Errors
    /// `Config` for bad names.
    pub fn under_own_names(&self) -> Result<Self> {
        let mut target = self.clone();
        for column in &mut target.columns {
            column.staged = name(&column.name)?;
        }
        Ok(target)
    }

    /// The key's columns.
    pub fn key(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| column.key)
    }

    /// The table as it is found, checked against the plan: same columns, types that take every
    /// value, a key of the same columns. Its own types and nullability replace the plan's.
    ///
    /// Dropped half way, it has changed nothing at the server; drop the connection too.
    ///
    /// # Errors
    /// `Schema` naming each column that differs; `Config` if the table is missing.
    pub async fn found(&self, session: &mut Session) -> Result<Self> {
        let doing = format!("{}: looking at target {}", self.stream, self.table);
        session.begin(&doing).await?;
        let table = session.table(&self.table).await.map_err(|error| error.context(&doing))?;
        session.commit(&doing).await?;
        let table = table.ok_or_else(|| {
            let missing = "it does not exist; run `etl-job prepare` once, with an owner's login. If it \
                           was dropped, its rows are gone: `state reset` then, and everything is \
                           read again";
            Error::config(format!("{doing}: {missing}")).with_code("42P01")
        })?;
        let mut found = self.clone();
        let mut wrong = unfit(&table);
        for column in &mut found.columns {
            match table.column(&column.name) {
                Some(there) => wrong.extend(merge(column, there)),
                None => {
                    wrong.push(format!("column {} ({}) is missing", column.name, column.declared));
                }
            }
        }
        for there in &table.columns {
            let wanted = self.columns.iter().any(|column| column.name == there.name)
                || self.mark.as_ref() == Some(&there.name);
            let fills_itself =
                !there.not_null || there.default.is_some() || there.generated || there.identity;
            if !wanted && !fills_itself {
                wrong.push(format!(
                    "column {} is NOT NULL without a default and not in the stream (give it a \
                     default, let it be NULL, or select it)",
                    there.name
                ));
            }
        }
        if let Some(mark) = &self.mark {
            wrong.extend(self.unfit_mark(mark, table.column(mark))?);
        }
        if self.mode.is_keyed() {
            wrong.extend(self.key_mismatch(&table));
        }
        if wrong.is_empty() {
            return Ok(found);
        }
        Err(Error::schema(format!(
            "{doing}: it is not as the stream needs it: {}. Nothing was written. Change the table, \
             or declare other types under columns",
            wrong.join("; ")
        )))
    }

    /// Why rows cannot be marked in a column.
    fn unfit_mark(&self, mark: &str, there: Option<&catalog::Column>) -> Result<Option<String>> {
        let Some(there) = there else {
            return Ok(Some(format!(
                "column {mark}, in which rows that leave are marked, is missing; ALTER TABLE {} ADD \
                 {} timestamptz",
                self.table.quoted()?,
                name(mark)?
            )));
        };
        let time = matches!(SqlType::from_catalog(there), Some(SqlType::TimestampTz(_)));
        let filled = there.generated || there.identity;
        Ok((!time || there.not_null || filled).then(|| {
            format!(
                "column {mark}, in which rows that leave are marked, is {}{}; it must be \
                 timestamptz and take NULL",
                there.declared,
                if filled {
                    ", filled by the server"
                } else if there.not_null {
                    " NOT NULL"
                } else {
                    ""
                }
            )
        }))
    }

    fn key_mismatch(&self, table: &Table) -> Option<String> {
        let wanted: BTreeSet<_> = self.key().map(|column| column.name.as_str()).collect();
        let matches = table.indexes.iter().any(|index| {
            index.unique
                && index.columns.iter().map(String::as_str).collect::<BTreeSet<_>>() == wanted
        });
        let wanted: Vec<_> = wanted.into_iter().collect();
        (!matches).then(|| {
            let wanted = wanted.join(", ");
            format!("no primary key or unique index has exactly the key columns ({wanted})")
        })
    }
}

/// Columns that every table has; none can be made.
const SYSTEM_COLUMNS: [&str; 6] = ["cmax", "cmin", "ctid", "tableoid", "xmax", "xmin"];

/// Whether a column can have a name.
fn usable(column: &str) -> Result<()> {
    name(column)?;
    if SYSTEM_COLUMNS.contains(&column) {
        return Err(Error::schema(format!(
            "column {column}: every Postgres table has a system column of that name; give it another \
             one with transforms: [{{ rename: {{ {column}: … }} }}]"
        )));
    }
    Ok(())
}

/// Why rows in this table would not be safe or not be seen.
fn unfit(table: &Table) -> Vec<String> {
    let mut wrong = Vec::new();
    if !matches!(table.kind.as_str(), "r" | "p") {
        wrong.push("it is no table but a view or a foreign table".to_owned());
    }
    if table.unlogged {
        wrong.push(
            "it is UNLOGGED: a crash of the server empties it, and the checkpoint would say that \
             the rows are there; ALTER TABLE … SET LOGGED"
                .to_owned(),
        );
    }
    if table.row_security {
        wrong.push("row security hides rows of it from this role; grant BYPASSRLS".to_owned());
    }
    if table.has_children {
        wrong.push("other tables inherit from it, and no key holds for all of them".to_owned());
    }
    if table.has_rules {
        wrong.push("a rule rewrites what is sent to it".to_owned());
    }
    wrong
}

/// Takes over what the table says; gives what does not fit.
fn merge(column: &mut Column, there: &catalog::Column) -> Vec<String> {
    let mut wrong = Vec::new();
    match SqlType::from_catalog(there).filter(|found| found.takes(column.sql_type)) {
        Some(found) => {
            column.cast = found.is_cast().then(|| there.type_quoted.clone());
            column.sql_type = found;
        }
        None => wrong.push(format!(
            "column {} is {}, the stream needs {}",
            column.name, there.declared, column.declared
        )),
    }
    if there.generated {
        wrong.push(format!("column {} is generated by the server", column.name));
    }
    column.declared.clone_from(&there.declared);
    column.nullable = !there.not_null && !column.key;
    if column.key {
        column.collation.clone_from(&there.collation_quoted);
        if !there.deterministic || column.sql_type == SqlType::CiText {
            wrong.push(format!(
                "key column {} is {} with collation {}, under which different keys are equal",
                column.name,
                there.declared,
                there.collation.as_deref().unwrap_or("none")
            ));
        }
    }
    wrong
}
