//! What the catalog says about a database and a table.

use etl_core::error::{Error, Result};
use tiberius::Row;

use crate::mssql::connect::{Connection, required, value};
use crate::mssql::error::Phase;
use crate::mssql::quote::TableName;

/// The database that a connection is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// Which database and which of its histories.
    pub identity: Identity,
    /// How a statement of ours reads it.
    pub reading: Reading,
    /// Whether it is a copy that somebody else writes, such as a readable secondary.
    pub is_copy: bool,
}

/// Which database and which of its histories this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its Service Broker identifier, which a restored copy has too; where there is none, the
    /// server's name, the database's name and when it was created.
    pub database: String,
    /// Changed by each restore and each failover that lost something; `unknown` to a login that
    /// may not see it.
    pub fork: String,
}

/// What one statement sees while others write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// The rows as they were when it began: `SNAPSHOT`.
    Snapshot,
    /// The same, because the database has `READ_COMMITTED_SNAPSHOT`.
    Versioned,
    /// Each row as it is when it is reached, once no writer holds it.
    Locking,
}

impl Database {
    /// Asks.
    ///
    /// Dropped half way, it has changed nothing at the server; drop the connection too.
    ///
    /// # Errors
    /// Of the connection.
    pub async fn read(connection: &mut Connection) -> Result<Self> {
        const DOING: &str = "asking which database this is";
        let row = connection.query_row(DATABASE, &[], Phase::Repeatable, DOING).await?;
        let row = row.ok_or_else(|| Error::internal(format!("{DOING}: it is not listed")))?;
        let fork = connection.batch(FORK, DOING).await?;
        let fork = fork.first().map(|row| text(row, "fork")).transpose()?.flatten();
        let flag = |name| value::<bool>(&row, name).map(|flag| flag.unwrap_or(false));
        let snapshot = value::<u8>(&row, "snapshot_isolation_state")? == Some(1);
        let reading = match (snapshot, flag("is_read_committed_snapshot_on")?) {
            (true, _) => Reading::Snapshot,
            (false, true) => Reading::Versioned,
            (false, false) => Reading::Locking,
        };
        let read_only = text(&row, "updateability")?.as_deref() == Some("READ_ONLY");
        Ok(Self {
            identity: Identity {
                database: identifier(&row)?,
                fork: fork.unwrap_or_else(|| "unknown".to_owned()),
            },
            reading,
            is_copy: flag("is_in_standby")? || (read_only && !flag("is_read_only")?),
        })
    }
}

fn identifier(row: &Row) -> Result<String> {
    let broker = text(row, "broker")?.filter(|id| id.chars().any(|c| !matches!(c, '0' | '-')));
    let part = |name| text(row, name).map(Option::unwrap_or_default);
    match broker {
        Some(id) => Ok(id.to_lowercase()),
        None => Ok(format!("{}/{}/{}", part("server")?, part("name")?, part("created")?)),
    }
}

fn text(row: &Row, column: &str) -> Result<Option<String>> {
    Ok(value::<&str>(row, column)?.map(str::to_owned))
}

/// One row: the current database.
pub const DATABASE: &str = "\
SELECT d.[name], CONVERT(nvarchar(40), d.[create_date], 126) AS [created],
       CONVERT(nvarchar(40), d.[service_broker_guid]) AS [broker], CONVERT(nvarchar(128), @@SERVERNAME) AS [server],
       d.[snapshot_isolation_state], d.[is_read_committed_snapshot_on], d.[is_read_only], d.[is_in_standby],
       CONVERT(nvarchar(40), DATABASEPROPERTYEX(d.[name], N'Updateability')) AS [updateability]
  FROM sys.databases AS d
 WHERE d.[database_id] = DB_ID();";

/// One row at most: the current branch of the database's history. Not every login may see it.
pub const FORK: &str = "\
BEGIN TRY
  SELECT CONVERT(nvarchar(40), [recovery_fork_guid]) AS [fork]
    FROM sys.database_recovery_status
   WHERE [database_id] = DB_ID();
END TRY
BEGIN CATCH
  SELECT CONVERT(nvarchar(40), NULL) AS [fork];
END CATCH;";

