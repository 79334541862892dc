//! SQL Server's error numbers as data: Microsoft's own lists of what is transient, and ours.

use etl_core::Class::{self, Capacity, Config, Data, Fenced, Permission, Schema, Transient};

use super::own;

/// What EF Core tries again: `SqlServerTransientExceptionDetector` of dotnet/efcore, commit
/// ecd0ba4. It leaves -2, the client's time-out, out on purpose: what timed out may have happened.
/// Ours is then [`Class::Unknown`]. Of 203 it wants to know that Windows said it, which no number
/// tells.
pub const EF_CORE: [u32; 176] = [
    20, 64, 121, 203, 233, 539, 601, 615, 617, 669, 921, 926, 927, 941, 952, 982, 988, 997, 1203,
    1204, 1205, 1215, 1216, 1221, 1222, 1232, 1404, 1413, 1421, 1438, 1532, 1533, 1534, 1535, 1807,
    2021, 2816, 3429, 3635, 3935, 3941, 3947, 3948, 3950, 3953, 3957, 3960, 3966, 3980, 4060, 4117,
    4184, 4221, 5280, 5529, 6292, 7951, 8628, 8645, 8651, 9020, 9515, 9985, 10053, 10054, 10060,
    10922, 10928, 10929, 10930, 10936, 11001, 11539, 14355, 14817, 14868, 14906, 16528, 16554,
    16555, 17065, 17066, 17067, 17197, 17889, 18401, 18858, 19413, 19416, 19494, 20041, 21503,
    22225, 22226, 22335, 22353, 22355, 22358, 22427, 22430, 22491, 22493, 22498, 22754, 22758,
    22759, 22760, 22984, 25003, 25738, 25740, 30080, 30085, 33123, 35216, 35218, 35256, 35293,
    37202, 37327, 39025, 39108, 39110, 39151, 39152, 40106, 40143, 40189, 40197, 40501, 40540,
    40613, 40623, 40642, 40648, 40671, 40675, 40890, 40903, 40918, 40938, 41301, 41302, 41305,
    41325, 41339, 41383, 41614, 41619, 41640, 41700, 41701, 41823, 41839, 41840, 42029, 42108,
    42109, 45153, 45156, 45157, 45161, 45179, 45182, 45319, 45547, 47132, 47137, 47139, 49510,
    49802, 49918, 49919, 49920, 49977, 49983,
];

/// What Microsoft.Data.SqlClient tries again by default: `SqlConfigurableRetryFactory` of
/// dotnet/SqlClient, commit c16adb7.
pub const SQL_CLIENT_COMMAND: [u32; 20] = [
    233, 997, 1204, 1205, 1222, 4060, 4221, 10060, 10928, 10929, 40143, 40197, 40501, 40540, 40613,
    42108, 42109, 49918, 49919, 49920,
];

/// What it tries again when it opens a connection: `SqlConnectionInternal`, the same commit, with
/// those of the .NET Framework.
pub const SQL_CLIENT_OPEN: [u32; 12] =
    [4060, 10928, 10929, 40020, 40143, 40166, 40197, 40501, 40540, 40613, 42108, 42109];

