//! What only a real SQL Server can prove, so that no run of the tests keeps it quiet.

/// A claim of ours and why neither the double nor another T-SQL server settles it.
pub const CLAIMS: &[(&str, &str)] = &[
    (
        "INSERT BULK is taken for every column type",
        "the announced types are the driver's; error 4816 is the server's own check",
    ),
    (
        "a stage of 50,000 rows is joined by an index, not by a loop",
        "plans and statistics of #tables",
    ),
    ("a batch of 4,000 rows does not escalate to a table lock", "lock escalation"),
    ("two runs and foreign writers do not deadlock", "lock order and key-range locks"),
    (
        "a commit under READ_COMMITTED_SNAPSHOT waits for the pipeline lock before it looks",
        "row versioning",
    ),
    ("a session that was killed rolls back before the next one claims", "KILL and recovery"),
    (
        "key collation Latin1_General_100_BIN2 in databases of other collations",
        "collation rules of a real server",
    ),
    (
        "an over-long text that the pre-check missed is error 2628 and rolls back",
        "the server's own check",
    ),
    ("the job's login can do nothing beyond its grants", "the whole permission hierarchy"),
    ("the password policy and its history accept a rotation", "Windows and Linux policies"),
    ("a failover or a shutdown in the middle of a commit is resolved", "availability groups"),
    (
        "a rowversion counts as active until what it stands for can be seen",
        "the moment of a commit at which MIN_ACTIVE_ROWVERSION() goes on",
    ),
    (
        "a transaction is listed with a beginning that is not after the times that it writes",
        "sys.dm_tran_active_transactions",
    ),
    ("a sweep under SNAPSHOT does not wait, and reads by the cursor's index", "plans and versions"),
    ("TLS with the server's own certificate chain", "the server's TLS stack"),
];

/// Whether a server is Microsoft's, by what it says of itself.
#[must_use]
pub fn is_microsoft(version: &str) -> bool {
    version.starts_with("Microsoft SQL Server") || version.starts_with("Microsoft SQL Azure")
}
