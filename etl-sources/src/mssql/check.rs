//! What reading a table safely asks for, and whether it is there.

use etl_core::connector::{Finding, Mode, Safety, Stream};
use etl_core::error::{Class, Error, Result};
use etl_sql::mssql::Connection;
use etl_sql::mssql::read::catalog::{Column, Database, Reading, Table};
use etl_sql::mssql::read::{Cursor, horizon};

use super::plan;

/// Something that was looked at.
pub(super) struct Requirement {
    pub(super) finding: Finding,
    /// Whether reading without it loses rows or cannot work; the class of the refusal.
    refusal: Option<Class>,
}

impl Requirement {
    fn good(what: &str, detail: impl Into<String>) -> Self {
        Self { finding: Finding::good(what, detail), refusal: None }
    }

    fn refused(class: Class, what: &str, detail: impl Into<String>) -> Self {
        let finding = match class {
            Class::Permission => Finding::denied(what, detail),
            _ => Finding::bad(what, detail),
        };
        Self { finding, refusal: Some(class) }
    }

    fn refuse_unless(met: bool, what: &str, good: String, bad: String) -> Self {
        if met { Self::good(what, good) } else { Self::refused(Class::Config, what, bad) }
    }
}

/// The first thing that forbids reading, as an error.
pub(super) fn refusal(requirements: Vec<Requirement>) -> Result<()> {
    let first = requirements.into_iter().find_map(|requirement| {
        let finding = requirement.finding;
        requirement
            .refusal
            .map(|class| Error::new(class, format!("{}: {}", finding.what, finding.detail)))
    });
    first.map_or(Ok(()), Err)
}

/// Looks at the database: is it the one that is written, and what does a statement see.
pub(super) fn database(stream: &Stream, database: &Database) -> Vec<Requirement> {
    let primary = Requirement::refuse_unless(
        !database.is_copy,
        "database",
        format!("{} fork {}", database.identity.database, database.identity.fork),
        "this is a copy that another server writes (a secondary, or a standby): it does not know \
         which transactions are open there, so that rows would be missed; give the primary's address"
            .to_owned(),
    );
    let append = stream.config.mode == Mode::Append;
    let reading = match database.reading {
        Reading::Snapshot => Requirement::good("isolation", "a sweep reads one snapshot"),
        Reading::Versioned => {
            Requirement::good("isolation", "a sweep is one statement under READ_COMMITTED_SNAPSHOT")
        }
        Reading::Locking if append => Requirement::refused(
            Class::Config,
            "isolation",
            "without row versions a row that is changed while it is read may come as a mixture, \
             which append would keep: ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON",
        ),
        Reading::Locking if stream.config.mode == Mode::Replace => Requirement::refused(
            Class::Config,
            "isolation",
            "without row versions a sweep delivers only what is below the horizon, and mode replace \
             would delete the rest: ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON",
        ),
        Reading::Locking => Requirement::good(
            "isolation",
            "READ COMMITTED with locks: nothing is lost, but a sweep waits for writers, and \
             delivers only what is below the horizon. Better: ALTER DATABASE CURRENT SET \
             ALLOW_SNAPSHOT_ISOLATION ON",
        ),
    };
    vec![primary, reading]
}

