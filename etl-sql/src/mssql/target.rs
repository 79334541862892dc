//! A target table as a stream wants it, and as it is found.

use std::sync::Arc;

use etl_core::connector::{FilterExit, Mode, OnSpecial, StreamConfig};
use etl_core::schema::{StreamSchema, meta, meta_number};
use etl_core::{Error, Result};

use super::connect::{Connection, required, value};
use super::error::Phase;
use super::quote::{TableName, identity, name};
use super::types::{BINARY_COLLATION, SqlType};
use crate::stage;

/// One column of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name, unquoted.
    pub name: String,
    /// Its name in the staging table, which takes none from the stream: the driver refuses some,
    /// `tempdb` may compare them in another way, and none may be that of a column of ours.
    pub staged: String,
    /// Its type in the target.
    pub sql_type: SqlType,
    /// Whether the target takes NULL.
    pub nullable: bool,
    /// Whether it is part of the stream's key.
    pub key: bool,
    /// A key text's collation in the target.
    pub collation: String,
    /// The greatest length that the stream declares for a text, in characters.
    pub max_chars: Option<u32>,
    /// What becomes of a value that SQL Server has no form for.
    pub on_special: OnSpecial,
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
    /// When the table was last altered, as the server tells it; `None` of a table that was not
    /// looked at.
    pub altered: Option<String>,
}

impl Target {
    /// The table that a stream's plan makes.
    ///
    /// # Errors
    /// `Schema` if a column has no type here or the key is too long; `Config` for bad names.
    pub fn planned(config: &StreamConfig, schema: &StreamSchema) -> Result<Self> {
        let columns = schema
            .schema
            .fields()
            .iter()
            .enumerate()
            .map(|(index, field)| {
                name(field.name())?;
                let key = schema.is_key(field.name());
                Ok(Column {
                    name: field.name().clone(),
                    staged: format!("[c{index}]"),
                    sql_type: SqlType::of(field)?,
                    nullable: field.is_nullable() && !key,
                    key,
                    collation: BINARY_COLLATION.to_owned(),
                    max_chars: meta_number(field, meta::MAX_CHARS),
                    on_special: config.special_at_target(field.name()),
                })
            })
            .collect::<Result<Vec<_>>>()
            .map_err(|error| error.context(&schema.name))?;
        one_name_each(&columns).map_err(|error| error.context(&schema.name))?;
        let target = Self {
            stream: schema.name.clone(),
            table: TableName::parse(&config.object)?,
            columns,
            mode: config.mode,
            deletes: config.filter_exit() == FilterExit::Delete,
            mark: config.mark_beside(schema)?,
            foreign_writers: config.foreign_writers,
            altered: None,
        };
        if target.mode.is_keyed() {
            target.key_bytes()?;
        }
        Ok(target)
    }

