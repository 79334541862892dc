//! What each statement must say; the golden files have them word by word.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use etl_core::schema::{StreamSchema, meta};
use etl_core::{Definition, StreamConfig};
use serde_json::json;

use super::*;

type Statement = fn(&str) -> Result<String>;

const TAKES_THE_LOCK: &str = "sys.sp_getapplock @Resource = @resource, @LockMode = N'Exclusive'";

/// Each statement on the state tables, and the clauses without which it would not be safe.
const STATEMENTS: &[(Statement, &str, &[&str])] = &[
    (
        claim,
        "checkpoint",
        &[
            "SET XACT_ABORT ON",
            "[run_id] = @run_id OR [lease_until] < SYSUTCDATETIME() OR ([lease_until] IS NULL AND @waited = 0)",
            "[pipeline] = @pipeline AND",
            "OUTPUT inserted.[sequence]",
            "N'abandoned'",
        ],
    ),
    (look, "checkpoint", &["[remaining_ms]", "c.[pipeline] = @pipeline"]),
    (version, "schema_version", &["IF OBJECT_ID(", "MAX([version])"]),
    (ledger, "run", &["[runs_abandoned]", "[rows_quarantined]", "[pipeline] = @pipeline"]),
    (streams, "checkpoint", &["LEFT(c.[pipeline], LEN(@prefix)) = @prefix"]),
    (totals, "run", &["[rows_written]", "[run_id] = @P1"]),
    (renew, "checkpoint", &["UPDATE", "[pipeline] = @P1 AND [run_id] = @P2 AND [sequence] = @P3"]),
    (
        finish,
        "run",
        &[
            "SET XACT_ABORT ON",
            "[lease_until] = NULL WHERE [pipeline] = @pipeline AND [run_id] = @run_id",
            "IF @@ROWCOUNT = 0\nINSERT",
        ],
    ),
    (
        change,
        "checkpoint",
        &[
            "SET XACT_ABORT ON",
            TAKES_THE_LOCK,
            "[sequence] = [sequence] + 1, [run_id] = NULL, [lease_until] = NULL",
        ],
    ),
    (
        |schema| Ok(commit(schema, "")?.commit("")),
        "checkpoint",
        &[
            "SET XACT_ABORT ON",
            "BEGIN TRANSACTION;",
            TAKES_THE_LOCK,
            "[pipeline] = @pipeline AND [sequence] = @sequence AND [run_id] = @run_id",
            "IF @@ROWCOUNT <> 1 THROW 51001",
            "COMMIT TRANSACTION;",
        ],
    ),
];

#[test]
fn a_statement_is_about_its_table_and_says_what_makes_it_safe() {
    for (statement, table, clauses) in STATEMENTS {
        let text = statement("e]tl").unwrap();
        let table = format!("[e]]tl].[{table}]");
        for clause in [table.as_str()].iter().chain(*clauses) {
            assert!(text.contains(clause), "{clause} is not in {text}");
        }
        assert!(statement("").is_err(), "{text}");
    }
}

/// A target with a text of so many characters for its key.
fn target(mode: &str, chars: u32) -> Target {
    let config: StreamConfig = serde_json::from_value(json!({
        "object": "dbo.orders", "mode": mode, "primary_key": ["code"], "select": ["code"],
        "cursor": { "column": "updated_at" },
    }))
    .unwrap();
    let length = [(meta::MAX_UNITS.to_owned(), chars.to_string())].into();
    let schema = StreamSchema {
        name: "shop/orders".to_owned(),
        schema: Arc::new(Schema::new(vec![
            Field::new("code", DataType::Utf8, false).with_metadata(length),
            Field::new("note", DataType::Utf8, true),
        ])),
        key: vec!["code".to_owned()],
        definition: Definition::default(),
    };
    Target::planned(&config, &schema).unwrap()
}

#[test]
fn a_commit_counts_the_stage_before_it_begins_and_a_trial_keeps_nothing() {
    let statements = Statements::new("etl", &target("upsert", 40)).unwrap();
    let commit = statements.commit.commit("beside;");
    let at = |part: &str| commit.find(part).unwrap();
    let order = [
        "THROW 51003",
        "BEGIN TRANSACTION;",
        "@LockMode",
        "THROW 51001",
        "[dbo].[orders]",
        "[rows_read] = [rows_read] + @read",
        "beside;",
        "COMMIT TRANSACTION;",
    ];
    assert!(order.map(at).is_sorted(), "{commit}");
    let probe = statements.commit.probe();
    assert!(probe.contains("ROLLBACK TRANSACTION;") && !probe.contains("COMMIT"), "{probe}");
    assert!(!statements.commit_position.commit("").contains("#stage"));
    assert!(statements.truncate_stage.contains("TRUNCATE TABLE [#stage]"));
    let trial = trial(&target("upsert", 40)).unwrap();
    assert!(trial.contains("[dbo].[orders]") && trial.contains("ROLLBACK TRANSACTION;"), "{trial}");
    assert!(!trial.contains("COMMIT"), "{trial}");
}

/// <https://learn.microsoft.com/sql/sql-server/maximum-capacity-specifications-for-sql-server>: 900
/// bytes for a clustered key, 1,700 for another; a character of `nvarchar` takes two.
#[test]
fn a_stage_has_one_row_per_key_in_an_index_that_takes_it() {
    let stage = |mode, chars| create_stage(&target(mode, chars)).unwrap();
    assert!(stage("upsert", 450).contains("UNIQUE CLUSTERED ("));
    assert!(stage("upsert", 451).contains("UNIQUE NONCLUSTERED ("));
    assert!(!stage("append", 450).contains("UNIQUE"));
    let keyed = stage("upsert", 40);
    assert!(keyed.starts_with("CREATE TABLE [#stage] ("), "{keyed}");
    assert_eq!(keyed.matches(" COLLATE ").count(), 2, "{keyed}");
}
