//! From SQL Server's error numbers to what a caller can do.
//!
//! The message text of the server is never part of an error: it quotes values (2627 the key, 2628
//! the cut-off text). Number, state, severity and line are.

use std::io::ErrorKind;

use etl_core::{Class, Error};

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
}

/// Nothing was done or all of it was rolled back; the same request may pass later.
///
/// EF Core's `SqlServerTransientExceptionDetector` (176 numbers, commit ecd0ba4; without -2, and
/// with 203), the .NET Framework's further connection errors, and numbers of failovers and
/// shutdowns that neither has.
const TRANSIENT: &[u32] = &[
    20,
    64,
    121,
    203,
    233,
    539,
    601,
    615,
    617,
    669,
    921,
    926,
    927,
    941,
    952,
    982,
    988,
    997,
    1203,
    1204,
    1205,
    1215,
    1216,
    1221,
    1222,
    1232,
    1404,
    1413,
    1421,
    1438,
    1532,
    1533,
    1534,
    1535,
    1807,
    2021,
    2816,
    3429,
    3635,
    3935,
    3941,
    3947,
    3948,
    3950,
    3953,
    3957,
    3960,
    3961,
    3966,
    3980,
    4060,
    4117,
    4184,
    4221,
    5280,
    5529,
    6292,
    7951,
    8628,
    8645,
    8651,
    9020,
    9515,
    9985,
    10053,
    10054,
    10060,
    10922,
    10928,
    10929,
    10930,
    10936,
    11001,
    11539,
    14355,
    14817,
    14868,
    14906,
    16528,
    16554,
    16555,
    17065,
    17066,
    17067,
    17197,
    17889,
    18401,
    18858,
    19413,
    19416,
    19494,
    20041,
    21503,
    22225,
    22226,
    22335,
    22353,
    22355,
    22358,
    22427,
    22430,
    22491,
    22493,
    22498,
    22754,
    22758,
    22759,
    22760,
    22984,
    25003,
    25738,
    25740,
    30080,
    30085,
    33123,
    35216,
    35218,
    35256,
    35293,
    37202,
    37327,
    39025,
    39108,
    39110,
    39151,
    39152,
    40106,
    40143,
    40189,
    40197,
    40501,
    40540,
    40613,
    40623,
    40642,
    40648,
    40671,
    40675,
    40890,
    40903,
    40918,
    40938,
    41301,
    41302,
    41305,
    41325,
    41339,
    41383,
    41614,
    41619,
    41640,
    41700,
    41701,
    41823,
    41839,
    41840,
    42029,
    42108,
    42109,
    45153,
    45156,
    45157,
    45161,
    45179,
    45182,
    45319,
    45547,
    47132,
    47137,
    47139,
    49510,
    49802,
    49918,
    49919,
    49920,
    49977,
    49983, // EF Core
    40020,
    40166, // .NET Framework, opening a connection
    596,
    922,
    976,
    978,
    983,
    1219,
    3906,
    6005,
    17142, // killed, recovering, failed over, shut down
    266,
    3902,
    3903, // a transaction that the server ended under us
    own::LOCK_NOT_GRANTED,
    own::STAGE_COUNT,
];

/// Disk, log, tempdb, version store or memory is short; or a session was ended for using too much.
const CAPACITY: &[u32] =
    &[701, 802, 1101, 1105, 3958, 3967, 9002, 40544, 40549, 40550, 40551, 40552, 40553];

/// One row cannot be stored.
const DATA: &[u32] = &[
    220,
    232,
    241,
    242,
    245,
    295,
    296,
    515,
    547,
    1007,
    2601,
    2627,
    2628,
    4815,
    4863,
    8114,
    8115,
    8152,
    8169,
    9803,
    517,
    518,
    511,
    512,
    own::LOAD_EMPTY,
];

/// Names and shapes do not fit.
const SCHEMA: &[u32] =
    &[207, 208, 213, 206, 257, 260, 468, 529, 4816, 4864, 4701, 4902, 4922, 8101];

/// Credentials or rights.
const PERMISSION: &[u32] = &[
    229, 230, 262, 297, 300, 916, 1088, 4064, 6102, 15151, 15247, 18452, 18456, 18461, 18470,
    18486, 18487, 18488, 15118, 33009,
];

/// A setting, such as a database that does not exist.
const CONFIG: &[u32] = &[911, 2702, 3952, 15007, 15116, 15117];

/// Whether an error's code says that the login itself was refused, whatever it wanted.
#[must_use]
pub fn is_refused_login(code: &str) -> bool {
    code.parse().is_ok_and(|number: u32| REFUSED_LOGINS.contains(&number))
}

/// Of those: the login, and not what it wanted to do.
const REFUSED_LOGINS: [u32; 7] = [18452, 18456, 18461, 18470, 18486, 18487, 18488];