/// A table, as far as reading it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its number in this database.
    pub object_id: i32,
    /// `U` table, `V` view, and others.
    pub kind: String,
    /// Whether masked columns are shown to this login as they are.
    pub unmasked: bool,
    /// Whether a security policy filters its rows.
    pub row_security: bool,
    /// The columns, in the order of the table.
    pub columns: Vec<Column>,
    /// The enabled indexes over all rows.
    pub indexes: Vec<Index>,
    /// Whether an enabled trigger runs with each INSERT.
    pub on_insert: bool,
    /// Whether an enabled trigger runs with each UPDATE.
    pub on_update: bool,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type; of an alias type, the one behind it.
    pub type_name: String,
    /// Bytes, -1 for `max`.
    pub max_length: i16,
    /// Digits.
    pub precision: u8,
    /// Digits behind the point.
    pub scale: u8,
    /// Whether NULL is allowed.
    pub nullable: bool,
    /// The collation's name, for texts.
    pub collation: Option<String>,
    /// Whether a mask hides its values from those without UNMASK.
    pub masked: bool,
    /// Whether only clients with a key can read it.
    pub encrypted: bool,
    /// Whether the server sets it to the time at which the writing transaction began.
    pub is_row_start: bool,
    /// Whether it has a default.
    pub has_default: bool,
    /// The default, if this login may see it.
    pub default: Option<String>,
    /// Whether this login may read it.
    pub readable: bool,
}

/// One enabled index over all rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Whether no two rows are equal in it.
    pub unique: bool,
    /// The columns of its key, in order.
    pub columns: Vec<String>,
}

impl Column {
    /// The type as a declaration has it.
    #[must_use]
    pub fn declared(&self) -> String {
        let name = &self.type_name;
        let length = |unit: i16| match self.max_length {
            -1 => "(max)".to_owned(),
            bytes => format!("({})", bytes / unit),
        };
        match name.as_str() {
            "nvarchar" | "nchar" => format!("{name}{}", length(2)),
            "varchar" | "char" | "varbinary" | "binary" => format!("{name}{}", length(1)),
            "decimal" | "numeric" => format!("{name}({},{})", self.precision, self.scale),
            "datetime2" | "datetimeoffset" | "time" => format!("{name}({})", self.scale),
            "timestamp" => "rowversion".to_owned(),
            _ => name.clone(),
        }
    }

    /// All that must not change between two runs, as text.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let null = if self.nullable { "" } else { " not null" };
        let collation =
            self.collation.as_ref().map(|name| format!(" collate {name}")).unwrap_or_default();
        format!("{}{collation}{null}", self.declared())
    }
}

impl Table {
    /// Reads the catalog.
    ///
    /// Dropped half way, it has changed nothing at the server; drop the connection too.
    ///
    /// # Errors
    /// `Schema` if there is no such table, or none that this login may see.
    pub async fn read(connection: &mut Connection, name: &TableName) -> Result<Self> {
        let quoted = name.quoted()?;
        let doing = format!("reading the catalog on {quoted}");
        let ask = Phase::Repeatable;
        let row = connection.query_row(TABLE, &[&quoted.as_str()], ask, &doing).await?;
        let row = row.ok_or_else(|| {
            Error::schema(format!(
                "there is no table {quoted} in this database, or the login has no right on it; the \
                 stream's name is the table's"
            ))
        })?;
        let columns = connection.query(COLUMNS, &[&quoted.as_str()], ask, &doing).await?;
        let indexes = connection.query(INDEXES, &[&quoted.as_str()], ask, &doing).await?;
        let triggers = connection.query(TRIGGERS, &[&quoted.as_str()], ask, &doing).await?;
        let secured = connection.query(ROW_SECURITY, &[&quoted.as_str()], ask, &doing).await?;
        let events = triggers.iter().map(|row| required::<i32>(row, "event"));
        let events = events.collect::<Result<Vec<_>>>()?;
        Ok(Self {
            object_id: required(&row, "object_id")?,
            kind: text(&row, "kind")?.unwrap_or_default(),
            unmasked: value::<i32>(&row, "unmasked")? == Some(1),
            row_security: !secured.is_empty(),
            columns: columns.iter().map(column).collect::<Result<_>>()?,
            indexes: indexes_of(&indexes)?,
            on_insert: events.contains(&1),
            on_update: events.contains(&2),
        })
    }

    /// A column by name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Whether a unique index makes rows with equal `key` impossible.
    #[must_use]
    pub fn is_unique(&self, key: &[String]) -> bool {
        self.indexes
            .iter()
            .any(|index| index.unique && index.columns.iter().all(|column| key.contains(column)))
    }

    /// Whether an index finds a range of `column`.
    #[must_use]
    pub fn is_ordered_by(&self, column: &str) -> bool {
        self.indexes.iter().any(|index| index.columns.first().is_some_and(|first| first == column))
    }
}

