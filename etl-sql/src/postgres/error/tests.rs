use super::*;
use crate::refusal::{refusal, refusal_of};

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

#[test]
fn the_servers_own_words_stay_out_and_its_constraint_comes_in() {
    let refused = refusal_of("23505", "Key (email)=(a@example.com) already exists", "orders_email");
    let error = failed("writing", refused);
    assert_eq!((error.class(), error.code()), (Class::Data, Some("23505")));
    let told = "writing: another unique index refuses a row, or somebody else writes here too \
                (SQLSTATE 23505), constraint orders_email";
    assert_eq!(error.to_string(), told);
    let nameless = failed("writing", refusal("22001", "")).to_string();
    assert!(nameless.ends_with("(SQLSTATE 22001)"), "{nameless}");
}

/// The codes for which a person has something else to do than for the rest of their class.
#[test]
fn a_code_that_people_meet_says_what_it_is() {
    for (code, part) in [
        ("28P01", "check user, password"),
        ("28000", "check user, password"),
        ("3D000", "no such database"),
        ("3F000", "no such schema"),
        ("42501", "a right is missing"),
        ("42P01", "no such table"),
        ("42P07", "such a table already"),
        ("42704", "no such role"),
        ("42703", "no such column"),
        ("42804", "types do not fit"),
        ("42883", "types do not fit"),
        ("53100", "disk is full"),
        ("53200", "out of memory"),
        ("53300", "no connection left"),
        ("54000", "larger than the server allows"),
        ("55P03", "a lock was not to be had"),
        ("57014", "statement_timeout"),
        ("57P01", "shutting down"),
        ("57P02", "shutting down"),
        ("57P03", "starting up"),
        ("23502", "must not be NULL"),
        ("23503", "foreign key"),
        ("23505", "unique index"),
        ("23514", "a check"),
        ("25006", "standby"),
        ("25P03", "idle in a transaction"),
        ("40001", "serialize"),
        ("40P01", "deadlock"),
        ("P0001", "a trigger"),
        ("XX001", "restore"),
        ("XX002", "restore"),
        (MIGRATION_CHANGED, "another version"),
        // None of these: what their class says.
        ("08006", "could not do it now"),
        ("53400", "short of something"),
        ("28999", "refuses it"),
        ("0A000", "does not allow it"),
        ("42999", "not as expected"),
        ("22001", "a row cannot be stored"),
        ("99999", "unexpected"),
    ] {
        let error = failed("reading", refusal(code, "")).to_string();
        assert!(error.contains(part) && error.contains(code), "{code}: {error}");
    }
}

#[test]
fn what_is_no_answer_of_the_server_has_a_class_too() {
    for (error, class, part) in [
        (sqlx::Error::Configuration("x".into()), Class::Config, "url, tls and tls_ca"),
        (sqlx::Error::Protocol("x".into()), Class::Transient, "not its protocol"),
        (sqlx::Error::RowNotFound, Class::Internal, "no row where one must be"),
        (sqlx::Error::ColumnNotFound("a".into()), Class::Internal, "(columns)"),
        (sqlx::Error::ColumnIndexOutOfBounds { index: 1, len: 0 }, Class::Internal, "(columns)"),
        (sqlx::Error::Decode("x".into()), Class::Internal, "(decoding)"),
        (sqlx::Error::Encode("x".into()), Class::Internal, "(encoding)"),
        (sqlx::Error::WorkerCrashed, Class::Internal, "(other)"),
    ] {
        let error = failed("reading", error);
        assert_eq!(error.class(), class, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn a_login_is_refused_by_these_codes_and_no_other() {
    assert_eq!(["28P01", "28000", "42501", ""].map(is_refused_login), [true, true, false, false]);
}
