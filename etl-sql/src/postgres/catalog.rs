//! What the catalog says about a server and a table.

use etl_core::error::{Error, Result};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row};

use super::error::failed;
use super::quote::TableName;

/// Which server and which of its histories this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Made once by `initdb`; a restored copy has it too.
    pub system: String,
    /// One more after each promotion or point-in-time recovery.
    pub timeline: String,
}

/// The timeline where the server does not tell.
const UNKNOWN: &str = "unknown";

impl Identity {
    /// Whether the server told; else a restored copy looks the same.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.timeline != UNKNOWN
    }
}

/// Asks the server who it is.
///
/// Where the control functions were taken from us, the database's number and name stand in; then
/// a restored copy or another history cannot be told.
///
/// Dropped half way, it has changed nothing at the server; drop the connection too.
///
/// # Errors
/// Of the connection.
pub async fn identity(connection: &mut PgConnection) -> Result<Identity> {
    // In recovery the log's position cannot be asked for; the control file knows the timeline too.
    let asked = sqlx::query(
        "SELECT system_identifier::text, CASE WHEN pg_is_in_recovery() \
         THEN (SELECT timeline_id::text FROM pg_control_checkpoint()) \
         ELSE ltrim(substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8), '0') END \
         FROM pg_control_system()",
    )
    .fetch_one(&mut *connection)
    .await;
    match asked {
        Ok(row) => Ok(Identity { system: text_of(&row, 0)?, timeline: text_of(&row, 1)? }),
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42501") => {
            tracing::warn!(
                "the server does not tell its system identifier to this role: a restored copy \
                 behind the same address would not be noticed; GRANT EXECUTE ON FUNCTION \
                 pg_control_system(), pg_control_checkpoint()"
            );
            let row = sqlx::query(
                "SELECT 'database ' || oid || ' ' || datname FROM pg_database \
                 WHERE datname = current_database()",
            )
            .fetch_one(connection)
            .await
            .map_err(|error| failed("asking which database this is", error))?;
            Ok(Identity { system: text_of(&row, 0)?, timeline: UNKNOWN.to_owned() })
        }
        Err(error) => Err(failed("asking who the server is", error)),
    }
}

fn text_of(row: &PgRow, column: usize) -> Result<String> {
    row.try_get(column).map_err(|error| failed("asking who the server is", error))
}

/// A table, as far as reading and writing it go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its number in this database.
    pub oid: i64,
    /// `r` table, `p` partitioned, `v` view, `m` materialized view, `f` foreign.
    pub kind: String,
    /// Whether other tables inherit from a plain table.
    pub has_children: bool,
    /// Whether this role may use the schema.
    pub schema_usable: bool,
    /// Whether row security hides rows from this role.
    pub row_security: bool,
    /// Whether a logical subscription writes into it.
    pub subscribed: bool,
    /// Whether a crash of the server empties it (`UNLOGGED`).
    pub unlogged: bool,
    /// Whether rules rewrite what is sent to it.
    pub has_rules: bool,
    /// The columns, in the order of the table.
    pub columns: Vec<Column>,
    /// The valid indexes that cover all rows.
    pub indexes: Vec<Index>,
    /// The enabled row triggers that run before a write.
    pub triggers: Triggers,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its number in the table, which no later column gets.
    pub number: i16,
    /// Its name.
    pub name: String,
    /// Its type as the server writes it, with schema where needed.
    pub declared: String,
    /// Whether that is a domain.
    pub is_domain: bool,
    /// Below domains: the type's number.
    pub type_oid: i64,
    /// Below domains: the type's name.
    pub type_name: String,
    /// Below domains: `b` base, `e` enum, `r` range, `c` composite.
    pub type_kind: String,
    /// Below domains: the category, `A` for arrays.
    pub type_category: String,
    /// Below domains: length, precision and scale; -1 for none.
    pub typmod: i32,
    /// Whether NULL is excluded.
    pub not_null: bool,
    /// The default, as the server writes it.
    pub default: Option<String>,
    /// The collation's name, for texts.
    pub collation: Option<String>,
    /// The collation as SQL names it.
    pub collation_quoted: Option<String>,
    /// Whether texts that differ are always different in this collation.
    pub deterministic: bool,
    /// The type as SQL names it, a domain as itself, without length or precision.
    pub type_quoted: String,
    /// Whether only the server may fill it.
    pub generated: bool,
    /// Whether the server numbers it.
    pub identity: bool,
    /// Whether this role may read it.
    pub readable: bool,
}