/// Looks whether the horizon of the cursor can be known. `None` for a column that is no cursor,
/// of which [`table`] tells.
pub(super) async fn sight(
    connection: &mut Connection,
    stream: &Stream,
    table: &Table,
) -> Result<Option<Requirement>> {
    let column = table.column(&stream.config.cursor.column);
    let Some(Ok(kind)) = column.map(|column| plan::kind(stream, column)) else {
        return Ok(None);
    };
    Ok(Some(match (kind, stream.config.cursor.safety) {
        (Cursor::Version, _) => match horizon::versions(connection).await {
            Ok(_) => Requirement::good("horizon", "exact, by MIN_ACTIVE_ROWVERSION()"),
            Err(error) if error.class() == Class::Internal => Requirement::refused(
                Class::Config,
                "horizon",
                format!(
                    "this server has no MIN_ACTIVE_ROWVERSION(), so that rows which commit late \
                     would be missed: use a time as the cursor, with safety: {{ lookback: 10m }} \
                     ({error})"
                ),
            ),
            Err(error) => return Err(error),
        },
        (_, Safety::Horizon | Safety::Xid8) => match horizon::blindness(connection).await? {
            Some(error) => Requirement::refused(error.class(), "horizon", error.to_string()),
            None => Requirement::good("horizon", "this login sees the open transactions"),
        },
        (_, Safety::Lookback(_)) => Requirement::good(
            "horizon",
            "open transactions are not looked at (cursor.safety: lookback)",
        ),
    }))
}

/// Looks at the table, as far as the catalog tells.
pub(super) fn table(stream: &Stream, table: &Table) -> Vec<Requirement> {
    let name = stream.table();
    let mut found = vec![Requirement::refuse_unless(
        table.kind == "U",
        "table",
        format!("{name} is a table"),
        format!(
            "{name} is no table: nothing there says when a row changed and which row it is; name \
             the table behind it"
        ),
    )];
    found.extend(rights(stream, table));
    found.push(key(stream, table));
    found.extend(cursor(stream, table));
    found
}