/// The class of a server's error by its number and severity.
///
/// A severity of 20 or more means that the server ends the connection: whatever the number, a new
/// connection may do.
#[must_use]
pub fn class_of(number: u32, severity: u8) -> Class {
    let lists: [(&[u32], Class); 6] = [
        (TRANSIENT, Class::Transient),
        (CAPACITY, Class::Capacity),
        (DATA, Class::Data),
        (SCHEMA, Class::Schema),
        (PERMISSION, Class::Permission),
        (CONFIG, Class::Config),
    ];
    if number == own::CHECKPOINT_MOVED {
        return Class::Fenced;
    }
    match lists.iter().find(|(numbers, _)| numbers.contains(&number)) {
        Some((_, class)) => *class,
        None if severity >= 20 => Class::Transient,
        None => Class::Internal,
    }
}

/// An error of the driver as ours; `doing` says what was going on.
#[must_use]
pub fn classify(error: &tiberius::error::Error, phase: Phase, doing: &str) -> Error {
    use tiberius::error::Error as E;
    match error {
        E::Server(token) => server(token, phase, doing),
        E::Io { kind, .. } => io(*kind, phase, doing),
        E::Tls(text) => tls(text, doing),
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
    let class = match class_of(number, severity) {
        // In the middle of a commit the server closing the connection leaves the outcome open.
        Class::Transient if phase == Phase::Commit && severity >= 20 => Class::Unknown,
        class => class,
    };
    let hint = hint(number, phase).map(|hint| format!("; {hint}")).unwrap_or_default();
    Error::new(
        class,
        format!(
            "{doing}: SQL Server error {number}, severity {severity}, state {}, line {}{hint}",
            token.state(),
            token.line()
        ),
    )
    .with_code(number.to_string())
}

fn hint(number: u32, phase: Phase) -> Option<&'static str> {
    Some(match number {
        18456 => {
            "the login or its password is wrong: check the url's secret, or rotate it with mssql-init"
        }
        4060 | 911 => {
            "the database does not exist, is not up yet, or the login has no user in it: run mssql-init"
        }
        229 | 230 => "a right is missing: run mssql-init, or see what `etl-job check` lists",
        208 => "an object is missing: run mssql-init",
        207 | 213 => "a column is missing or too many",
        262 => "the login may not create this: use an owner's login",
        468 => "two collations meet in a comparison",
        515 => "a column that must not be NULL would be",
        547 => "a constraint of the target refuses a row",
        2601 | 2627 => "two rows for one key or unique index",
        2628 | 8152 | 4863 => "a text is longer than its column",
        8115 | 220 => "a number does not fit its column",
        1205 => "deadlock victim",
        1222 => "a lock was not granted in time",
        3952 => "the database does not allow SNAPSHOT any more: run again",
        3961 => "the table was altered while it was read",
        9002 => "the transaction log is full",
        1105 | 1101 => "the data files are full",
        18487 | 18488 => "the password has expired",
        own::LOCK_NOT_GRANTED => "the pipeline's lock was not granted in time",
        own::CHECKPOINT_MOVED => "the checkpoint moved",
        own::STAGE_COUNT => "not all staged rows arrived",
        own::LOAD_EMPTY => "the load has no row",
        _ if phase == Phase::Connect && number == 18401 => "the server is being upgraded",
        _ => return None,
    })
}

fn io(kind: ErrorKind, phase: Phase, doing: &str) -> Error {
    match (phase, kind) {
        (Phase::Connect, ErrorKind::PermissionDenied) => {
            Error::config(format!("{doing}: the operating system does not allow it"))
        }
        (Phase::Connect, ErrorKind::InvalidInput | ErrorKind::InvalidData) => Error::config(
            format!("{doing}: the TLS settings or the server's answer are not usable ({kind})"),
        ),
        _ => lost(phase, format!("{doing}: the connection broke ({kind})")),
    }
}

fn tls(text: &str, doing: &str) -> Error {
    // Without a server's certificate that can be verified nothing is sent; trying again is vain.
    Error::config(format!(
        "{doing}: TLS failed ({}); check tls, tls_ca and tls_host",
        text.chars().take(200).collect::<String>()
    ))
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
    use super::*;

    #[test]
    fn no_number_is_in_two_lists() {
        let mut all: Vec<u32> = [TRANSIENT, CAPACITY, DATA, SCHEMA, PERMISSION, CONFIG].concat();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn a_number_has_its_class() {
        for (number, class) in [
            (1205, Class::Transient),
            (1222, Class::Transient),
            (2627, Class::Data),
            (2628, Class::Data),
            (208, Class::Schema),
            (229, Class::Permission),
            (18456, Class::Permission),
            (9002, Class::Capacity),
            (911, Class::Config),
            (51001, Class::Fenced),
            (102, Class::Internal),
        ] {
            assert_eq!(class_of(number, 16), class, "{number}");
        }
        assert_eq!(class_of(99_999, 20), Class::Transient);
    }
}