/// What we know ourselves: the class, and a few words for a person. A number of Microsoft's lists
/// stands here only for its words.
pub const KNOWN: &[(u32, Class, &str)] = &[
    // Locks and versions: the transaction was rolled back.
    (1205, Transient, "deadlock victim"),
    (1222, Transient, "a lock was not granted in time"),
    (3961, Transient, "the table was altered while it was read"),
    (266, Transient, "the server ended the transaction"),
    (3902, Transient, "the server ended the transaction"),
    (3903, Transient, "the server ended the transaction"),
    // The database or the server is not there for the moment.
    (
        4060,
        Transient,
        "the database does not exist, is not up, or the login has no user in it: run mssql-init",
    ),
    (596, Transient, "the session was ended by KILL"),
    (922, Transient, "the database is being recovered"),
    (976, Transient, "this replica does not serve the database"),
    (978, Transient, "this replica takes read-only connections alone"),
    (983, Transient, "this replica is neither primary nor secondary now"),
    (1219, Transient, "a schema change of higher priority ended the session"),
    (3906, Transient, "the database is read-only: after a failover this is no longer the primary"),
    (6005, Transient, "the server is shutting down"),
    (17142, Transient, "the server is paused"),
    (18401, Transient, "the server is being upgraded"),
    (own::LOCK_NOT_GRANTED, Transient, "the pipeline's lock was not granted in time"),
    (own::STAGE_COUNT, Transient, "not all staged rows arrived"),
    // Something is used up, or a session was ended for using too much.
    (701, Capacity, "memory is short"),
    (802, Capacity, "the buffer pool is short of memory"),
    (1101, Capacity, "the data files are full"),
    (1105, Capacity, "the data files are full"),
    (3958, Capacity, "the version store in tempdb is full"),
    (3967, Capacity, "the version store in tempdb is full"),
    (9002, Capacity, "the transaction log is full"),
    (40544, Capacity, "the database has reached its size limit"),
    (40549, Capacity, "the server ended a transaction that took too long"),
    (40550, Capacity, "the server ended a session that held too many locks"),
    (40551, Capacity, "the server ended a session that used too much of tempdb"),
    (40552, Capacity, "the server ended a transaction that used too much log"),
    (40553, Capacity, "the server ended a session that used too much memory"),
    // One row cannot be stored.
    (220, Data, "a number does not fit its column"),
    (232, Data, "a number does not fit its column"),
    (241, Data, "a text is no date"),
    (242, Data, "a date does not fit its column"),
    (245, Data, "a text is no number"),
    (295, Data, "a text is no smalldatetime"),
    (296, Data, "a date does not fit smalldatetime"),
    (511, Data, "a row is longer than a page"),
    (512, Data, "a subquery, of a trigger perhaps, gave more than one value"),
    (515, Data, "a column that must not be NULL would be"),
    (517, Data, "a date overflows"),
    (518, Data, "a value cannot be converted"),
    (547, Data, "a constraint of the target refuses a row"),
    (1007, Data, "a number is out of range"),
    (1946, Data, "a key is longer than an index takes"),
    (2601, Data, "two rows for one key or unique index"),
    (2627, Data, "two rows for one key or unique index"),
    (2628, Data, "a text is longer than its column"),
    (3609, Data, "a trigger of the target rolled the transaction back"),
    (4815, Data, "a value is longer than its column"),
    (4863, Data, "a text is longer than its column"),
    (8023, Data, "a value is none of its type"),
    (8114, Data, "a value cannot be converted"),
    (8115, Data, "a number does not fit its column"),
    (8134, Data, "a division by zero, in a trigger or a computed column"),
    (8152, Data, "a text is longer than its column"),
    (8169, Data, "a text is no uniqueidentifier"),
    (9803, Data, "a value is none of its type"),
    (own::LOAD_EMPTY, Data, "the load has no row"),
    (50_000, Data, "a trigger of the target refuses a row"),
    // Names and shapes do not fit.
    (206, Schema, "two types do not go together"),
    (207, Schema, "a column is missing"),
    (208, Schema, "an object is missing: run mssql-init"),
    (213, Schema, "columns are missing or too many"),
    (257, Schema, "two types need an explicit conversion"),
    (260, Schema, "two types need an explicit conversion"),
    (271, Schema, "a computed column cannot be written"),
    (272, Schema, "a rowversion column cannot be written"),
    (273, Schema, "a rowversion column cannot be written"),
    (468, Schema, "two collations meet in a comparison"),
    (529, Schema, "two types cannot be converted"),
    (544, Schema, "an identity column cannot be written"),
    (2812, Schema, "a procedure is missing"),
    (4701, Schema, "a table is missing"),
    (4816, Schema, "a column of the bulk load has another type"),
    (4864, Schema, "a column of the bulk load has another type"),
    (4902, Schema, "a table is missing"),
    (4922, Schema, "something depends on the column"),
    (8101, Schema, "an identity column cannot be written"),
    (8102, Schema, "an identity column cannot be written"),
    (own::TARGET_ALTERED, Schema, "the target was altered while it was written to"),
    // Credentials or rights.
    (229, Permission, MISSING_RIGHT),
    (230, Permission, MISSING_RIGHT),
    (262, Permission, "the login may not create this: use an owner's login"),
    (297, Permission, MISSING_RIGHT),
    (300, Permission, MISSING_RIGHT),
    (916, Permission, "the login has no user in the database: run mssql-init"),
    (1088, Permission, "the object is missing, or a right to it is"),
    (4064, Permission, "the login's default database cannot be opened"),
    (6102, Permission, MISSING_RIGHT),
    (15118, Permission, "the password does not meet the server's policy"),
    (15151, Permission, "the principal is missing, or a right to it is"),
    (15247, Permission, MISSING_RIGHT),
    (18452, Permission, "the login comes from an untrusted domain"),
    (
        18456,
        Permission,
        "the login or its password is wrong: check the url's secret, or rotate it with mssql-init",
    ),
    (18461, Permission, "the server is in single-user mode"),
    (18470, Permission, "the login is disabled"),
    (18486, Permission, "the login is locked"),
    (18487, Permission, "the password has expired"),
    (18488, Permission, "the password must be changed"),
    (33009, Permission, "the database's owner is not known to this server"),
    // A setting.
    (911, Config, "the database does not exist: run mssql-init"),
    (2702, Config, "the database does not exist: run mssql-init"),
    (3952, Config, "the database does not allow SNAPSHOT any more: run again"),
    (15007, Config, "the login does not exist"),
    (15116, Config, "the password does not meet the server's policy"),
    (15117, Config, "the password does not meet the server's policy"),
    (
        own::MIGRATION_CHANGED,
        Config,
        "the state tables were made by another version of this program, with another text",
    ),
    (own::CHECKPOINT_MOVED, Fenced, "the checkpoint moved"),
];

