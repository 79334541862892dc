//! State tables that an earlier version of the program made.

use etl_core::{Class, Phase};
use serde_json::json;

use crate::matrix::{TARGETS, prepared, run};
use crate::support::side::Side;

/// Takes back what came after the first version. Not every server keeps a name for a default.
async fn make_first(target: &Side) {
    let steps: &[&str] = match target {
        Side::Postgres(_) => &[
            "ALTER TABLE etl.checkpoint DROP COLUMN generation, DROP COLUMN phase",
            "DELETE FROM etl.schema_version WHERE version = 2",
        ],
        Side::Mssql(_) => &[
            "IF EXISTS (SELECT 1 FROM sys.default_constraints WHERE [name] = N'df_etl_checkpoint_generation')
             ALTER TABLE [etl].[checkpoint] DROP CONSTRAINT [df_etl_checkpoint_generation];",
            "IF EXISTS (SELECT 1 FROM sys.default_constraints WHERE [name] = N'df_etl_checkpoint_phase')
             ALTER TABLE [etl].[checkpoint] DROP CONSTRAINT [df_etl_checkpoint_phase];",
            "ALTER TABLE [etl].[checkpoint] DROP COLUMN [generation];",
            "ALTER TABLE [etl].[checkpoint] DROP COLUMN [phase];",
            "DELETE FROM [etl].[schema_version] WHERE [version] = 2;",
        ],
        // It noted no versions then.
        Side::Sqlite(_) => &[
            "ALTER TABLE etl_checkpoint DROP COLUMN generation",
            "ALTER TABLE etl_checkpoint DROP COLUMN phase",
            "DROP TABLE etl_schema_version",
            "DROP TABLE etl_quarantine",
        ],
    };
    make_second(target).await;
    for step in steps {
        target.execute(step).await;
    }
}

/// Takes back what came after the second version; in SQLite, the third.
async fn make_second(target: &Side) {
    let steps: &[&str] = match target {
        Side::Postgres(_) => &[
            "ALTER TABLE etl.quarantine DROP COLUMN generation",
            "DELETE FROM etl.schema_version WHERE version = 3",
        ],
        Side::Mssql(_) => &[
            "IF EXISTS (SELECT 1 FROM sys.default_constraints WHERE [name] = N'df_etl_quarantine_generation')
             ALTER TABLE [etl].[quarantine] DROP CONSTRAINT [df_etl_quarantine_generation];",
            "ALTER TABLE [etl].[quarantine] DROP COLUMN [generation];",
            "DELETE FROM [etl].[schema_version] WHERE [version] = 3;",
        ],
        Side::Sqlite(_) => &[
            "ALTER TABLE etl_quarantine DROP COLUMN generation",
            "DELETE FROM etl_schema_version WHERE version = 4",
        ],
    };
    for step in steps {
        target.execute(step).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn older_state_tables_are_told_and_brought_up_to_date() {
    for (to, first) in TARGETS.iter().flat_map(|to| [(to, true), (to, false)]) {
        let (source, target, stream) = prepared("sqlite", to, json!({})).await;
        run(&source, &target, &stream).await;
        let before = target.admin(&stream).checkpoint().await.unwrap().unwrap();
        if first {
            make_first(&target).await;
        } else {
            make_second(&target).await;
        }
        let schema = source.schema(&stream).await;
        let refused = [
            target.sink(&stream).open(&schema).await.unwrap_err(),
            target.admin(&stream).checkpoint().await.unwrap_err(),
        ];
        let tool = if *to == "mssql" { "run mssql-init" } else { "run `etl-job prepare`" };
        for error in refused {
            assert_eq!(error.class(), Class::Config, "{to}: {error}");
            assert!(error.to_string().contains(tool), "{to}: {error}");
        }
        // What serves metrics does not need what is new.
        let ledger = target.admin(&stream).ledger().await.unwrap().unwrap();
        assert_eq!(ledger.runs.success, 1, "{to}");

        target.admin(&stream).prepare(&schema).await.unwrap();
        let after = target.admin(&stream).checkpoint().await.unwrap().unwrap();
        assert_eq!((after.sequence, &after.position), (before.sequence, &before.position), "{to}");
        assert_eq!((after.generation, after.phase), (0, Phase::Idle), "{to}");
        let next = run(&source, &target, &stream).await;
        assert_eq!((next.written, next.deleted), (0, 0), "{to}");
    }
}
