//! Preparing, rights, what `check` says, the ledger, and the settings of a transaction.

use etl_core::connector::Stream;
use etl_core::sink::SinkAdmin;
use etl_tests::postgres::Database;
use serde_json::json;
use sqlx::Executor;

use super::shop::Shop;

/// A shop whose job has a login of its own, to which `prepare` granted its rights.
async fn shop_with_a_job_login() -> (Shop, String) {
    let mut shop = Shop::open(3000, "upsert").await;
    let role = shop.target.role("Job-pass-1").await;
    shop.file["target"]["grant_to"] = json!(role);
    shop.write();
    shop.target
        .execute(
            "REVOKE TEMPORARY ON DATABASE current FROM PUBLIC"
                .replace("current", &shop.target.name)
                .as_str(),
        )
        .await;
    shop.url = shop.target.url_as(&format!("{role}:Job-pass-1"));
    (shop, role)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_jobs_role_can_do_nothing_but_its_job() {
    let (mut shop, role) = shop_with_a_job_login().await;
    let job = shop.url.clone();
    // Before it was granted anything: each right that is missing is told, and the exit code says rights.
    let said = shop.job("check", &[]).expect(77);
    for right in ["TEMPORARY on the database", "SELECT on etl.checkpoint", "DELETE on dw.orders"] {
        assert!(format!("{said:?}").contains(right), "{right}: {said:?}");
    }
    let said = shop.job("run", &["--json"]).expect(77);
    assert!(!said.stderr.contains("Job-pass-1"), "{said:?}");
    // A role that owns nothing cannot prepare.
    shop.job("prepare", &[]).expect(77);

    shop.url = shop.target.url();
    let plan = shop.job("prepare", &["--plan"]).expect(0).stdout;
    assert!(
        plan.contains(&format!(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON \"dw\".\"orders\" TO \"{role}\""
        )),
        "{plan}"
    );
    shop.job("prepare", &[]).expect(0);
    shop.url = job;
    shop.job("check", &[]).expect(0);
    shop.run();
    shop.assert_equal().await;

    shop.target.execute("CREATE TABLE public.secret (a int)").await;
    let options: sqlx::postgres::PgConnectOptions = shop.url.parse().unwrap();
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    for forbidden in [
        "TRUNCATE dw.orders",
        "DROP TABLE dw.orders",
        "ALTER TABLE dw.orders ADD x int",
        "CREATE TABLE dw.x (a int)",
        "DELETE FROM etl.checkpoint",
        "INSERT INTO etl.checkpoint VALUES ('x', NULL, NULL, 1, NULL, NULL, 0, now())",
        "DELETE FROM etl.run",
        "UPDATE etl.schema_version SET version = 2",
        "CREATE SCHEMA x",
        "CREATE VIEW dw.x AS SELECT 1",
        "CREATE INDEX x ON dw.orders (note)",
        "CREATE FUNCTION dw.x() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE ROLE x",
        "CREATE DATABASE x",
        "ALTER ROLE postgres PASSWORD 'x'",
        "ALTER SYSTEM SET work_mem = '1MB'",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "SELECT a FROM public.secret",
        "COPY public.secret TO '/tmp/x'",
        "COPY dw.orders TO PROGRAM 'id'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT rolpassword FROM pg_authid",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'",
        "DROP SCHEMA etl CASCADE",
    ] {
        let error = connection.execute(forbidden).await.expect_err(forbidden);
        let code = error.as_database_error().and_then(|error| error.code().map(String::from));
        assert_eq!(code.as_deref(), Some("42501"), "{forbidden}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_plan_is_a_script_that_can_be_run_twice() {
    let shop = Shop::open(10, "upsert").await;
    let plan = shop.job("prepare", &["--plan"]).expect(0).stdout;
    let other = Database::new().await;
    other.execute(&plan).await;
    other.execute(&plan).await;
    let versions: i64 = sqlx::query_scalar("SELECT count(*) FROM etl.schema_version")
        .fetch_one(&mut other.connect().await)
        .await
        .unwrap();
    assert_eq!(versions, 3);
    other.execute("UPDATE etl.schema_version SET checksum = 'x'").await;
    let mut connection = other.connect().await;
    let error = connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(plan))).await.unwrap_err();
    assert!(error.to_string().contains("another text"), "{error}");
    shop.target.execute("UPDATE etl.schema_version SET checksum = 'x'").await;
    let said = shop.job("prepare", &[]).expect(64);
    assert!(said.stderr.contains("another version of this program"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_says_what_runs_did_by_the_targets_clock() {
    let shop = Shop::open(3000, "upsert").await;
    let stream = Stream {
        pipeline: "orders".to_owned(),
        name: "public.orders".to_owned(),
        config: serde_json::from_value(shop.file["streams"]["public.orders"].clone()).unwrap(),
    };
    let admin = |database: &Database| -> Box<dyn SinkAdmin> {
        (etl_sinks::find("postgres").unwrap().admin)(&database.section(), &stream).unwrap()
    };
    assert!(admin(&Database::new().await).ledger().await.unwrap().is_none());
    let before = admin(&shop.target).ledger().await.unwrap().unwrap();
    assert_eq!((before.last_success_micros, before.lease_held), (None, false));
    assert_eq!(before.runs, etl_core::RunCounts::default());

    let read = shop.run()["read"].as_u64().unwrap();
    shop.target
        .execute(
            "INSERT INTO etl.run SELECT gen_random_uuid(), pipeline, clock_timestamp() + n * interval '1 s',
                clock_timestamp() + n * interval '2 s', o, 1, 1, 0, 1, 1, 1, 1, NULL, NULL, NULL
               FROM etl.checkpoint, (VALUES (1, 'failed'), (2, 'skipped'), (3, 'abandoned')) AS v (n, o);
             UPDATE etl.checkpoint SET lease_until = clock_timestamp() + interval '1 minute'",
        )
        .await;
    let mut admin = admin(&shop.target);
    let after = admin.ledger().await.unwrap().unwrap();
    let success = after.last_success_micros.unwrap();
    assert!(before.now_micros < success && success < after.now_micros, "{after:?}");
    assert!(after.source_horizon_micros.unwrap() < success, "{after:?}");
    assert!(after.checkpoint_micros <= success && after.lease_held, "{after:?}");
    assert_eq!(
        (after.runs.success, after.runs.failed, after.runs.skipped, after.runs.abandoned),
        (1, 1, 1, 1)
    );
    assert_eq!(after.failures_since_success, 2);
    let rows = after.rows;
    assert_eq!((rows.read, rows.written, rows.quarantined), (read + 3, 1003, 3));
    assert!(after.last_run_micros.unwrap() > after.now_micros, "the abandoned run began last");
    assert!(after.last_run_duration.unwrap() > std::time::Duration::from_millis(900), "{after:?}");
    assert_eq!(admin.ledger().await.unwrap().unwrap().runs, after.runs);
}

/// The server of the tests has `synchronous_commit = off`.
#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_of_the_target_runs_as_for_anybody_and_the_commit_is_waited_for() {
    let shop = Shop::open(30, "upsert").await;
    shop.target
        .execute(&format!(
            "CREATE SCHEMA audit; CREATE TABLE audit.seen (commits text, path text, idle text);
             ALTER DATABASE {} SET search_path = audit, public;
             CREATE FUNCTION dw.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               INSERT INTO seen VALUES (current_setting('synchronous_commit'), current_setting('search_path'),
                 current_setting('idle_in_transaction_session_timeout')); RETURN NULL; END $$;
             CREATE TRIGGER note AFTER INSERT ON dw.orders FOR EACH STATEMENT EXECUTE FUNCTION dw.note()",
            shop.target.name
        ))
        .await;
    shop.run();
    let seen: Vec<(String, String, String)> = sqlx::query_as("SELECT DISTINCT * FROM audit.seen")
        .fetch_all(&mut shop.target.connect().await)
        .await
        .unwrap();
    let wanted = ("on".to_owned(), "pg_catalog, audit, public".to_owned(), "20s".to_owned());
    assert_eq!(seen, [wanted]);
    shop.assert_equal().await;
}
