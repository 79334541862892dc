//! Whether every row that is written gets its transaction's number.

use etl_core::connector::{Safety, Stream};
use etl_core::error::{Class, Result};
use etl_sql::postgres::catalog::Table;
use etl_sql::postgres::quote::{self, TableName};
use etl_sql::postgres::types::XID8;
use etl_sql::postgres::xid8::{self, Trigger};
use sqlx::postgres::PgConnection;

use super::super::source::PostgresSource;
use super::Requirement;

/// Looks at type, default and trigger of a cursor of transaction numbers; nothing for others.
pub(in super::super) async fn stamps(
    connection: &mut PgConnection,
    source: &PostgresSource,
    table: &Table,
) -> Result<Vec<Requirement>> {
    let stream = &source.stream;
    let config = &stream.config.cursor;
    let (Safety::Xid8, Some(column)) = (config.safety, table.column(&config.column)) else {
        return Ok(Vec::new());
    };
    let name = &column.name;
    if column.type_oid != XID8 {
        return Ok(vec![Requirement::refused(
            Class::Config,
            "cursor",
            format!(
                "column {name} is {}, and only an xid8 holds a transaction's number for good. Name \
                 another column, which the table's owner makes with: {}",
                column.declared,
                remedy(stream, Column::Missing)
            ),
        )]);
    }
    let by_default = column.default.as_deref() == Some("pg_current_xact_id()");
    let triggers = xid8::triggers(connection, table.oid, name).await?;
    let without = gap(&triggers, table.subscribed);
    Ok(vec![
        Requirement::refuse_unless(
            by_default,
            "cursor default",
            "pg_current_xact_id()",
            format!(
                "the default of column {name} is {}. As the table's owner: {}",
                column.default.as_deref().map_or("missing", |_| "not pg_current_xact_id()"),
                remedy(stream, Column::There)
            ),
        ),
        Requirement::refuse_unless(
            without.is_none(),
            "cursor trigger",
            "one that mentions the column and pg_current_xact_id() runs before each INSERT and \
             UPDATE; what it does is not looked at",
            format!(
                "changed rows would be missed: {}. As the table's owner: {}. Rows that were \
                 written without it keep old numbers: if this stream has run before, run it with \
                 --full-refresh then",
                without.unwrap_or_default(),
                remedy(stream, Column::There)
            ),
        ),
    ])
}

/// Why some written rows would not get their transaction's number; `None` if all do.
fn gap(triggers: &[Trigger], subscribed: bool) -> Option<String> {
    let mut tables: Vec<_> = triggers.iter().map(|trigger| &trigger.table).collect();
    tables.dedup();
    tables.into_iter().find_map(|table| {
        let of_table: Vec<_> = triggers.iter().filter(|other| other.table == *table).collect();
        gap_of_table(table, &of_table, subscribed)
    })
}

fn gap_of_table(table: &str, triggers: &[&Trigger], subscribed: bool) -> Option<String> {
    if triggers.iter().any(|trigger| trigger.foreign) {
        return Some(format!("{table} is another server's, with numbers of its own"));
    }
    let sound = |trigger: &&&Trigger| faults(trigger, subscribed).is_empty();
    let covers =
        |event: fn(&Trigger) -> bool| triggers.iter().filter(sound).any(|trigger| event(trigger));
    let missing = match (covers(Trigger::on_insert), covers(Trigger::on_update)) {
        (true, true) => return None,
        (true, false) => "UPDATE",
        (false, true) => "INSERT",
        (false, false) => "INSERT and UPDATE",
    };
    let found: Vec<_> = triggers
        .iter()
        .filter(|trigger| trigger.mentions)
        .filter_map(|trigger| {
            let faults = faults(trigger, subscribed);
            let name = trigger.name.as_deref().filter(|_| !faults.is_empty())?;
            Some(format!("; {name} {}", faults.join(" and ")))
        })
        .collect();
    Some(format!(
        "{table} has no trigger that sets the column to pg_current_xact_id() before every {missing} \
         of each row{}",
        found.concat()
    ))
}

/// What keeps a trigger from setting the column in each row.
fn faults(trigger: &Trigger, subscribed: bool) -> Vec<&'static str> {
    let faults = [
        (!trigger.mentions, "does not mention the column and pg_current_xact_id()"),
        (!trigger.enabled, "is disabled"),
        (!trigger.is_before(), "runs after the row is written"),
        (!trigger.is_row(), "runs once per statement"),
        (trigger.some_columns, "runs for some columns only (UPDATE OF)"),
        (trigger.conditional, "runs under a condition only (WHEN)"),
        (
            trigger.enabled && subscribed && !trigger.always,
            "does not run for the rows of a logical subscription (ENABLE ALWAYS)",
        ),
    ];
    faults.into_iter().filter(|(is, _)| *is).map(|(_, what)| what).collect()
}

/// Whether there is a cursor column of the right type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    There,
    Missing,
}

/// The statements that make column, default and trigger; may be run again.
pub(super) fn remedy(stream: &Stream, column: Column) -> String {
    write(stream, column).unwrap_or_else(|error| format!("give the column a name ({error})"))
}

fn write(stream: &Stream, is: Column) -> Result<String> {
    let name = TableName::parse(stream.table())?;
    let (table, cursor) = (name.quoted()?, &stream.config.cursor.column);
    let column = quote::name(cursor)?;
    let own = format!("{}_{cursor}", name.table);
    let trigger = quote::name(own.get(..own.floor_char_boundary(63)).unwrap_or(&own))?;
    let function = format!("{}.{trigger}", quote::name(&name.schema)?);
    let set = match is {
        Column::There => {
            format!("ALTER {column} SET DEFAULT pg_current_xact_id(), ALTER {column} SET NOT NULL")
        }
        Column::Missing => {
            format!("ADD COLUMN IF NOT EXISTS {column} xid8 NOT NULL DEFAULT pg_current_xact_id()")
        }
    };
    Ok(format!(
        "ALTER TABLE {table} {set}; CREATE OR REPLACE FUNCTION {function}() RETURNS trigger \
         LANGUAGE plpgsql AS $$ BEGIN NEW.{column} := pg_current_xact_id(); RETURN NEW; END $$; \
         DROP TRIGGER IF EXISTS {trigger} ON {table}; CREATE TRIGGER {trigger} BEFORE INSERT OR \
         UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {function}(); ALTER TABLE {table} ENABLE \
         ALWAYS TRIGGER {trigger};"
    ))
}
