//! The quarantine: what a commit does to it in its own transaction, and what lies there.

use etl_core::{Aside, Entry, Rejected, Result, RowKey};
use etl_sql::mssql::connect::{Connection, required, value};
use etl_sql::mssql::error::Phase;
use etl_sql::mssql::quote::{MAX_NAME_UNITS, name, text};
use etl_sql::mssql::types::BINARY_COLLATION;
use etl_sql::quarantine::key_hash;
use tiberius::{Row, ToSql};

use super::sink::MssqlSink;

/// Where the rows wait until the commit: a session's own table, as the rows' stage.
const ASIDE: &str = "[#aside]";

/// As long as the quarantine's columns are.
const MOST_REASON: usize = 400;
const MOST_CODE: usize = 20;

/// Rows for each statement. A request takes 2,100 parameters.
const AT_A_TIME: usize = 200;
const PARAMETERS: usize = 6;

/// Creates the table of rows to put aside and of keys to clear.
#[must_use]
pub fn create() -> String {
    format!(
        "CREATE TABLE {ASIDE} (
  [key_hash]    varbinary(32) NOT NULL PRIMARY KEY,
  [column_name] nvarchar({MAX_NAME_UNITS}) COLLATE {BINARY_COLLATION} NOT NULL,
  [key_json]    nvarchar(max) COLLATE {BINARY_COLLATION} NULL,
  [reason]      nvarchar({MOST_REASON}) COLLATE {BINARY_COLLATION} NOT NULL,
  [error_code]  nvarchar({MOST_CODE}) COLLATE {BINARY_COLLATION} NULL,
  [put]         bit NOT NULL
);"
    )
}

/// Empties that table.
#[must_use]
pub fn truncate() -> String {
    format!("TRUNCATE TABLE {ASIDE};")
}

/// Fills it: for each row `@P1` the key's hash, `@P2` the column, `@P3` the key, `@P4` the reason, `@P5` the
/// code or an empty text, `@P6` whether it is put aside. No parameter is NULL: the driver gives that no type,
/// which not every server takes.
#[must_use]
pub fn fill(rows: usize) -> String {
    let row = |index: usize| {
        let [hash, column, key, reason, code, put]: [_; PARAMETERS] =
            std::array::from_fn(|cell| format!("@P{}", index * PARAMETERS + cell + 1));
        format!("({hash}, {column}, {key}, {reason}, NULLIF({code}, N''), {put})")
    };
    let rows: Vec<_> = (0..rows).map(row).collect();
    format!(
        "INSERT INTO {ASIDE} ([key_hash], [column_name], [key_json], [reason], [error_code], [put])
VALUES {};",
        rows.join(", ")
    )
}

/// The part of a commit that brings that table to the quarantine. An entry of a key has one row: it is
/// cleared, renewed or entered.
///
/// # Errors
/// `Config` for a bad schema name.
pub fn commit(state_schema: &str) -> Result<String> {
    let schema = name(state_schema)?;
    Ok(format!(
        "DECLARE @seen datetime2(6) = SYSUTCDATETIME(), @load bigint;
SET @load = (SELECT [generation] FROM {schema}.[checkpoint] WHERE [pipeline] = @pipeline);
DELETE q FROM {schema}.[quarantine] AS q INNER JOIN {ASIDE} AS a ON a.[key_hash] = q.[key_hash] WHERE q.[pipeline] = @pipeline AND a.[put] = 0;
UPDATE q SET q.[column_name] = a.[column_name], q.[key_json] = a.[key_json], q.[reason] = a.[reason], q.[error_code] = a.[error_code], q.[run_id] = @run_id, q.[generation] = @load, q.[last_seen] = @seen, q.[attempts] = q.[attempts] + 1
  FROM {schema}.[quarantine] AS q INNER JOIN {ASIDE} AS a ON a.[key_hash] = q.[key_hash] WHERE q.[pipeline] = @pipeline AND a.[put] = 1;
INSERT INTO {schema}.[quarantine] ([pipeline], [key_hash], [column_name], [key_json], [reason], [error_code], [run_id], [generation], [first_seen], [last_seen], [attempts])
SELECT @pipeline, a.[key_hash], a.[column_name], a.[key_json], a.[reason], a.[error_code], @run_id, @load, @seen, @seen, 1 FROM {ASIDE} AS a
 WHERE a.[put] = 1 AND NOT EXISTS (SELECT 1 FROM {schema}.[quarantine] AS q WHERE q.[pipeline] = @pipeline AND q.[key_hash] = a.[key_hash]);
UPDATE {schema}.[run] SET [rows_quarantined] = [rows_quarantined] + (SELECT COUNT_BIG(*) FROM {ASIDE} WHERE [put] = 1) WHERE [run_id] = @run_id;
"
    ))
}