const MISSING_RIGHT: &str = "a right is missing: run mssql-init, or see what `etl-job check` lists";

/// A severity from here on means that the server ends the connection.
const FATAL: u8 = 20;
/// "Caused SQL Server to run out of resources" or to exceed a limit that an administrator set.
const OUT_OF_RESOURCES: u8 = 17;

/// The class of a server's error by its number, and by its severity if nobody knows the number.
///
/// | number | class |
/// |---|---|
/// | of [`KNOWN`] | as there |
/// | of Microsoft's lists | `Transient` |
/// | another, severity 20 and more | `Transient`: the server ends the connection, a new one may do |
/// | another, severity 17 | `Capacity` |
/// | another | `Internal` |
#[must_use]
pub fn class_of(number: u32, severity: u8) -> Class {
    if let Some((_, class, _)) = known(number) {
        return *class;
    }
    let lists: [&[u32]; 3] = [&EF_CORE, &SQL_CLIENT_COMMAND, &SQL_CLIENT_OPEN];
    match severity {
        _ if lists.iter().any(|list| list.contains(&number)) => Transient,
        FATAL.. => Transient,
        OUT_OF_RESOURCES => Capacity,
        _ => Class::Internal,
    }
}

/// Whether the server ends the connection with an error of this severity.
pub(super) fn is_fatal(severity: u8) -> bool {
    severity >= FATAL
}

/// A few words for a number that people meet.
pub(super) fn meaning(number: u32) -> Option<&'static str> {
    known(number).map(|(_, _, meaning)| *meaning)
}

fn known(number: u32) -> Option<&'static (u32, Class, &'static str)> {
    KNOWN.iter().find(|(known, ..)| *known == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stands_once_and_microsofts_are_transient() {
        let mut all: Vec<u32> = KNOWN.iter().map(|(number, ..)| *number).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        for number in EF_CORE.iter().chain(&SQL_CLIENT_COMMAND).chain(&SQL_CLIENT_OPEN) {
            assert_eq!(class_of(*number, 16), Transient, "{number}");
        }
    }

    #[test]
    fn severity_decides_where_nobody_knows_the_number() {
        for (severity, class) in
            [(11, Class::Internal), (16, Class::Internal), (17, Capacity), (20, Transient)]
        {
            assert_eq!(class_of(99_999, severity), class, "{severity}");
        }
        assert_eq!(class_of(18_456, 20), Permission, "a known number says more than a severity");
    }

    #[test]
    fn a_number_that_people_meet_says_what_to_do_and_severity_20_ends_a_connection() {
        assert!(meaning(18_456).unwrap().contains("mssql-init"));
        assert_eq!(meaning(own::CHECKPOINT_MOVED), Some("the checkpoint moved"));
        assert_eq!(meaning(99_999), None);
        assert_eq!([19, 20, 21].map(is_fatal), [false, true, true]);
    }
}
