//! What a file says about one of its tables.

use etl_core::error::Result;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Executor, Row};

use crate::sqlite::{error, quote};

/// A table: columns and the sets of columns that are unique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name as the file spells it.
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<Column>,
    /// Its indexes, the primary key's first if it has one.
    pub indexes: Vec<Index>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type as declared; may be empty.
    pub declared: String,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// The text of its DEFAULT.
    pub default: Option<String>,
    /// Whether it is computed by the file.
    pub generated: bool,
}

/// An index, or the rowid if that is the primary key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Its columns in order; an expression is an empty name.
    pub columns: Vec<String>,
    /// The collations of its columns.
    pub collations: Vec<String>,
    /// Whether two rows cannot have the same values.
    pub unique: bool,
    /// Whether it is the primary key.
    pub primary: bool,
    /// Whether it holds only some rows.
    pub partial: bool,
}

impl Table {
    /// A column by name, as SQLite compares names: without regard to ASCII case.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// Whether some full index makes rows unique by columns that are all among `key`.
    #[must_use]
    pub fn is_unique(&self, key: &[String]) -> bool {
        let among = |name: &String| key.iter().any(|column| column.eq_ignore_ascii_case(name));
        self.indexes
            .iter()
            .any(|index| index.unique && !index.partial && index.columns.iter().all(among))
    }

    /// Whether a full index begins with a column, in binary order.
    #[must_use]
    pub fn is_indexed(&self, column: &str) -> bool {
        self.indexes.iter().any(|index| {
            let first = index.columns.first().is_some_and(|name| name.eq_ignore_ascii_case(column));
            let binary = index.collations.first().is_some_and(|name| name == "BINARY");
            first && binary && !index.partial
        })
    }
}

/// Looks a table up; `None` if the file has none of that name.
///
/// Dropped half way, it has changed nothing.
///
/// # Errors
/// As [`error::classify`].
pub async fn look_up(connection: &mut SqliteConnection, name: &str) -> Result<Option<Table>> {
    let doing = || format!("looking at table {name}");
    let found = sqlx::query(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND lower(name) = lower(?)",
    )
    .bind(name)
    .fetch_optional(&mut *connection)
    .await
    .map_err(|cause| error::classify(cause, doing()))?;
    let Some(found) = found else { return Ok(None) };
    let name: String = get(&found, 0, &doing())?;
    let quoted = quote::name(&name)?;
    let rows = connection
        .fetch_all(AssertSqlSafe(format!("PRAGMA table_xinfo({quoted})")))
        .await
        .map_err(|cause| error::classify(cause, doing()))?;
    let mut columns = Vec::with_capacity(rows.len());
    let mut primary = Vec::new();
    for row in &rows {
        let position: i64 = get(row, "pk", &doing())?;
        let column = column(row, &doing())?;
        if position > 0 {
            primary.push((position, column.name.clone(), column.declared.clone()));
        }
        columns.push(column);
    }
    primary.sort();
    let mut indexes = indexes(connection, &quoted, &doing()).await?;
    // An INTEGER PRIMARY KEY is the rowid itself: no index of its own, and never NULL.
    if let [(_, rowid, declared)] = primary.as_slice()
        && declared.eq_ignore_ascii_case("INTEGER")
        && !indexes.iter().any(|index| index.primary)
    {
        for column in columns.iter_mut().filter(|column| &column.name == rowid) {
            column.nullable = false;
        }
        indexes.insert(
            0,
            Index {
                columns: vec![rowid.clone()],
                collations: vec!["BINARY".to_owned()],
                unique: true,
                primary: true,
                partial: false,
            },
        );
    }
    Ok(Some(Table { name, columns, indexes }))
}

fn column(row: &SqliteRow, doing: &str) -> Result<Column> {
    Ok(Column {
        name: get(row, "name", doing)?,
        declared: get(row, "type", doing)?,
        nullable: get::<i64>(row, "notnull", doing)? == 0,
        default: get(row, "dflt_value", doing)?,
        generated: get::<i64>(row, "hidden", doing)? != 0,
    })
}

async fn indexes(
    connection: &mut SqliteConnection,
    table: &str,
    doing: &str,
) -> Result<Vec<Index>> {
    let listed = connection
        .fetch_all(AssertSqlSafe(format!("PRAGMA index_list({table})")))
        .await
        .map_err(|cause| error::classify(cause, doing))?;
    let mut indexes = Vec::with_capacity(listed.len());
    for row in &listed {
        let name = quote::name(&get::<String>(row, "name", doing)?)?;
        let parts = connection
            .fetch_all(AssertSqlSafe(format!("PRAGMA index_xinfo({name})")))
            .await
            .map_err(|cause| error::classify(cause, doing))?;
        let (mut columns, mut collations) = (Vec::new(), Vec::new());
        for part in &parts {
            if get::<i64>(part, "key", doing)? == 1 {
                columns.push(get::<Option<String>>(part, "name", doing)?.unwrap_or_default());
                collations.push(get(part, "coll", doing)?);
            }
        }
        indexes.push(Index {
            columns,
            collations,
            unique: get::<i64>(row, "unique", doing)? == 1,
            primary: get::<String>(row, "origin", doing)? == "pk",
            partial: get::<i64>(row, "partial", doing)? == 1,
        });
    }
    indexes.sort_by_key(|index| !index.primary);
    Ok(indexes)
}

/// A value of a row.
///
/// # Errors
/// `Internal` if the row has no such column, or a value of another type.
pub fn get<'r, T>(
    row: &'r SqliteRow,
    column: impl sqlx::ColumnIndex<SqliteRow>,
    doing: &str,
) -> Result<T>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(column).map_err(|cause| error::classify(cause, doing))
}