/// What lies in the quarantine, the oldest first; no row if there is no such schema. `@P1` name. Times
/// are microseconds since 1970 UTC.
///
/// # Errors
/// `Config` for a bad schema name.
pub fn entries(state_schema: &str) -> Result<String> {
    let schema = name(state_schema)?;
    let table = text(&format!("{schema}.[quarantine]"));
    Ok(format!(
        "DECLARE @pipeline nvarchar(250) = @P1, @epoch datetime2(6) = CONVERT(datetime2(6), N'1970-01-01', 126);
IF OBJECT_ID({table}) IS NULL RETURN;
SELECT q.[key_json], q.[column_name], q.[reason], q.[error_code], q.[attempts],
       DATEDIFF_BIG(microsecond, @epoch, q.[first_seen]) AS [first_seen], DATEDIFF_BIG(microsecond, @epoch, q.[last_seen]) AS [last_seen]
  FROM {schema}.[quarantine] AS q WHERE q.[pipeline] = @pipeline ORDER BY q.[first_seen], q.[key_hash];"
    ))
}

/// A row of that table, as parameters.
struct Parked {
    hash: Vec<u8>,
    column: String,
    key: String,
    reason: String,
    code: String,
    put: bool,
}

impl Parked {
    fn all(aside: &Aside) -> Vec<Self> {
        let put = aside.put.iter().map(|row| Self {
            hash: key_hash(&row.key),
            column: cut(row.column.as_deref().unwrap_or_default(), MAX_NAME_UNITS),
            key: row.key.as_str().to_owned(),
            reason: cut(&row.reason, MOST_REASON),
            code: cut(row.code.as_deref().unwrap_or_default(), MOST_CODE),
            put: true,
        });
        let clear = aside.clear.iter().map(|key| Self {
            hash: key_hash(key),
            column: String::new(),
            key: String::new(),
            reason: String::new(),
            code: String::new(),
            put: false,
        });
        put.chain(clear).collect()
    }

    fn parameters(&self) -> [&dyn ToSql; PARAMETERS] {
        [&self.hash, &self.column, &self.key, &self.reason, &self.code, &self.put]
    }
}

/// As much of a text as so many UTF-16 units hold.
fn cut(text: &str, most: usize) -> String {
    let mut units = 0;
    text.chars()
        .take_while(|character| {
            units += character.len_utf16();
            units <= most
        })
        .collect()
}

impl MssqlSink {
    /// What a commit does beside its rows; the connection has the rows for it.
    pub(super) async fn beside(
        &mut self,
        connection: &mut Connection,
        aside: &Aside,
    ) -> Result<String> {
        if aside.is_empty() {
            return Ok(String::new());
        }
        let doing = self.doing("naming the rows to put aside");
        let sql = if self.link.parks { truncate() } else { create() };
        connection.batch(&sql, &doing).await?;
        self.link.parks = true;
        for rows in Parked::all(aside).chunks(AT_A_TIME) {
            let parameters: Vec<_> = rows.iter().flat_map(Parked::parameters).collect();
            let sql = fill(rows.len());
            connection.query(&sql, &parameters, Phase::Repeatable, &doing).await?;
        }
        commit(&self.link.config.state_schema)
    }

    /// What lies in the quarantine, the oldest first.
    pub(super) async fn entries(&mut self) -> Result<Vec<Entry>> {
        let mut connection = self.link.take().await?;
        let doing = self.doing("reading the quarantine");
        let sql = entries(&self.link.config.state_schema)?;
        let name: &dyn ToSql = &self.link.name.as_str();
        let rows = connection.query(&sql, &[name], Phase::Repeatable, &doing).await?;
        self.link.keep(connection);
        rows.iter().map(entry).collect()
    }
}

fn entry(row: &Row) -> Result<Entry> {
    let column = required::<&str>(row, "column_name")?;
    Ok(Entry {
        rejected: Rejected {
            key: RowKey::from_text(required::<&str>(row, "key_json")?)?,
            column: (!column.is_empty()).then(|| column.to_owned()),
            reason: required::<&str>(row, "reason")?.to_owned(),
            code: value::<&str>(row, "error_code")?.map(str::to_owned),
        },
        attempts: u64::try_from(required::<i32>(row, "attempts")?).unwrap_or(0),
        first_seen_micros: required(row, "first_seen")?,
        last_seen_micros: required(row, "last_seen")?,
    })
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abc", 2), "ab");
        assert_eq!(cut("a🚚b", 2), "a");
        assert_eq!(cut("a🚚b", 3), "a🚚");
    }
}