impl Column {
    /// All that must not change between two runs, as text.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let null = if self.not_null { " not null" } else { "" };
        let collation = match &self.collation {
            Some(name) if name != "default" => format!(" collate {name}"),
            _ => String::new(),
        };
        let base = if self.is_domain {
            format!(" on {} {}", self.type_name, self.typmod)
        } else {
            String::new()
        };
        format!("{}{base}{collation}{null}", self.declared)
    }
}

/// One index over all rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Whether no two rows are equal in it.
    pub unique: bool,
    /// Its columns, in order; an expression is an empty name.
    pub columns: Vec<String>,
    /// `btree` and others.
    pub method: String,
}

/// The row triggers that run before a write, whatever they do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Triggers {
    /// At least one for every UPDATE, not only of some columns.
    pub before_update: bool,
    /// At least one for INSERT.
    pub before_insert: bool,
}

impl Table {
    /// Reads the catalog, with the current transaction's snapshot.
    ///
    /// Dropped half way, it has changed nothing at the server; drop the connection too.
    ///
    /// # Errors
    /// `Schema` if there is no such table.
    pub async fn read(connection: &mut PgConnection, name: &TableName) -> Result<Self> {
        Self::find(connection, name).await?.ok_or_else(|| {
            Error::schema(format!(
                "there is no table {name} in this database; the stream's name is the table, \
                 letter by letter"
            ))
        })
    }

    /// The same; `None` if there is no such table.
    ///
    /// Dropped half way, it has changed nothing at the server; drop the connection too.
    ///
    /// # Errors
    /// Of the connection.
    pub async fn find(connection: &mut PgConnection, name: &TableName) -> Result<Option<Self>> {
        let doing = format!("reading the catalog on {name}");
        let fail = |error| failed(&doing, error);
        let row = sqlx::query(TABLE)
            .bind(&name.schema)
            .bind(&name.table)
            .persistent(false)
            .fetch_optional(&mut *connection)
            .await
            .map_err(fail)?;
        let Some(row) = row else { return Ok(None) };
        let oid: i64 = row.try_get("oid").map_err(fail)?;
        let columns =
            sqlx::query(COLUMNS).bind(oid).persistent(false).fetch_all(&mut *connection).await;
        let indexes =
            sqlx::query(INDEXES).bind(oid).persistent(false).fetch_all(&mut *connection).await;
        Ok(Some(Self {
            oid,
            kind: row.try_get("kind").map_err(fail)?,
            has_children: row.try_get("has_children").map_err(fail)?,
            schema_usable: row.try_get("schema_usable").map_err(fail)?,
            row_security: row.try_get("row_security").map_err(fail)?,
            subscribed: row.try_get("subscribed").map_err(fail)?,
            unlogged: row.try_get("unlogged").map_err(fail)?,
            has_rules: row.try_get("has_rules").map_err(fail)?,
            triggers: Triggers {
                before_update: row.try_get("before_update").map_err(fail)?,
                before_insert: row.try_get("before_insert").map_err(fail)?,
            },
            columns: columns
                .and_then(|rows| rows.iter().map(column).collect())
                .map_err(|error| failed(&doing, error))?,
            indexes: indexes
                .and_then(|rows| rows.iter().map(index).collect())
                .map_err(|error| failed(&doing, error))?,
        }))
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
        self.indexes.iter().any(|index| {
            index.method == "btree" && index.columns.first().is_some_and(|first| first == column)
        })
    }
}

fn column(row: &PgRow) -> Result<Column, sqlx::Error> {
    Ok(Column {
        number: row.try_get("number")?,
        name: row.try_get("name")?,
        declared: row.try_get("declared")?,
        is_domain: row.try_get("is_domain")?,
        type_oid: row.try_get("type_oid")?,
        type_name: row.try_get("type_name")?,
        type_kind: row.try_get("type_kind")?,
        type_category: row.try_get("type_category")?,
        typmod: row.try_get("typmod")?,
        not_null: row.try_get("not_null")?,
        default: row.try_get("default_text")?,
        collation: row.try_get("collation")?,
        collation_quoted: row.try_get("collation_quoted")?,
        deterministic: row.try_get("deterministic")?,
        type_quoted: row.try_get("type_quoted")?,
        generated: row.try_get("is_generated")?,
        identity: row.try_get("is_identity")?,
        readable: row.try_get("readable")?,
    })
}

fn index(row: &PgRow) -> Result<Index, sqlx::Error> {
    Ok(Index {
        unique: row.try_get("is_unique")?,
        columns: row.try_get("columns")?,
        method: row.try_get("method")?,
    })
}