    /// The table in which loads are collected, as a target of its own, if this one is replaced.
    ///
    /// # Errors
    /// `Config` if the state schema's name leaves no room.
    pub fn stage(&self, state_schema: &str) -> Result<Option<Arc<Self>>> {
        if self.mode != Mode::Replace {
            return Ok(None);
        }
        let TableName { schema, table } = &self.table;
        let table = stage::name([state_schema, &self.stream], &[schema, table]);
        let table = TableName { schema: format!("{state_schema}_stage"), table };
        name(&table.schema)?;
        let stage = Self { table, deletes: true, foreign_writers: false, ..self.clone() };
        Ok(Some(Arc::new(stage)))
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

    /// The bytes that the key takes in an index.
    ///
    /// # Errors
    /// `Schema` if a part has no bound or all of it is too long for an index.
    pub fn key_bytes(&self) -> Result<u32> {
        let mut total = 0;
        for column in self.key() {
            total += column.sql_type.key_bytes().ok_or_else(|| {
                Error::schema(format!(
                    "{}: key column {} is {}, which no index takes; declare its length, such as \
                     columns: {{ {}: \"varchar(100)\" }}",
                    self.stream, column.name, column.sql_type, column.name
                ))
            })?;
        }
        if total > MAX_INDEX_BYTES {
            return Err(Error::schema(format!(
                "{}: the key takes {total} bytes, an index at most {MAX_INDEX_BYTES}; declare \
                 shorter lengths for its text columns under columns",
                self.stream
            )));
        }
        Ok(total)
    }

    /// The table as it is found, checked against the plan: same columns, types that take every
    /// value, a key of the same columns. Its own nullability and collations replace the plan's.
    ///
    /// Dropped half way, it has changed nothing at the server; drop the connection too.
    ///
    /// # Errors
    /// `Schema` naming each column that differs; `Config` if the table is missing.
    pub async fn found(self: &Arc<Self>, connection: &mut Connection) -> Result<Self> {
        let doing = format!("{}: looking at target {}", self.stream, self.table.quoted()?);
        let table = self.table.quoted()?;
        // Before the columns: what is altered in between is noticed too.
        let altered =
            connection.query_row(ALTERED, &[&table.as_str()], Phase::Repeatable, &doing).await?;
        let rows = connection.query(COLUMNS, &[&table.as_str()], Phase::Repeatable, &doing).await?;
        if rows.is_empty() {
            return Err(Error::config(format!(
                "{doing}: it does not exist, or the login has no right on it; run mssql-init. If it \
                 was dropped, its rows are gone: `state reset` then, and everything is read again"
            ))
            .with_code("208"));
        }
        let mut found = Self::clone(self);
        if let Some(row) = altered {
            found.altered = value::<&str>(&row, "altered")?.map(str::to_owned);
        }
        let mut wrong = Vec::new();
        for row in &rows {
            let there = CatalogColumn::read(row)?;
            match found.columns.iter_mut().find(|column| there.is(&column.name)) {
                Some(column) => wrong.extend(there.merge_into(column)),
                None if self.mark.as_ref().is_some_and(|mark| there.is(mark)) => {
                    wrong.extend(there.unfit_mark());
                }
                None => wrong.extend(there.unwanted()),
            }
        }
        let there = rows.iter().map(CatalogColumn::read).collect::<Result<Vec<_>>>()?;
        let missing = |name: &str| !there.iter().any(|there| there.is(name));
        for column in self.columns.iter().filter(|column| missing(&column.name)) {
            wrong.push(format!("column {} ({}) is missing", column.name, column.sql_type));
        }
        if let Some(mark) = self.mark.as_ref().filter(|mark| missing(mark)) {
            wrong.push(format!(
                "column {mark}, in which rows that leave are marked, is missing; ALTER TABLE {table} \
                 ADD {} {MARK_TYPE} NULL",
                name(mark)?
            ));
        }
        if self.mode.is_keyed() {
            wrong.extend(self.key_mismatch(connection, &table, &doing).await?);
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

    async fn key_mismatch(
        &self,
        connection: &mut Connection,
        table: &str,
        doing: &str,
    ) -> Result<Option<String>> {
        let rows = connection.query(UNIQUE_KEYS, &[&table], Phase::Repeatable, doing).await?;
        let mut wanted: Vec<_> = self.key().map(|column| identity(&column.name)).collect();
        wanted.sort_unstable();
        let mut indexes: std::collections::BTreeMap<i32, Vec<String>> =
            std::collections::BTreeMap::new();
        for row in &rows {
            let column: &str = required(row, "column_name")?;
            indexes.entry(required(row, "index_id")?).or_default().push(identity(column));
        }
        let matches = indexes.into_values().any(|mut columns| {
            columns.sort_unstable();
            columns == wanted
        });
        Ok((!matches).then(|| {
            format!(
                "no primary key or unique index has exactly the key columns ({})",
                self.key().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
            )
        }))
    }
}

/// Refuses two columns whose names are one name to a server.
fn one_name_each(columns: &[Column]) -> Result<()> {
    let mut names = std::collections::BTreeMap::new();
    for column in columns {
        if let Some(other) = names.insert(identity(&column.name), &column.name) {
            return Err(Error::schema(format!(
                "columns {other:?} and {:?} are one name to SQL Server, which ignores case and \
                 blanks at the end; give one of them another name with transforms: [{{ rename: \
                 {{ … }} }}]",
                column.name
            )));
        }
    }
    Ok(())
}

/// An index's key takes at most this many bytes; a clustered one 900.
const MAX_INDEX_BYTES: u32 = 1700;
/// The key of a clustered index takes at most this many bytes.
pub const MAX_CLUSTERED_BYTES: u32 = 900;

/// The type of the column in which rows are marked: UTC, as all times of ours.
pub const MARK_TYPE: SqlType = SqlType::DateTime2(6);

/// When the table `@P1` (quoted) was last altered.
pub const ALTERED: &str = "\
SELECT CONVERT(nvarchar(40), [modify_date], 126) AS [altered]
  FROM sys.tables WHERE [object_id] = OBJECT_ID(@P1);";

/// One row per column of the table `@P1` (quoted).
pub const COLUMNS: &str = "\
SELECT c.[name] AS [column_name], t.[name] AS [type_name], c.[max_length], c.[precision], c.[scale],
       c.[is_nullable], c.[is_identity], c.[is_computed], c.[collation_name], c.[default_object_id]
  FROM sys.columns AS c
  INNER JOIN sys.types AS t ON t.[user_type_id] = c.[user_type_id]
 WHERE c.[object_id] = OBJECT_ID(@P1)
 ORDER BY c.[column_id];";

/// One row per column of each unique index of the table `@P1` (quoted).
pub const UNIQUE_KEYS: &str = "\
SELECT i.[index_id], c.[name] AS [column_name]
  FROM sys.indexes AS i
  INNER JOIN sys.index_columns AS ic ON ic.[object_id] = i.[object_id] AND ic.[index_id] = i.[index_id]
  INNER JOIN sys.columns AS c ON c.[object_id] = ic.[object_id] AND c.[column_id] = ic.[column_id]
 WHERE i.[object_id] = OBJECT_ID(@P1) AND i.[is_unique] = 1 AND i.[has_filter] = 0 AND i.[is_disabled] = 0 AND ic.[is_included_column] = 0;";

struct CatalogColumn {
    name: String,
    type_text: String,
    sql_type: Option<SqlType>,
    nullable: bool,
    filled_by_server: bool,
    has_default: bool,
    collation: Option<String>,
}

impl CatalogColumn {
    fn read(row: &tiberius::Row) -> Result<Self> {
        let type_name: &str = required(row, "type_name")?;
        let max_length: i16 = required(row, "max_length")?;
        let (precision, scale): (u8, u8) = (required(row, "precision")?, required(row, "scale")?);
        let sql_type = SqlType::from_catalog(type_name, max_length, precision, scale);
        let flag = |column| value::<bool>(row, column).map(|flag| flag.unwrap_or(false));
        Ok(Self {
            name: required::<&str>(row, "column_name")?.to_owned(),
            type_text: sql_type.map_or_else(|| type_name.to_owned(), |known| known.to_string()),
            sql_type,
            nullable: flag("is_nullable")?,
            filled_by_server: flag("is_identity")? || flag("is_computed")?,
            has_default: value::<i32>(row, "default_object_id")?.unwrap_or(0) != 0,
            collation: value::<&str>(row, "collation_name")?.map(str::to_owned),
        })
    }

    fn is(&self, name: &str) -> bool {
        identity(&self.name) == identity(name)
    }

    /// Takes over what the table says; gives what does not fit.
    fn merge_into(&self, column: &mut Column) -> Vec<String> {
        let mut wrong = Vec::new();
        let wanted = column.sql_type;
        match self.sql_type.filter(|there| there.takes(wanted)) {
            Some(there) => column.sql_type = there,
            None => wrong.push(format!(
                "column {} is {}, the stream needs {wanted}",
                column.name, self.type_text
            )),
        }
        if self.filled_by_server {
            wrong.push(format!("column {} is an identity or computed", column.name));
        }
        column.nullable = self.nullable && !column.key;
        if column.key && wanted.is_text() {
            let collation = self.collation.clone().unwrap_or_default();
            if collation.to_ascii_uppercase().contains("_BIN") {
                column.collation = collation;
            } else {
                wrong.push(format!(
                    "key column {} has collation {collation}, under which different keys are equal; \
                     it needs {BINARY_COLLATION}",
                    column.name
                ));
            }
        }
        wrong
    }

    /// Why rows cannot be marked in it.
    fn unfit_mark(&self) -> Option<String> {
        let time =
            matches!(self.sql_type, Some(SqlType::DateTime2(_) | SqlType::DateTimeOffset(_)));
        (!time || !self.nullable || self.filled_by_server).then(|| {
            format!(
                "column {}, in which rows that leave are marked, is {}{}; it must be {MARK_TYPE} NULL",
                self.name,
                self.type_text,
                if self.filled_by_server {
                    ", filled by the server"
                } else if self.nullable {
                    ""
                } else {
                    " NOT NULL"
                }
            )
        })
    }

    /// What is wrong with a column that the stream does not fill.
    fn unwanted(&self) -> Option<String> {
        let fills_itself = self.nullable || self.filled_by_server || self.has_default;
        (!fills_itself).then(|| {
            format!(
                "column {} is NOT NULL without a default and not in the stream (give it a default, \
                 let it be NULL, or select it)",
                self.name
            )
        })
    }
}