fn rights(stream: &Stream, table: &Table) -> Vec<Requirement> {
    let name = stream.table();
    let selected = |test: &dyn Fn(&Column) -> bool| -> Option<String> {
        let columns = stream.config.select.iter().filter_map(|name| table.column(name));
        let names: Vec<_> = columns.filter(|c| test(c)).map(|c| c.name.as_str()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    let mut found = Vec::new();
    let mut deny = |what: &str, detail: String| {
        found.push(Requirement::refused(Class::Permission, what, detail));
    };
    if let Some(columns) = selected(&|column| !column.readable) {
        deny("rights", format!("GRANT SELECT ON {name} to this login's user ({columns})"));
    }
    if let Some(columns) = selected(&|column| column.masked).filter(|_| !table.unmasked) {
        deny(
            "masked columns",
            format!("{columns}: this login would read the mask and not the values; GRANT UNMASK"),
        );
    }
    if let Some(columns) = selected(&|column| column.encrypted) {
        deny(
            "encrypted columns",
            format!(
                "{columns}: only a client with the keys can read them; take them out of select"
            ),
        );
    }
    if table.row_security {
        deny(
            "row security",
            format!(
                "a security policy filters {name}: rows that it hides would look like rows that \
                 are not there. Read a table without one"
            ),
        );
    }
    if found.is_empty() {
        found.push(Requirement::good("rights", "this login reads every selected column"));
    }
    found
}

fn key(stream: &Stream, table: &Table) -> Requirement {
    let key = &stream.config.primary_key;
    let nullable = key.iter().find(|name| table.column(name).is_some_and(|c| c.nullable));
    let columns = key.join(", ");
    if let Some(column) = nullable {
        return Requirement::refused(
            Class::Config,
            "key",
            format!("column {column} of the key may be NULL: ALTER COLUMN … NOT NULL"),
        );
    }
    Requirement::refuse_unless(
        table.is_unique(key),
        "key",
        format!("({columns}) is unique"),
        format!(
            "no primary key and no unique index (over all rows) says that ({columns}) is unique; \
             two rows with one key would become one: create the index, or correct primary_key"
        ),
    )
}

fn cursor(stream: &Stream, table: &Table) -> Vec<Requirement> {
    let config = &stream.config.cursor;
    let Some(column) = table.column(&config.column) else {
        return vec![Requirement::refused(
            Class::Schema,
            "cursor",
            format!("{} has no column {}", stream.table(), config.column),
        )];
    };
    let kind = match plan::kind(stream, column) {
        Ok(kind) => kind,
        Err(error) => {
            return vec![Requirement::refused(error.class(), "cursor", error.to_string())];
        }
    };
    let (name, declared) = (&column.name, column.declared());
    let mut found = vec![Requirement::refuse_unless(
        !column.nullable || config.nullable,
        "cursor",
        if column.nullable {
            format!("{name} may be NULL, as accepted: such rows are never read")
        } else {
            format!("{name} is {declared} NOT NULL")
        },
        format!(
            "column {name} may be NULL, and such rows would never be read: ALTER COLUMN … NOT NULL, \
             or accept it with cursor.nullable: true"
        ),
    )];
    let by_server = column.is_row_start || kind == Cursor::Version;
    if config.safety == Safety::Horizon && !by_server {
        found.extend(set_by_database(stream, table, column));
    }
    found.push(index(stream, table));
    found
}

fn set_by_database(stream: &Stream, table: &Table, column: &Column) -> Vec<Requirement> {
    let name = &column.name;
    let hidden = column.has_default && column.default.is_none();
    let by_default = column.default.as_deref().is_some_and(is_server_clock);
    let on_insert = if hidden && !table.on_insert {
        Requirement::refused(
            Class::Permission,
            "cursor on insert",
            format!(
                "the default of {name} is hidden from this login: GRANT VIEW DEFINITION ON {}",
                stream.table()
            ),
        )
    } else {
        Requirement::refuse_unless(
            by_default || table.on_insert,
            "cursor on insert",
            "the server sets it".to_owned(),
            format!(
                "nothing sets column {name} on INSERT: ALTER TABLE … ADD DEFAULT SYSUTCDATETIME() \
                 FOR [{name}], or use a rowversion column, or set_by: application with safety: \
                 {{ lookback: 10m }}"
            ),
        )
    };
    let on_update = Requirement::refuse_unless(
        table.on_update,
        "cursor on update",
        "a trigger runs with each UPDATE".to_owned(),
        format!(
            "no enabled trigger runs with every UPDATE of {}, so that a changed row would not be \
             seen: create one that sets {name} to SYSUTCDATETIME(), or use a rowversion column, or \
             set_by: application with safety: {{ lookback: 10m }}",
            stream.table()
        ),
    );
    vec![on_insert, on_update]
}

/// Whether a default is the server's clock, without arithmetic on it.
fn is_server_clock(default: &str) -> bool {
    let text: String =
        default.chars().filter(|c| !c.is_whitespace() && !matches!(c, '(' | ')')).collect();
    matches!(
        text.to_ascii_lowercase().as_str(),
        "sysutcdatetime"
            | "getutcdate"
            | "sysdatetimeoffset"
            | "sysdatetime"
            | "getdate"
            | "current_timestamp"
    )
}

fn index(stream: &Stream, table: &Table) -> Requirement {
    let column = &stream.config.cursor.column;
    let finding = if table.is_ordered_by(column) {
        Finding::good("cursor index", format!("an index finds ranges of {column}"))
    } else if stream.config.cursor.unindexed {
        Finding::good(
            "cursor index",
            format!("none on {column}, as accepted: each run reads the whole table"),
        )
    } else {
        Finding::bad(
            "cursor index",
            format!(
                "no index begins with {column}, so that each run reads the whole table: CREATE \
                 INDEX … ON {} ({column}, {}), or accept it with cursor.unindexed: true",
                stream.table(),
                stream.config.primary_key.join(", ")
            ),
        )
    };
    Requirement { finding, refusal: None }
}

#[cfg(test)]
mod tests {
    use super::is_server_clock;

    #[test]
    fn a_default_is_the_servers_clock_or_not() {
        for clock in ["(sysutcdatetime())", "(getdate())", "GETUTCDATE()", "(CURRENT_TIMESTAMP)"] {
            assert!(is_server_clock(clock), "{clock}");
        }
        for other in ["('2024-01-01')", "(dateadd(hour,(-1),getdate()))", "([dbo].[clock]())"] {
            assert!(!is_server_clock(other), "{other}");
        }
    }
}