// tgtype: 1 row, 2 before, 4 insert, 16 update; tgenabled: O origin, A always.
const TABLE: &str = "SELECT c.oid::int8 AS oid, c.relkind::text AS kind, \
     c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid) AS has_children, \
     has_schema_privilege(n.oid, 'USAGE') AS schema_usable, \
     row_security_active(c.oid) AS row_security, c.relpersistence <> 'p' AS unlogged, \
     c.relhasrules AND c.relkind <> 'v' AS has_rules, \
     EXISTS (SELECT FROM pg_subscription_rel WHERE srrelid = c.oid) AS subscribed, \
     EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgtype & 19 = 19 \
       AND t.tgenabled IN ('O', 'A') AND NOT t.tgisinternal AND t.tgattr::text = '') \
       AS before_update, \
     EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgtype & 7 = 7 \
       AND t.tgenabled IN ('O', 'A') AND NOT t.tgisinternal) AS before_insert \
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')";

// A domain's own typmod bounds its base type; its columns have none.
const COLUMNS: &str = "WITH RECURSIVE base (attnum, oid, typmod) AS ( \
       SELECT attnum, atttypid, atttypmod FROM pg_attribute \
       WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped \
       UNION ALL \
       SELECT b.attnum, t.typbasetype, t.typtypmod FROM base b \
       JOIN pg_type t ON t.oid = b.oid WHERE t.typtype = 'd') \
     SELECT a.attnum AS number, a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS declared, \
     t.oid <> a.atttypid AS is_domain, t.oid::int8 AS type_oid, t.typname::text AS type_name, t.typtype::text AS type_kind, \
     t.typcategory::text AS type_category, b.typmod, a.attnotnull AS not_null, \
     pg_get_expr(d.adbin, d.adrelid) AS default_text, a.attidentity <> '' AS is_identity, \
     a.attgenerated <> '' OR a.attidentity = 'a' AS is_generated, \
     l.collname::text AS collation, COALESCE(l.collisdeterministic, true) AS deterministic, \
     quote_ident(ln.nspname) || '.' || quote_ident(l.collname) AS collation_quoted, \
     quote_ident(cn.nspname) || '.' || quote_ident(ct.typname) AS type_quoted, \
     has_column_privilege(a.attrelid, a.attnum, 'SELECT') AS readable \
     FROM base b JOIN pg_type t ON t.oid = b.oid AND t.typtype <> 'd' \
     JOIN pg_attribute a ON a.attrelid = $1::oid AND a.attnum = b.attnum \
     LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
     JOIN pg_type ct ON ct.oid = a.atttypid JOIN pg_namespace cn ON cn.oid = ct.typnamespace \
     LEFT JOIN pg_collation l ON l.oid = a.attcollation \
     LEFT JOIN pg_namespace ln ON ln.oid = l.collnamespace \
     ORDER BY a.attnum";

const INDEXES: &str = "SELECT i.indisunique AS is_unique, m.amname::text AS method, \
     ARRAY(SELECT COALESCE(a.attname::text, '') \
       FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place) \
       LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND k.attnum > 0 \
       WHERE k.place <= i.indnkeyatts ORDER BY k.place) AS columns \
     FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam \
     WHERE i.indrelid = $1::oid AND i.indisvalid AND i.indpred IS NULL \
     ORDER BY i.indexrelid";

/// Whether a table's rows were written anew (`TRUNCATE`, `ALTER … TYPE`) after the current
/// snapshot was taken; then this snapshot sees the table empty.
///
/// Call it inside the snapshot, with the table's lock already held.
///
/// Dropped half way, it has changed nothing at the server; drop the connection too.
///
/// # Errors
/// Of the connection.
pub async fn rewritten(connection: &mut PgConnection, oid: i64) -> Result<bool> {
    // The catalog's row is the snapshot's; the function looks at the present.
    sqlx::query_scalar(AssertSqlSafe(
        "SELECT EXISTS (SELECT FROM pg_class c WHERE c.oid IN (SELECT $1::oid UNION ALL \
         SELECT relid FROM pg_partition_tree($1::oid)) \
         AND c.relkind = 'r' AND c.relfilenode <> 0 \
         AND pg_relation_filenode(c.oid) IS DISTINCT FROM c.relfilenode)",
    ))
    .bind(oid)
    .fetch_one(connection)
    .await
    .map_err(|error| failed("looking whether the table was rewritten", error))
}
