//! From SQL Server's error numbers to what a caller can do.
//!
//! The message text of the server is never part of an error: it quotes values (2627 the key, 2628
//! the cut-off text). Number, state, severity and line are.
//!
//! Of several errors in one answer the first decides: the server names the cause first (4060,
//! "cannot open database"), then what failed because of it (18456, "login failed"). Messages of
//! severity 10 and less do not count; the server sends them as another token.

mod numbers;

use std::io::ErrorKind;

use etl_core::{Class, Error};

pub use numbers::{EF_CORE, KNOWN, SQL_CLIENT_COMMAND, SQL_CLIENT_OPEN, class_of};
use numbers::{is_fatal, meaning};

/// What was going on when an error came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Connecting and logging in.
    Connect,
    /// A statement that may be sent again, or that left nothing behind.
    Repeatable,
    /// A batch that commits: no answer means that nobody knows.
    Commit,
}

/// Errors of ours, thrown by statements of ours.
pub mod own {
    /// The pipeline's application lock was not granted in time, or we were a deadlock's victim.
    pub const LOCK_NOT_GRANTED: u32 = 51_000;
    /// The checkpoint is not where this run left it.
    pub const CHECKPOINT_MOVED: u32 = 51_001;
    /// The application lock could not be asked for.
    pub const LOCK_FAILED: u32 = 51_002;
    /// The staged rows are not as many as were sent.
    pub const STAGE_COUNT: u32 = 51_003;
    /// A migration was applied with another text.
    pub const MIGRATION_CHANGED: u32 = 51_004;
    /// A load without rows would empty its target.
    pub const LOAD_EMPTY: u32 = 51_005;
    /// The target is no longer as it was when the run looked at it.
    pub const TARGET_ALTERED: u32 = 51_006;
}

/// Whether an error's code says that the login itself was refused, whatever it wanted.
#[must_use]
pub fn is_refused_login(code: &str) -> bool {
    code.parse().is_ok_and(|number: u32| REFUSED_LOGINS.contains(&number))
}

const REFUSED_LOGINS: [u32; 7] = [18452, 18456, 18461, 18470, 18486, 18487, 18488];

/// An error of the driver as ours; `doing` says what was going on.
#[must_use]
pub fn classify(error: &tiberius::error::Error, phase: Phase, doing: &str) -> Error {
    use tiberius::error::Error as E;
    match error {
        E::Server(token) => server(token, phase, doing),
        E::Io { kind, .. } => io(*kind, phase, doing),
        E::Tls(text) => tls(text, doing),
        // The server, or somebody on the way, says that it does not encrypt.
        E::Protocol(text) if phase == Phase::Connect && text.contains("encryption level") => {
            tls(text, doing)
        }
        E::Routing { host, port } => {
            Error::transient(format!("{doing}: the server redirects to {host}:{port}"))
        }
        E::BulkInput(_) | E::Conversion(_) | E::Encoding(_) => {
            Error::internal(format!("{doing}: a value could not be encoded"))
                .with_source(error.clone())
        }
        _ => lost(phase, format!("{doing}: the server's answer could not be read")),
    }
}

fn server(token: &tiberius::error::TokenError, phase: Phase, doing: &str) -> Error {
    let (number, severity) = (token.code(), token.class());
    let class = class_at(number, severity, phase);
    let meaning = meaning(number).map(|meaning| format!("; {meaning}")).unwrap_or_default();
    Error::new(
        class,
        format!(
            "{doing}: SQL Server error {number}, severity {severity}, state {}, line {}{meaning}",
            token.state(),
            token.line()
        ),
    )
    .with_code(number.to_string())
}

fn class_at(number: u32, severity: u8, phase: Phase) -> Class {
    match class_of(number, severity) {
        // In the middle of a commit the server closing the connection leaves the outcome open.
        Class::Transient if phase == Phase::Commit && is_fatal(severity) => Class::Unknown,
        class => class,
    }
}

fn io(kind: ErrorKind, phase: Phase, doing: &str) -> Error {
    match (phase, kind) {
        (Phase::Connect, ErrorKind::PermissionDenied) => {
            Error::config(format!("{doing}: the operating system does not allow it"))
        }
        (Phase::Connect, ErrorKind::InvalidInput | ErrorKind::InvalidData) => Error::config(
            format!("{doing}: no TLS as it is asked for, or no SQL Server ({kind}); {TLS_KEYS}"),
        ),
        _ => lost(phase, format!("{doing}: the connection broke ({kind})")),
    }
}

const TLS_KEYS: &str = "check tls, tls_ca and tls_host";

