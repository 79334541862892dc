//! What a cursor of transaction numbers asks of its table, and what a person is told.

use etl_core::{Class, Error};
use etl_tests::postgres::Database;
use serde_json::{Value, json};

use super::support::{Trial, WIDE, build, numbered, stream, sweep, sweep_error};

/// What makes a table unfit, and words of what is said about it.
const UNFIT: &[(&str, &[&str])] = &[
    (
        "DROP TRIGGER number ON orders; ALTER TABLE orders DROP COLUMN src_xid",
        &["has no column src_xid", "ADD COLUMN IF NOT EXISTS \"src_xid\" xid8"],
    ),
    (
        "ALTER TABLE orders ALTER src_xid DROP DEFAULT",
        &["default of column src_xid is missing", "SET DEFAULT pg_current_xact_id()"],
    ),
    (
        "ALTER TABLE orders ALTER src_xid SET DEFAULT '1'::xid8",
        &["default of column src_xid is not pg_current_xact_id()"],
    ),
    ("ALTER TABLE orders ALTER src_xid DROP NOT NULL", &["src_xid may be NULL", "SET NOT NULL"]),
    (
        "DROP TRIGGER number ON orders",
        &["orders has no trigger", "every INSERT and UPDATE", "CREATE TRIGGER", "--full-refresh"],
    ),
    ("ALTER TABLE orders DISABLE TRIGGER number", &["number is disabled"]),
    ("ALTER TABLE orders ENABLE REPLICA TRIGGER number", &["number is disabled"]),
    (
        "DROP TRIGGER number ON orders; CREATE TRIGGER number BEFORE UPDATE ON orders \
         FOR EACH ROW EXECUTE FUNCTION number()",
        &["before every INSERT of each row"],
    ),
    (
        "DROP TRIGGER number ON orders; CREATE TRIGGER number BEFORE INSERT ON orders \
         FOR EACH ROW EXECUTE FUNCTION number()",
        &["before every UPDATE of each row"],
    ),
    (
        "DROP TRIGGER number ON orders; CREATE TRIGGER number AFTER INSERT OR UPDATE ON orders \
         FOR EACH ROW EXECUTE FUNCTION number()",
        &["number runs after the row is written"],
    ),
    (
        "DROP TRIGGER number ON orders; CREATE TRIGGER number BEFORE INSERT OR UPDATE ON orders \
         FOR EACH STATEMENT EXECUTE FUNCTION number()",
        &["number runs once per statement"],
    ),
    (
        "DROP TRIGGER number ON orders; CREATE TRIGGER number BEFORE INSERT OR UPDATE OF note \
         ON orders FOR EACH ROW EXECUTE FUNCTION number()",
        &["number runs for some columns only (UPDATE OF)"],
    ),
    (
        "DROP TRIGGER number ON orders; CREATE TRIGGER number BEFORE INSERT OR UPDATE ON orders \
         FOR EACH ROW WHEN (NEW.note IS NOT NULL) EXECUTE FUNCTION number()",
        &["number runs under a condition only (WHEN)"],
    ),
    (
        "CREATE OR REPLACE FUNCTION number() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN /* NEW.src_xid := pg_current_xact_id() */ RETURN NEW; END $$",
        &["has no trigger that sets the column"],
    ),
    (
        "CREATE OR REPLACE FUNCTION number() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN -- NEW.src_xid := pg_current_xact_id()\n RETURN NEW; END $$",
        &["has no trigger that sets the column"],
    ),
    (
        "CREATE OR REPLACE FUNCTION number() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN NEW.src_xid := pg_current_xact_id_if_assigned(); RETURN NEW; END $$",
        &["has no trigger that sets the column"],
    ),
];

async fn trial() -> Trial {
    Trial::numbered(Database::new().await).await
}

