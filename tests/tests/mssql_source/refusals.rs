//! What would lose or bend rows, and what is told.

use etl_core::Class;
use serde_json::{Value, json};

use super::support::{self, Trial, WIDE, build, stream, sweep, sweep_error};

struct Unfit {
    sql: &'static str,
    change: fn(&mut Value),
    class: Class,
    words: &'static [&'static str],
}

fn nothing(_: &mut Value) {}

const UNFIT: &[Unfit] = &[
    Unfit {
        sql: "DROP INDEX ix_rv ON dbo.orders; ALTER TABLE dbo.orders DROP CONSTRAINT pk;",
        change: nothing,
        class: Class::Config,
        words: &["unique", "(id)"],
    },
    Unfit {
        sql: "SELECT 1;",
        change: |config| config["primary_key"] = json!(["note"]),
        class: Class::Config,
        words: &["note", "may be NULL"],
    },
    Unfit {
        sql: "DROP TABLE dbo.orders; EXEC(N'CREATE VIEW dbo.orders AS SELECT 1 AS id, N''a'' AS note, 2 AS rv');",
        change: nothing,
        class: Class::Config,
        words: &["no table"],
    },
    Unfit {
        sql: "SELECT 1;",
        change: |config| config["cursor"]["column"] = json!("id"),
        class: Class::Config,
        words: &["bigint", "a cursor is a rowversion"],
    },
    Unfit {
        sql: "SELECT 1;",
        change: |config| {
            config["cursor"] = json!({
                "column": "rv", "set_by": "application", "safety": { "lookback": "1m" },
            });
        },
        class: Class::Config,
        words: &["rowversion", "take set_by, safety and utc_offset out"],
    },
    Unfit {
        sql: "SELECT 1;",
        change: |config| config["select"] = json!(["id", "rv", "amount"]),
        class: Class::Schema,
        words: &["no column amount", "it has id, note, rv"],
    },
    Unfit {
        sql: "DROP TABLE dbo.orders;",
        change: nothing,
        class: Class::Schema,
        words: &["no table [dbo].[orders]"],
    },
    Unfit {
        sql: "SELECT 1;",
        change: |config| config["where"] = json!("id = 'seven'"),
        class: Class::Config,
        words: &["where", "id", "seven"],
    },
    Unfit {
        sql: "ALTER TABLE dbo.orders ADD at datetime2(3) NOT NULL DEFAULT SYSUTCDATETIME();",
        change: |config| {
            config["select"] = json!(["id", "at"]);
            config["cursor"] = json!({ "column": "at" });
        },
        class: Class::Config,
        words: &["without an offset", "utc_offset"],
    },
    Unfit {
        sql: "ALTER TABLE dbo.orders ADD at datetime2(3) NOT NULL DEFAULT SYSUTCDATETIME();",
        change: |config| {
            config["select"] = json!(["id", "at"]);
            config["cursor"] = json!({ "column": "at", "utc_offset": "Z" });
        },
        class: Class::Config,
        words: &["no enabled trigger runs with every UPDATE", "rowversion"],
    },
    Unfit {
        sql: "ALTER TABLE dbo.orders ADD at datetime2(3) NULL;",
        change: |config| {
            config["select"] = json!(["id", "at"]);
            config["cursor"] = json!({
                "column": "at", "utc_offset": "Z", "set_by": "application",
                "safety": { "lookback": "1m" },
            });
        },
        class: Class::Config,
        words: &["at may be NULL", "cursor.nullable: true"],
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_would_lose_rows_is_refused_with_what_to_change() {
    for unfit in UNFIT {
        let Some(database) = support::database(|can| can.versions).await else { return };
        let columns = "id bigint NOT NULL CONSTRAINT pk PRIMARY KEY, note nvarchar(40) NULL";
        let trial = Trial::create(database, "dbo.orders", columns).await;
        let source = trial.source(unfit.change);
        trial.execute(unfit.sql).await;
        let error = sweep_error(&source, None).await;
        let text = error.to_string();
        assert_eq!(error.class(), unfit.class, "{}: {text}", unfit.sql);
        for word in unfit.words {
            assert!(text.contains(word), "{}: no {word} in {text}", unfit.sql);
        }
        let findings = source.check().await.unwrap();
        let bad: Vec<_> = findings.iter().filter(|finding| !finding.ok).collect();
        assert!(!bad.is_empty(), "{}: check found nothing", unfit.sql);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_without_a_right_is_told_which() {
    let Some(trial) = Trial::orders().await else { return };
    let password = "L0gin-Passw0rd!";
    let login = format!("{}_reader", trial.database.owner.database);
    trial
        .execute(&format!(
            "CREATE LOGIN [{login}] WITH PASSWORD = N'{password}'; \
             CREATE USER [{login}] FOR LOGIN [{login}]; \
             GRANT INSERT ON dbo.orders TO [{login}];"
        ))
        .await;
    let section = trial.database.section_as(&login, password);
    let source = build(&section, &stream("dbo.orders", nothing)).unwrap();
    let error = sweep_error(&source, None).await;
    assert_eq!(error.class(), Class::Permission, "{error}");
    assert!(error.to_string().contains("GRANT SELECT"), "{error}");
    assert!(source.check().await.unwrap().iter().any(|finding| finding.permission));
    trial.execute(&format!("GRANT SELECT ON dbo.orders TO [{login}];")).await;
    sweep(&source, None, WIDE).await.expect("a rowversion needs SELECT and nothing else");
    assert!(source.check().await.unwrap().iter().all(|finding| finding.ok));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_horizon_of_a_time_needs_the_right_to_see_transactions() {
    let Some(database) = support::database(|can| can.transactions).await else { return };
    let password = "L0gin-Passw0rd!";
    let login = format!("{}_blind", database.owner.database);
    database
        .run(&format!(
            "CREATE TABLE dbo.orders (id int NOT NULL PRIMARY KEY, \
             at datetime2(3) GENERATED ALWAYS AS ROW START NOT NULL, \
             till datetime2(3) GENERATED ALWAYS AS ROW END NOT NULL, \
             PERIOD FOR SYSTEM_TIME (at, till)); \
             CREATE LOGIN [{login}] WITH PASSWORD = N'{password}'; \
             CREATE USER [{login}] FOR LOGIN [{login}]; \
             GRANT SELECT ON dbo.orders TO [{login}];"
        ))
        .await;
    let period = stream("dbo.orders", |config| {
        config["select"] = json!(["id", "at"]);
        config["cursor"] = json!({ "column": "at", "unindexed": true });
    });
    let blind = build(&database.section_as(&login, password), &period).unwrap();
    let error = sweep_error(&blind, None).await;
    assert_eq!(error.class(), Class::Permission, "{error}");
    assert!(error.to_string().contains("VIEW SERVER STATE"), "{error}");
    let owner = build(&database.section(), &period).unwrap();
    sweep(&owner, None, WIDE).await.expect("the owner sees them");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_changes_between_two_looks_is_noticed() {
    let Some(trial) = Trial::orders().await else { return };
    let source = trial.source(nothing);
    source.schema().await.unwrap();
    trial.execute("ALTER TABLE dbo.orders ALTER COLUMN note nvarchar(2000) NULL;").await;
    let error = sweep_error(&source, None).await;
    assert_eq!(error.class(), Class::Schema);
    assert!(error.to_string().contains("it was nvarchar(1000)"), "{error}");
    let again = trial.source(nothing);
    sweep(&again, None, WIDE).await.unwrap();
    trial
        .execute(
            "DROP TABLE dbo.orders; CREATE TABLE dbo.orders (id bigint NOT NULL PRIMARY KEY, \
             note nvarchar(2000) NULL, rv rowversion NOT NULL);",
        )
        .await;
    let error = sweep_error(&again, None).await;
    assert!(error.to_string().contains("dropped and created anew"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_checked_without_a_connection() {
    let section = json!({ "type": "mssql", "url": "mssql://u:p@203.0.113.1/d" });
    let try_build = |name: &str, change: fn(&mut Value)| build(&section, &stream(name, change));
    assert!(try_build("dbo.orders", nothing).is_ok());
    for (name, change, word) in [
        ("a.b.c", nothing as fn(&mut Value), "schema.table"),
        ("dbo.orders", |config: &mut Value| config["where"] = json!("lower(note) = 'a'"), "where"),
        ("dbo.orders", |config: &mut Value| config["where"] = json!("Amount > 1"), "amount"),
        (
            "dbo.orders",
            |config: &mut Value| config["cursor"]["utc_offset"] = json!("Berlin"),
            "utc_offset",
        ),
        ("dbo.orders", |config: &mut Value| config["select"] = json!(["id", "note"]), "rv"),
        ("dbo.orders", |config: &mut Value| config["primary_key"] = json!(["key"]), "key"),
    ] {
        let error = try_build(name, change).map(drop).unwrap_err();
        assert_eq!(error.class(), Class::Config);
        assert!(error.to_string().contains(word), "no {word} in {error}");
    }
    let wrong = json!({ "type": "mssql", "url": "mssql://u:CANARY@h/d", "encrypt": "no" });
    let error = build(&wrong, &stream("dbo.orders", nothing)).map(drop).unwrap_err();
    assert!(error.to_string().contains("encrypt") && !format!("{error:?}").contains("CANARY"));
}