fn tls(text: &str, doing: &str) -> Error {
    // Without a server's certificate that can be verified nothing is sent; trying again is vain.
    // What follows the cause is the driver's advice to programmers.
    let cause = text.split(" To connect anyway").next().unwrap_or_default();
    let cause: String = cause.chars().take(200).collect();
    Error::config(format!("{doing}: TLS failed ({cause}); {TLS_KEYS}"))
}

/// The connection is gone, or cannot be trusted any more.
fn lost(phase: Phase, text: String) -> Error {
    match phase {
        Phase::Commit => Error::unknown(text),
        Phase::Connect | Phase::Repeatable => Error::transient(text),
    }
}

/// A time limit of ours passed.
#[must_use]
pub fn timed_out(phase: Phase, doing: &str, seconds: u64) -> Error {
    lost(phase, format!("{doing}: no answer within {seconds} s"))
}

#[cfg(test)]
mod tests {
    use tiberius::error::Error as Driver;

    use super::*;

    const PHASES: [Phase; 3] = [Phase::Connect, Phase::Repeatable, Phase::Commit];

    fn io(kind: ErrorKind) -> Driver {
        Driver::Io { kind, message: "os error".to_owned() }
    }

    #[test]
    fn no_answer_to_a_commit_is_unknown_and_to_anything_else_transient() {
        for phase in PHASES {
            let class = if phase == Phase::Commit { Class::Unknown } else { Class::Transient };
            for error in [
                io(ErrorKind::ConnectionReset),
                io(ErrorKind::UnexpectedEof),
                Driver::Protocol("unexpected token".into()),
                Driver::Utf16,
            ] {
                assert_eq!(classify(&error, phase, "x").class(), class, "{phase:?} {error}");
            }
            let late = timed_out(phase, "writing", 30);
            assert_eq!(late.class(), class);
            assert_eq!(late.to_string(), "writing: no answer within 30 s");
        }
    }

    #[test]
    fn a_commit_is_unknown_only_if_the_server_ended_the_connection_before_it_told() {
        for (number, severity, phase, class) in [
            (596, 21, Phase::Commit, Class::Unknown),
            (99_999, 20, Phase::Commit, Class::Unknown),
            (596, 21, Phase::Repeatable, Class::Transient),
            (596, 21, Phase::Connect, Class::Transient),
            (1205, 19, Phase::Commit, Class::Transient),
            (2627, 21, Phase::Commit, Class::Data),
            (99_999, 17, Phase::Commit, Class::Capacity),
        ] {
            assert_eq!(class_at(number, severity, phase), class, "{number} {severity} {phase:?}");
        }
    }

    #[test]
    fn what_connecting_anew_will_not_mend_is_a_setting_while_connecting() {
        let unencrypted = Driver::Protocol("The encryption level is wrong".into());
        let kinds = [ErrorKind::PermissionDenied, ErrorKind::InvalidInput, ErrorKind::InvalidData];
        for error in kinds.map(io).into_iter().chain([unencrypted]) {
            let class = |phase| classify(&error, phase, "x").class();
            let classes = [Class::Config, Class::Transient, Class::Unknown];
            assert_eq!(PHASES.map(class), classes, "{error}");
        }
        for phase in PHASES {
            let routed = Driver::Routing { host: "db2".to_owned(), port: 1433 };
            assert_eq!(classify(&routed, phase, "x").class(), Class::Transient);
            for error in [
                Driver::BulkInput("a".into()),
                Driver::Conversion("b".into()),
                Driver::Encoding("c".into()),
            ] {
                assert_eq!(classify(&error, phase, "x").class(), Class::Internal, "{error}");
            }
        }
    }

    #[test]
    fn a_failed_handshake_says_why_without_the_drivers_advice() {
        let cause = "certificate expired To connect anyway, trust it blindly";
        let error = classify(&Driver::Tls(cause.to_owned()), Phase::Repeatable, "connecting");
        assert_eq!(error.class(), Class::Config);
        let told = "connecting: TLS failed (certificate expired); check tls, tls_ca and tls_host";
        assert_eq!(error.to_string(), told);
        let long = classify(&Driver::Tls("x".repeat(999)), Phase::Connect, "connecting");
        assert!(long.to_string().len() < 300, "{long}");
    }

    #[test]
    fn a_login_is_refused_by_these_numbers_and_no_other() {
        assert!(is_refused_login("18456") && is_refused_login("18488"));
        for other in ["18401", "4060", "", "x"] {
            assert!(!is_refused_login(other), "{other}");
        }
    }
}