fn column(row: &Row) -> Result<Column> {
    let flag = |name| value::<bool>(row, name).map(|flag| flag.unwrap_or(false));
    Ok(Column {
        name: required::<&str>(row, "column_name")?.to_owned(),
        type_name: required::<&str>(row, "type_name")?.to_lowercase(),
        max_length: required(row, "max_length")?,
        precision: required(row, "precision")?,
        scale: required(row, "scale")?,
        nullable: flag("is_nullable")?,
        collation: text(row, "collation_name")?,
        masked: flag("is_masked")?,
        encrypted: value::<i32>(row, "encryption_type")?.is_some(),
        is_row_start: value::<u8>(row, "generated_always_type")? == Some(1),
        has_default: value::<i32>(row, "default_object_id")?.unwrap_or(0) != 0,
        default: text(row, "default_text")?,
        readable: value::<i32>(row, "readable")? == Some(1),
    })
}

fn indexes_of(rows: &[Row]) -> Result<Vec<Index>> {
    let mut indexes: Vec<(i32, Index)> = Vec::new();
    for row in rows {
        let id: i32 = required(row, "index_id")?;
        let column = required::<&str>(row, "column_name")?.to_owned();
        match indexes.iter_mut().find(|(other, _)| *other == id) {
            Some((_, index)) => index.columns.push(column),
            None => {
                let unique = value::<bool>(row, "is_unique")?.unwrap_or(false);
                indexes.push((id, Index { unique, columns: vec![column] }));
            }
        }
    }
    Ok(indexes.into_iter().map(|(_, index)| index).collect())
}

/// One row: the table `@P1` (quoted).
pub const TABLE: &str = "\
SELECT o.[object_id], RTRIM(CONVERT(nvarchar(2), o.[type])) AS [kind],
       HAS_PERMS_BY_NAME(DB_NAME(), N'DATABASE', N'UNMASK') AS [unmasked]
  FROM sys.objects AS o
 WHERE o.[object_id] = OBJECT_ID(@P1);";

/// One row per column of the table `@P1` (quoted).
pub const COLUMNS: &str = "\
SELECT c.[name] AS [column_name], COALESCE(b.[name], t.[name]) AS [type_name], c.[max_length], c.[precision], c.[scale],
       c.[is_nullable], c.[collation_name], c.[is_masked], c.[encryption_type], c.[generated_always_type],
       c.[default_object_id], d.[definition] AS [default_text],
       HAS_PERMS_BY_NAME(@P1, N'OBJECT', N'SELECT', c.[name], N'COLUMN') AS [readable]
  FROM sys.columns AS c
  INNER JOIN sys.types AS t ON t.[user_type_id] = c.[user_type_id]
  LEFT JOIN sys.types AS b ON b.[user_type_id] = c.[system_type_id]
  LEFT JOIN sys.default_constraints AS d ON d.[object_id] = c.[default_object_id]
 WHERE c.[object_id] = OBJECT_ID(@P1)
 ORDER BY c.[column_id];";

/// One row per key column of each rowstore index over all rows of the table `@P1` (quoted).
pub const INDEXES: &str = "\
SELECT i.[index_id], i.[is_unique], c.[name] AS [column_name]
  FROM sys.indexes AS i
  INNER JOIN sys.index_columns AS ic ON ic.[object_id] = i.[object_id] AND ic.[index_id] = i.[index_id]
  INNER JOIN sys.columns AS c ON c.[object_id] = ic.[object_id] AND c.[column_id] = ic.[column_id]
 WHERE i.[object_id] = OBJECT_ID(@P1) AND i.[type] IN (1, 2) AND i.[has_filter] = 0 AND i.[is_disabled] = 0
   AND ic.[key_ordinal] > 0
 ORDER BY i.[index_id], ic.[key_ordinal];";

/// One row per event of each enabled trigger of the table `@P1` (quoted): 1 INSERT, 2 UPDATE.
pub const TRIGGERS: &str = "\
SELECT e.[type] AS [event]
  FROM sys.triggers AS t
  INNER JOIN sys.trigger_events AS e ON e.[object_id] = t.[object_id]
 WHERE t.[parent_id] = OBJECT_ID(@P1) AND t.[is_disabled] = 0;";

/// One row per filter of an enabled security policy on the table `@P1` (quoted). Dynamic, since
/// servers without security policies have no such views.
pub const ROW_SECURITY: &str = "\
IF OBJECT_ID(N'sys.security_predicates') IS NOT NULL
  EXEC sys.sp_executesql N'SELECT p.[object_id]
  FROM sys.security_predicates AS p
  INNER JOIN sys.security_policies AS s ON s.[object_id] = p.[object_id]
 WHERE p.[target_object_id] = OBJECT_ID(@table) AND p.[predicate_type] = 0 AND s.[is_enabled] = 1;',
    N'@table nvarchar(600)', @table = @P1;";