/// The statements that a refusal prints.
fn advice(error: &Error) -> String {
    let text = error.to_string();
    let (_, rest) = text.split_once(" owner: ").unwrap_or_else(|| panic!("no advice in {text}"));
    let (statements, _) = rest.rsplit_once(';').unwrap_or_else(|| panic!("no end in {text}"));
    statements.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_whose_rows_would_not_be_numbered_is_refused_and_the_advice_mends_it() {
    for (sql, words) in UNFIT {
        let trial = trial().await;
        let source = trial.by_number(|_| ());
        trial.execute(&format!("INSERT INTO orders VALUES (1, 'a'); {sql}")).await;
        let error = sweep_error(&source, None).await;
        let text = error.to_string();
        for word in *words {
            assert!(text.contains(word), "{sql}: no {word} in {text}");
        }
        assert!([Class::Config, Class::Schema].contains(&error.class()), "{text}");
        let findings = source.check().await.unwrap();
        assert!(findings.iter().any(|finding| !finding.ok), "{sql}: {findings:?}");
        if sql.ends_with("DROP NOT NULL") {
            continue;
        }
        // Whatever was wrong, the statements that it prints are enough; twice does no harm.
        for _ in 0..2 {
            trial.execute(&advice(&error)).await;
        }
        let source = trial.by_number(|_| ());
        assert_eq!(sweep(&source, None, WIDE).await.unwrap()[0].progress.read, 1, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_type_is_refused_and_a_name_that_needs_quotes_is_quoted() {
    let trial = trial().await;
    trial.execute("ALTER TABLE orders RENAME TO \"Or\"\"ders\"; ALTER TABLE \"Or\"\"ders\" ADD \"Nr\" bigint NOT NULL DEFAULT 1").await;
    let bigint = |config: &mut Value| {
        config["select"] = json!(["id", "note", "Nr"]);
        config["cursor"] = json!({ "column": "Nr", "safety": "xid8" });
    };
    let section = trial.database.section();
    let source = build(&section, &stream("public.Or\"ders", bigint)).unwrap();
    let error = sweep_error(&source, None).await;
    assert_eq!(error.class(), Class::Config);
    assert!(error.to_string().contains("Nr is bigint, and only an xid8"), "{error}");
    trial.execute("ALTER TABLE \"Or\"\"ders\" DROP COLUMN \"Nr\"").await;
    let error = sweep_error(&source, None).await;
    trial.execute(&advice(&error)).await;
    sweep(&source, None, WIDE).await.unwrap();

    let by_time = build(
        &section,
        &stream("public.Or\"ders", |config| {
            bigint(config);
            config["cursor"] =
                json!({ "column": "Nr", "set_by": "application", "safety": { "lookback": "1m" } });
        }),
    );
    let error = sweep_error(&by_time.unwrap(), None).await;
    assert!(error.to_string().contains("use cursor.safety: xid8"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_is_named_in_the_triggers_arguments_is_taken() {
    let trial = trial().await;
    trial
        .execute(
            "DROP TRIGGER number ON orders; CREATE FUNCTION any_table() RETURNS trigger \
             LANGUAGE plpgsql AS $$ BEGIN RETURN jsonb_populate_record(NEW, \
             jsonb_build_object(TG_ARGV[0], pg_catalog.pg_current_xact_id()::text)); END $$; \
             CREATE TRIGGER number BEFORE INSERT OR UPDATE ON orders \
             FOR EACH ROW EXECUTE FUNCTION any_table('src_xid'); \
             INSERT INTO orders VALUES (1, 'a', '3'); UPDATE orders SET note = 'b'",
        )
        .await;
    let source = trial.by_number(|_| ());
    let batches = sweep(&source, None, WIDE).await.unwrap();
    assert_eq!(batches[0].progress.read, 1);
    trial
        .execute(
            "DROP TRIGGER number ON orders; CREATE TRIGGER number BEFORE INSERT OR UPDATE \
             ON orders FOR EACH ROW EXECUTE FUNCTION any_table('other')",
        )
        .await;
    assert_eq!(sweep_error(&source, None).await.class(), Class::Config);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_partition_needs_the_trigger() {
    let trial = trial().await;
    trial
        .execute(
            "DROP TABLE orders; CREATE TABLE orders (id bigint PRIMARY KEY, note text, \
             src_xid xid8 NOT NULL DEFAULT pg_current_xact_id()) PARTITION BY RANGE (id); \
             CREATE TABLE low PARTITION OF orders FOR VALUES FROM (0) TO (50); \
             CREATE TRIGGER number BEFORE INSERT OR UPDATE ON orders \
             FOR EACH ROW EXECUTE FUNCTION number(); CREATE INDEX ON orders (src_xid, id); \
             CREATE TABLE high PARTITION OF orders FOR VALUES FROM (50) TO (1000); \
             INSERT INTO orders SELECT n, 'a' FROM generate_series(1, 100) n",
        )
        .await;
    let source = trial.by_number(|_| ());
    assert!(source.check().await.unwrap().iter().all(|finding| finding.ok));
    assert_eq!(sweep(&source, None, WIDE).await.unwrap()[0].progress.read, 100);
    trial.execute("ALTER TABLE high DISABLE TRIGGER number").await;
    let error = sweep_error(&source, None).await;
    assert!(error.to_string().contains("high has no trigger"), "{error}");
    trial.execute("ALTER TABLE high ENABLE ALWAYS TRIGGER number").await;
    sweep(&source, None, WIDE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_subscription_need_a_trigger_that_always_runs() {
    let trial = trial().await;
    // No server is asked: it is only in the catalog.
    trial
        .execute(
            "CREATE SUBSCRIPTION s CONNECTION 'dbname=x' PUBLICATION p \
             WITH (connect = false, slot_name = NONE)",
        )
        .await;
    trial
        .execute(
            "INSERT INTO pg_subscription_rel (srsubid, srrelid, srsubstate) \
             SELECT s.oid, 'orders'::regclass, 'r' FROM pg_subscription s WHERE subname = 's' \
             AND subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
        .await;
    let source = trial.by_number(|_| ());
    let error = sweep_error(&source, None).await;
    assert!(error.to_string().contains("logical subscription (ENABLE ALWAYS)"), "{error}");
    trial.execute("ALTER TABLE orders ENABLE ALWAYS TRIGGER number").await;
    sweep(&source, None, WIDE).await.unwrap();
    trial.execute("DROP SUBSCRIPTION s").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_contradicts_transaction_numbers_is_refused_without_a_connection() {
    let section = json!({ "type": "postgres", "url": "postgres://u@203.0.113.1/d" });
    for (key, value, word) in [
        ("set_by", json!("application"), "safety xid8 needs a cursor that the database sets"),
        ("utc_offset", json!("+02:00"), "no time; take utc_offset out"),
    ] {
        let stream = stream("public.orders", |config| {
            numbered(config);
            config["cursor"][key] = value;
        });
        let error = build(&section, &stream).map(drop).unwrap_err();
        assert_eq!(error.class(), Class::Config);
        assert!(error.to_string().contains(word), "{error}");
    }
    let stream = stream("public.orders", numbered);
    for (kind, section, database) in [
        ("mssql", json!({ "type": "mssql", "url": "mssql://u:p@203.0.113.1/d" }), "SQL Server"),
        ("sqlite", json!({ "type": "sqlite", "path": "/nowhere" }), "SQLite"),
    ] {
        let mut stream = stream.clone();
        stream.name = if kind == "sqlite" { "orders" } else { "dbo.orders" }.to_owned();
        let error =
            (etl_sources::find(kind).unwrap().build)(&section, &stream).map(drop).unwrap_err();
        assert_eq!(error.class(), Class::Config);
        let told = format!("{database} has none");
        assert!(error.to_string().contains(&told), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_refused_with_transaction_numbers_too() {
    let Some(standby) = etl_tests::postgres::standby().await else { return };
    let trial = Trial { database: standby, table: "public.orders".to_owned() };
    let error = sweep_error(&trial.by_number(|_| ()), None).await;
    assert_eq!(error.class(), Class::Config);
    assert!(error.to_string().contains("standby"), "{error}");
}
