//! What a Postgres error means for the caller.

use std::io;

use etl_core::error::{Class, Error};
use sqlx::postgres::PgDatabaseError;

use super::plan::MIGRATION_CHANGED;

/// SQLSTATE prefixes and their class; the longest that matches counts.
///
/// | SQLSTATE | class | what it is |
/// |---|---|---|
/// | 08 | Transient | the connection broke |
/// | 09 | Data | a trigger refuses a row |
/// | 0A | Config | not supported by this server |
/// | 21 | Data | a subquery, of a trigger perhaps, gave more than one row |
/// | 22 | Data | a value that an expression cannot take |
/// | 23 | Data | a constraint refuses a row |
/// | 25006 | Transient | read-only: a failover is going on |
/// | 25P02 | Transient | the transaction was ended before |
/// | 25P03 | Transient | idle in a transaction for too long |
/// | 25P04 | Capacity | the transaction took too long (`transaction_timeout`) |
/// | 27 | Data | a trigger and the statement change the same row |
/// | 28 | Permission | password, `pg_hba.conf` |
/// | 38 | Data | a function of a trigger failed |
/// | 39 | Data | a function of a trigger failed |
/// | 3D000 | Config | no such database |
/// | 3F000 | Config | no such schema |
/// | 40 | Transient | serialization, deadlock, standby conflict |
/// | 42 | Schema | a table, column, type or operator is not there |
/// | 42501 | Permission | a grant is missing |
/// | 42704 | Config | a role, type or collation is not there |
/// | 44 | Data | a view's check option refuses a row |
/// | 53 | Capacity | disk, memory, a configured limit |
/// | 53300 | Transient | too many connections |
/// | 54 | Capacity | too large for the server |
/// | 54000 | Data | a row or an index entry that is too large however few there are |
/// | 55 | Transient | an object is in use, a lock was not got |
/// | 55P02 | Config | a setting that only a restart of the server changes |
/// | 57 | Transient | shut down, starting up, idle for too long |
/// | 57014 | Capacity | cancelled: most often the statement took too long, so less at a time may do |
/// | 57P04 | Config | the database was dropped |
/// | 58 | Transient | the server's own input or output failed |
/// | 72000 | Transient | the snapshot is too old |
/// | ETL | Config | ours: a migration was applied with another text |
/// | F0 | Config | the server's configuration file is wrong |
/// | HV00N | Transient | the server of a foreign table cannot be reached |
/// | P0 | Data | a trigger refuses a row (`RAISE EXCEPTION`) |
/// | XX001 | Config | the server's data are damaged: restore them |
/// | XX002 | Config | an index of the server is damaged: rebuild it |
/// | anything else | Internal | |
const CLASSES: &[(&str, Class)] = &[
    ("08", Class::Transient),
    ("09", Class::Data),
    ("0A", Class::Config),
    ("21", Class::Data),
    ("22", Class::Data),
    ("23", Class::Data),
    ("25006", Class::Transient),
    ("25P02", Class::Transient),
    ("25P03", Class::Transient),
    ("25P04", Class::Capacity),
    ("27", Class::Data),
    ("28", Class::Permission),
    ("38", Class::Data),
    ("39", Class::Data),
    ("3D000", Class::Config),
    ("3F000", Class::Config),
    ("40", Class::Transient),
    ("42", Class::Schema),
    ("42501", Class::Permission),
    ("42704", Class::Config),
    ("44", Class::Data),
    ("53", Class::Capacity),
    ("53300", Class::Transient),
    ("54", Class::Capacity),
    ("54000", Class::Data),
    ("55", Class::Transient),
    ("55P02", Class::Config),
    ("57", Class::Transient),
    ("57014", Class::Capacity),
    ("57P04", Class::Config),
    ("58", Class::Transient),
    ("72000", Class::Transient),
    ("ETL", Class::Config),
    ("F0", Class::Config),
    ("HV00N", Class::Transient),
    ("P0", Class::Data),
    ("XX001", Class::Config),
    ("XX002", Class::Config),
];

/// The class of a SQLSTATE.
#[must_use]
pub fn class_of(sqlstate: &str) -> Class {
    CLASSES
        .iter()
        .filter(|(prefix, _)| sqlstate.starts_with(prefix))
        .max_by_key(|(prefix, _)| prefix.len())
        .map_or(Class::Internal, |(_, class)| *class)
}

/// An error of a connection, with `doing` in front and without the server's message, which may
/// quote values.
#[must_use]
pub fn failed(doing: &str, error: sqlx::Error) -> Error {
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default().into_owned();
            let class = class_of(&code);
            let (meaning, object) = (meaning(&code, class), object(&*error));
            let ours = Error::new(class, format!("{doing}: {meaning}{object}")).with_code(code);
            match column(&*error) {
                Some(column) => ours.at_column(column),
                None => ours,
            }
        }
        sqlx::Error::Io(error) if is_tls(&error) => tls(doing, error),
        sqlx::Error::Io(error) => {
            Error::transient(format!("{doing}: the connection failed ({})", error.kind()))
                .with_source(error)
        }
        sqlx::Error::Tls(error) => tls(doing, error),
        sqlx::Error::Configuration(_) => Error::config(format!(
            "{doing}: the connection settings cannot be used; look at url, tls and tls_ca"
        )),
        sqlx::Error::Protocol(_) => Error::transient(format!(
            "{doing}: the server sent something that is not its protocol; is this a Postgres \
             server, and does no proxy change what it sends?"
        )),
        sqlx::Error::RowNotFound => {
            Error::internal(format!("{doing}: the server sent no row where one must be"))
        }
        other => Error::internal(format!("{doing}: the driver failed ({})", variant(&other))),
    }
}

