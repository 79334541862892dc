//! What reading a table safely asks for, and whether it is there.

mod clock;
mod stamps;

use etl_core::connector::{Finding, Safety, Stream};
use etl_core::error::{Class, Error, Result};
use etl_sql::postgres::catalog::{Column, Table};
use etl_sql::postgres::horizon::Sight;
use sqlx::postgres::PgConnection;

use clock::is_server_clock;
pub(super) use stamps::stamps;

/// Something that was looked at.
pub(super) struct Requirement {
    pub(super) finding: Finding,
    /// Whether reading without it loses rows or cannot work; the class of the refusal.
    refusal: Option<Class>,
}

impl Requirement {
    fn good(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { finding: Finding::good(what, detail), refusal: None }
    }

    fn refused(class: Class, what: impl Into<String>, detail: impl Into<String>) -> Self {
        let finding = match class {
            Class::Permission => Finding::denied(what, detail),
            _ => Finding::bad(what, detail),
        };
        Self { finding, refusal: Some(class) }
    }

    fn refuse_unless(
        met: bool,
        what: impl Into<String>,
        good: impl Into<String>,
        bad: impl Into<String>,
    ) -> Self {
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

/// Looks at the server: is it a primary, and may its activity be seen.
pub(super) async fn server(
    connection: &mut PgConnection,
    stream: &Stream,
) -> Result<Vec<Requirement>> {
    let sight = Sight::look(connection).await?;
    let needs_horizon = stream.config.cursor.safety == Safety::Horizon;
    let refusals = if needs_horizon { sight.refusals() } else { Vec::from_iter(sight.standby()) };
    let mut found: Vec<_> = refusals
        .into_iter()
        .map(|error| Requirement::refused(error.class(), "horizon", error.to_string()))
        .collect();
    if found.is_empty() {
        found.push(Requirement::good(
            "horizon",
            match stream.config.cursor.safety {
                Safety::Horizon => "a primary, whose open transactions this role sees",
                Safety::Lookback(_) => {
                    "a primary; open transactions are not looked at (cursor.safety: lookback)"
                }
                Safety::Xid8 => "a primary; each snapshot says which transactions have ended",
            },
        ));
    }
    Ok(found)
}

/// Looks at the table, as far as the catalog tells.
pub(super) fn table(stream: &Stream, table: &Table) -> Vec<Requirement> {
    let mut found = vec![kind(stream, table)];
    found.extend(rights(stream, table));
    found.push(key(stream, table));
    found.extend(cursor(stream, table));
    found
}

fn kind(stream: &Stream, table: &Table) -> Requirement {
    let name = stream.table();
    let what = match table.kind.as_str() {
        "r" | "p" => None,
        "v" => Some("a view"),
        "m" => Some("a materialized view"),
        _ => Some("a foreign table"),
    };
    match what {
        Some(what) => Requirement::refused(
            Class::Config,
            "table",
            format!(
                "{name} is {what}: nothing there says when a row changed and which row it is; \
                 name the table behind it"
            ),
        ),
        None if table.has_children => Requirement::refused(
            Class::Config,
            "table",
            format!(
                "other tables inherit from {name}, and no key holds across them; make one stream \
                 per table, or a partitioned table"
            ),
        ),
        None => Requirement::good("table", format!("{name} is a table")),
    }
}

fn rights(stream: &Stream, table: &Table) -> Vec<Requirement> {
    let name = stream.table();
    let schema = name.split_once('.').map_or("public", |(schema, _)| schema);
    let mut found = Vec::new();
    if !table.schema_usable {
        found.push(Requirement::refused(
            Class::Permission,
            "rights",
            format!("GRANT USAGE ON SCHEMA \"{schema}\" to this role"),
        ));
    }
    let unreadable: Vec<_> = stream
        .config
        .select
        .iter()
        .filter(|name| table.column(name).is_some_and(|column| !column.readable))
        .map(String::as_str)
        .collect();
    if !unreadable.is_empty() {
        let columns = unreadable.join(", ");
        found.push(Requirement::refused(
            Class::Permission,
            "rights",
            format!("GRANT SELECT ({columns}) ON {name} to this role"),
        ));
    }
    if table.row_security {
        found.push(Requirement::refused(
            Class::Permission,
            "row security",
            format!(
                "policies hide rows of {name} from this role, which would look like rows that are \
                 not there: read with a role that has BYPASSRLS, or one that the policies let see \
                 all and that owns the table"
            ),
        ));
    }
    if found.is_empty() {
        found.push(Requirement::good("rights", "this role reads every selected column and row"));
    }
    found
}

fn key(stream: &Stream, table: &Table) -> Requirement {
    let key = &stream.config.primary_key;
    let nullable = key.iter().find(|name| table.column(name).is_some_and(|c| !c.not_null));
    let columns = key.join(", ");
    if let Some(column) = nullable {
        return Requirement::refused(
            Class::Config,
            "key",
            format!("column {column} of the key may be NULL: ALTER TABLE … SET NOT NULL"),
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
        let advice = match config.safety {
            Safety::Xid8 => {
                format!(". As its owner: {}", stamps::remedy(stream, stamps::Column::Missing))
            }
            _ => String::new(),
        };
        return vec![Requirement::refused(
            Class::Schema,
            "cursor",
            format!("{} has no column {}{advice}", stream.table(), config.column),
        )];
    };
    let mut found = vec![Requirement::refuse_unless(
        column.not_null || config.nullable,
        "cursor",
        if column.not_null {
            format!("{} is {} NOT NULL", column.name, column.declared)
        } else {
            format!("{} may be NULL, as accepted: such rows are never read", column.name)
        },
        format!(
            "column {} may be NULL, and such rows would never be read: SET NOT NULL, or accept it \
             with cursor.nullable: true",
            column.name
        ),
    )];
    if config.safety == Safety::Horizon {
        found.extend(set_by_database(stream, table, column));
    }
    found.push(index(stream, table));
    found
}

fn set_by_database(stream: &Stream, table: &Table, column: &Column) -> Vec<Requirement> {
    let name = &column.name;
    let by_default = column.default.as_deref().is_some_and(is_server_clock);
    let mut found = vec![
        Requirement::refuse_unless(
            by_default || table.triggers.before_insert,
            "cursor on insert",
            "the server sets it",
            format!(
                "nothing sets column {name} on INSERT: ALTER TABLE … ALTER {name} SET DEFAULT \
                 now(), or use set_by: application with safety: {{ lookback: 10m }}"
            ),
        ),
        Requirement::refuse_unless(
            table.triggers.before_update,
            "cursor on update",
            "a trigger runs before each UPDATE",
            format!(
                "no enabled row trigger runs before every UPDATE of {}, so that a changed row \
                 would not be seen: create one that sets {name} to now(), or use set_by: \
                 application with safety: {{ lookback: 10m }}",
                stream.table()
            ),
        ),
    ];
    if table.subscribed {
        found.push(Requirement::refused(
            Class::Config,
            "cursor",
            format!(
                "a logical subscription writes into {} and carries another server's times: use \
                 set_by: application with safety: {{ lookback: 10m }}",
                stream.table()
            ),
        ));
    }
    found
}

fn index(stream: &Stream, table: &Table) -> Requirement {
    let column = &stream.config.cursor.column;
    let ordered = table.is_ordered_by(column);
    let finding = if ordered {
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
                 INDEX CONCURRENTLY ON {} ({column}, {}), or accept it with cursor.unindexed: true",
                stream.table(),
                stream.config.primary_key.join(", ")
            ),
        )
    };
    Requirement { finding, refusal: None }
}