/// The constraint or the column that an error is about: names, never values.
fn object(error: &dyn sqlx::error::DatabaseError) -> String {
    match (error.constraint(), column(error)) {
        (Some(constraint), _) => format!(", constraint {constraint}"),
        (None, Some(column)) => format!(", column {column}"),
        (None, None) => String::new(),
    }
}

fn column(error: &dyn sqlx::error::DatabaseError) -> Option<&str> {
    error.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::column)
}

/// rustls reports a failed handshake as input or output that is not valid.
fn is_tls(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData
}

fn tls(doing: &str, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::config(format!(
        "{doing}: no verified TLS connection. Give the CA of the server's certificate in tls_ca and \
         use the host name that the certificate is for; tls: disable and \
         tls: trust-server-certificate are for networks that you trust"
    ))
    .with_source(cause)
}

fn variant(error: &sqlx::Error) -> &'static str {
    match error {
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => "decoding",
        sqlx::Error::ColumnNotFound(_) | sqlx::Error::ColumnIndexOutOfBounds { .. } => "columns",
        sqlx::Error::Encode(_) => "encoding",
        _ => "other",
    }
}

/// Whether an error's code says that the login itself was refused, whatever it wanted.
#[must_use]
pub fn is_refused_login(code: &str) -> bool {
    matches!(code, "28P01" | "28000")
}

/// A few words for the codes that people meet, else for the class.
fn meaning(code: &str, class: Class) -> String {
    let known = match code {
        "28P01" | "28000" => "the server refuses this login: check user, password and pg_hba.conf",
        "3D000" => "there is no such database",
        "3F000" => "there is no such schema",
        "42501" => "a right is missing; `check` says which",
        "42P01" => "there is no such table",
        "42P07" => "there is such a table already",
        "42704" => "there is no such role, type or collation",
        "42703" => "there is no such column",
        "42804" | "42883" => "the types do not fit the expression",
        "53100" => "the server's disk is full",
        "53200" => "the server is out of memory",
        "53300" => "the server has no connection left",
        "54000" => "a row or an index entry is larger than the server allows",
        "55P03" => "a lock was not to be had in time",
        "57014" => "the statement was cancelled, by a person or by statement_timeout",
        "57P01" | "57P02" => "the server is shutting down or ended this session",
        "57P03" => "the server is starting up",
        "23502" => "a column that must not be NULL would be",
        "23503" => "a foreign key of the target refuses a row",
        "23505" => "another unique index refuses a row, or somebody else writes here too",
        "23514" => "a check of the target refuses a row",
        "25006" => {
            "the server takes no writes: it is a standby, a failover is going on, or \
             default_transaction_read_only is on"
        }
        "25P03" => "the session was idle in a transaction for too long",
        "40001" => "the server could not serialize access, or a standby cancelled it",
        "40P01" => "the server ended a deadlock",
        "P0001" => "a trigger refuses a row",
        "XX001" | "XX002" => "the server's data are damaged: restore them from a backup",
        MIGRATION_CHANGED => {
            "the state tables were made by another version of this program, with another text"
        }
        _ => match class {
            Class::Transient => "the server could not do it now",
            Class::Capacity => "the server is short of something",
            Class::Permission => "the server refuses it",
            Class::Config => "the server does not allow it",
            Class::Schema => "the tables are not as expected",
            Class::Data => "a row cannot be stored, or a value does not fit the expression",
            _ => "the server failed in an unexpected way",
        },
    };
    format!("{known} (SQLSTATE {code})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_counts() {
        assert_eq!(class_of("53200"), Class::Capacity);
        assert_eq!(class_of("53300"), Class::Transient);
        assert_eq!(class_of(MIGRATION_CHANGED), Class::Config);
        assert_eq!(class_of("99999"), Class::Internal);
        assert_eq!(class_of(""), Class::Internal);
    }

    #[test]
    fn a_broken_connection_is_transient_and_a_failed_handshake_is_not() {
        let io = |kind: io::ErrorKind| sqlx::Error::Io(io::Error::from(kind));
        for kind in [
            io::ErrorKind::UnexpectedEof,
            io::ErrorKind::ConnectionRefused,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::TimedOut,
            io::ErrorKind::BrokenPipe,
        ] {
            assert_eq!(failed("reading", io(kind)).class(), Class::Transient);
        }
        assert_eq!(failed("connecting", io(io::ErrorKind::InvalidData)).class(), Class::Config);
        let tls = sqlx::Error::Tls("server does not support TLS".into());
        assert_eq!(failed("connecting", tls).class(), Class::Config);
    }
}
