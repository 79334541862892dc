//! What is refused, by `read` and by `check`, and what a person is told.

use etl_core::Class;
use etl_tests::postgres::{Database, run};
use serde_json::{Value, json};

use super::support::{Trial, WIDE, build, stream, sweep, sweep_error};

fn nothing(_: &mut Value) {}

/// What makes a table unfit, and what is said about it.
struct Unfit {
    sql: &'static str,
    change: fn(&mut Value),
    class: Class,
    /// Words of the message.
    words: &'static [&'static str],
}

const UNFIT: &[Unfit] = &[
    Unfit {
        sql: "ALTER TABLE orders ALTER updated_at DROP NOT NULL",
        change: nothing,
        class: Class::Config,
        words: &["updated_at", "NULL", "cursor.nullable: true"],
    },
    Unfit {
        sql: "ALTER TABLE orders ALTER updated_at DROP DEFAULT",
        change: nothing,
        class: Class::Config,
        words: &["updated_at", "INSERT", "SET DEFAULT now()", "lookback"],
    },
    Unfit {
        sql: "ALTER TABLE orders ALTER updated_at SET DEFAULT now() - interval '1 hour'",
        change: nothing,
        class: Class::Config,
        words: &["INSERT"],
    },
    Unfit {
        sql: "DROP TRIGGER touch ON orders",
        change: nothing,
        class: Class::Config,
        words: &["UPDATE", "public.orders", "trigger", "lookback"],
    },
    Unfit {
        sql: "ALTER TABLE orders DISABLE TRIGGER touch",
        change: nothing,
        class: Class::Config,
        words: &["no enabled row trigger"],
    },
    Unfit {
        sql: "DROP TRIGGER touch ON orders; CREATE TRIGGER touch BEFORE UPDATE OF note ON orders \
              FOR EACH ROW EXECUTE FUNCTION orders_touch()",
        change: nothing,
        class: Class::Config,
        words: &["every UPDATE"],
    },
    Unfit {
        sql: "ALTER TABLE orders DROP CONSTRAINT orders_pkey",
        change: nothing,
        class: Class::Config,
        words: &["unique", "(id)"],
    },
    Unfit {
        sql: "ALTER TABLE orders DROP CONSTRAINT orders_pkey; \
              CREATE UNIQUE INDEX ON orders (id) WHERE note = 'a'",
        change: nothing,
        class: Class::Config,
        words: &["unique"],
    },
    Unfit {
        sql: "ALTER TABLE orders DROP CONSTRAINT orders_pkey; \
              ALTER TABLE orders ALTER id DROP NOT NULL; CREATE UNIQUE INDEX ON orders (id)",
        change: nothing,
        class: Class::Config,
        words: &["id", "SET NOT NULL"],
    },
    Unfit {
        sql: "ALTER TABLE orders RENAME TO base; CREATE VIEW orders AS SELECT * FROM base",
        change: nothing,
        class: Class::Config,
        words: &["a view"],
    },
    Unfit {
        sql: "CREATE TABLE child () INHERITS (orders)",
        change: nothing,
        class: Class::Config,
        words: &["inherit"],
    },
    Unfit {
        sql: "ALTER TABLE orders ALTER updated_at DROP DEFAULT, \
              ALTER updated_at TYPE date, ALTER updated_at SET DEFAULT now()",
        change: nothing,
        class: Class::Config,
        words: &["updated_at", "neither timestamptz nor timestamp"],
    },
    Unfit {
        sql: "ALTER TABLE orders ALTER updated_at TYPE timestamp",
        change: nothing,
        class: Class::Config,
        words: &["without time zone", "utc_offset"],
    },
    Unfit {
        sql: "SELECT 1",
        change: |config| config["cursor"]["utc_offset"] = json!("+02:00"),
        class: Class::Config,
        words: &["utc_offset", "take it out"],
    },
    Unfit {
        sql: "SELECT 1",
        change: |config| config["select"] = json!(["id", "updated_at", "amount"]),
        class: Class::Schema,
        words: &["no column amount", "it has id, note, updated_at"],
    },
    Unfit {
        sql: "DROP TABLE orders",
        change: nothing,
        class: Class::Schema,
        words: &["no table public.orders"],
    },
    Unfit {
        sql: "SELECT 1",
        change: |config| config["where"] = json!("id = 'seven'"),
        class: Class::Config,
        words: &["where", "id", "seven"],
    },
    Unfit {
        sql: "SELECT 1",
        change: |config| config["where"] = json!("updated_at > 'today'"),
        class: Class::Config,
        words: &["where", "updated_at"],
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_would_lose_rows_is_refused_with_what_to_change() {
    for unfit in UNFIT {
        let trial = Trial::orders().await;
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
async fn what_is_accepted_in_so_many_words_is_read() {
    let trial = Trial::orders().await;
    trial
        .execute(
            "ALTER TABLE orders ALTER updated_at DROP NOT NULL; \
             ALTER TABLE orders ALTER updated_at DROP DEFAULT; DROP TRIGGER touch ON orders; \
             INSERT INTO orders VALUES (1, 'a', now() - interval '1 h'), (2, 'b', NULL)",
        )
        .await;
    let source = trial.source(|config| {
        config["cursor"] = json!({
            "column": "updated_at", "nullable": true, "set_by": "application",
            "safety": { "lookback": "10m" },
        });
    });
    let batches = sweep(&source, None, WIDE).await.unwrap();
    assert_eq!(batches[0].progress.read, 1, "a row without a cursor is never read");
    assert!(source.check().await.unwrap().iter().all(|finding| finding.ok));
    trial.execute("ALTER TABLE orders DROP CONSTRAINT orders_pkey; CREATE UNIQUE INDEX ON orders (note, id)").await;
    assert_eq!(sweep_error(&source, None).await.class(), Class::Config);
    trial.execute("CREATE UNIQUE INDEX ON orders (id) INCLUDE (note)").await;
    sweep(&source, None, WIDE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_index_the_check_warns_and_reading_works() {
    let trial = Trial::orders().await;
    trial.execute("DROP INDEX orders_updated_at_idx").await;
    let source = trial.source(nothing);
    let findings = source.check().await.unwrap();
    let bad: Vec<_> = findings.iter().filter(|finding| !finding.ok).collect();
    assert_eq!(bad.len(), 1, "{bad:?}");
    assert!(bad[0].detail.contains("CREATE INDEX CONCURRENTLY ON public.orders (updated_at, id)"));
    sweep(&source, None, WIDE).await.unwrap();
    let accepted = trial.source(|config| config["cursor"]["unindexed"] = json!(true));
    assert!(accepted.check().await.unwrap().iter().all(|finding| finding.ok));
}

/// A trial and a role that may do nothing yet but log in.
async fn with_role() -> (Trial, String) {
    let trial = Trial::orders().await;
    let role = trial.database.role("secret").await;
    (trial, role)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_missing_right_is_named_and_the_least_rights_are_enough() {
    let (trial, role) = with_role().await;
    trial.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC").await;
    let section = trial.database.section_as(&format!("{role}:secret"));
    let source = build(&section, &stream("public.orders", nothing)).unwrap();
    let steps = [
        ("pg_read_all_stats", format!("GRANT pg_read_all_stats TO {role}")),
        ("GRANT USAGE ON SCHEMA \"public\"", format!("GRANT USAGE ON SCHEMA public TO {role}")),
        (
            "GRANT SELECT (id, note, updated_at)",
            format!("GRANT SELECT (id, note) ON orders TO {role}"),
        ),
        ("GRANT SELECT (updated_at)", format!("GRANT SELECT (updated_at) ON orders TO {role}")),
    ];
    for (word, grant) in steps {
        let error = sweep_error(&source, None).await;
        assert_eq!(error.class(), Class::Permission, "{error}");
        assert!(error.to_string().contains(word), "no {word} in {error}");
        let findings = source.check().await.unwrap();
        let denied =
            findings.iter().find(|finding| finding.permission && finding.detail.contains(word));
        assert!(denied.is_some(), "{word}: {findings:?}");
        trial.execute(&grant).await;
    }
    trial.execute("INSERT INTO orders VALUES (1, 'a')").await;
    assert_eq!(sweep(&source, None, WIDE).await.unwrap()[0].progress.read, 1);
    assert!(source.check().await.unwrap().iter().all(|finding| finding.ok));
    let schema = source.schema().await.unwrap();
    let definition = schema.definition.to_text().unwrap();
    assert!(!definition.contains("\"source.system\":\"database"), "{definition}");
}

#[tokio::test(flavor = "multi_thread")]
async fn membership_without_inheritance_is_not_enough_for_the_horizon() {
    let (trial, role) = with_role().await;
    trial
        .execute(&format!(
            "GRANT SELECT ON orders TO {role}; GRANT pg_read_all_stats TO {role}; \
             ALTER ROLE {role} NOINHERIT"
        ))
        .await;
    let section = trial.database.section_as(&format!("{role}:secret"));
    let source = build(&section, &stream("public.orders", nothing)).unwrap();
    let error = sweep_error(&source, None).await;
    assert_eq!(error.class(), Class::Permission);
    assert!(error.to_string().contains("inheritance"), "{error}");
    let lookback = build(
        &section,
        &stream("public.orders", |config| config["cursor"]["safety"] = json!({ "lookback": "1m" })),
    );
    sweep(&lookback.unwrap(), None, WIDE).await.expect("lookback needs no such right");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_hidden_by_row_security_are_refused_not_left_out() {
    let (trial, role) = with_role().await;
    trial
        .execute(&format!(
            "GRANT SELECT ON orders TO {role}; GRANT pg_read_all_stats TO {role}; \
             ALTER TABLE orders ENABLE ROW LEVEL SECURITY; \
             CREATE POLICY mine ON orders USING (note = 'a')"
        ))
        .await;
    let section = trial.database.section_as(&format!("{role}:secret"));
    let source = build(&section, &stream("public.orders", nothing)).unwrap();
    let error = sweep_error(&source, None).await;
    assert_eq!(error.class(), Class::Permission);
    assert!(error.to_string().contains("row security"), "{error}");
    sweep(&trial.source(nothing), None, WIDE).await.expect("a superuser sees all rows");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_hides_its_activity_is_refused() {
    let trial = Trial::orders().await;
    let source = trial.source(nothing);
    let mut hidden = trial.database.connect().await;
    run(&mut hidden, "SET track_activities = off").await;
    run(&mut hidden, "BEGIN; INSERT INTO orders VALUES (1, 'a')").await;
    let error = sweep_error(&source, None).await;
    assert_eq!(error.class(), Class::Config);
    assert!(error.to_string().contains("track_activities"), "{error}");
    drop(hidden);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_checked_without_a_connection() {
    let section = json!({ "type": "postgres", "url": "postgres://u@203.0.113.1/d" });
    let try_build = |name: &str, change: fn(&mut Value)| build(&section, &stream(name, change));
    assert!(try_build("public.orders", nothing).is_ok());
    for (name, change, word) in [
        ("a.b.c", nothing as fn(&mut Value), "schema.table"),
        (
            "public.orders",
            |config: &mut Value| config["where"] = json!("lower(note) = 'a'"),
            "where",
        ),
        ("public.orders", |config: &mut Value| config["where"] = json!("amount > 1"), "amount"),
        ("public.orders", |config: &mut Value| config["where"] = json!("note = 'a\u{0}b'"), "NUL"),
        (
            "public.orders",
            |config: &mut Value| config["cursor"]["utc_offset"] = json!("Berlin"),
            "utc_offset",
        ),
        (
            "public.orders",
            |config: &mut Value| config["select"] = json!(["id", "note"]),
            "updated_at",
        ),
        ("public.orders", |config: &mut Value| config["primary_key"] = json!(["key"]), "key"),
    ] {
        let error = try_build(name, change).map(drop).unwrap_err();
        assert_eq!(error.class(), Class::Config);
        assert!(error.to_string().contains(word), "no {word} in {error}");
    }
    let wrong = json!({ "type": "postgres", "url": "postgres://u:CANARY@h/d", "sslmode": "off" });
    let error = build(&wrong, &stream("public.orders", nothing)).map(drop).unwrap_err();
    assert!(error.to_string().contains("sslmode") && !format!("{error:?}").contains("CANARY"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_refused() {
    let Some(standby) = etl_tests::postgres::standby().await else { return };
    let trial = Trial { database: standby, table: "public.orders".to_owned() };
    let error = sweep_error(&trial.source(nothing), None).await;
    assert_eq!(error.class(), Class::Config);
    assert!(error.to_string().contains("standby"), "{error}");
    let lookback = trial.source(|config| config["cursor"]["safety"] = json!({ "lookback": "1m" }));
    assert!(sweep_error(&lookback, None).await.to_string().contains("standby"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_a_database_that_is_not_there_have_their_classes() {
    let database = Database::new().await;
    let role = database.role("secret").await;
    let stream = stream("public.orders", nothing);
    let refused = build(&database.section_as(&format!("{role}:CANARY")), &stream).unwrap();
    let error = sweep_error(&refused, None).await;
    assert_eq!((error.class(), error.code()), (Class::Permission, Some("28P01")));
    assert!(!format!("{error:?}").contains("CANARY"));
    let url = format!("{}_not", database.url());
    let gone = build(&json!({ "url": url, "tls": "disable" }), &stream).unwrap();
    let error = sweep_error(&gone, None).await;
    assert_eq!((error.class(), error.code()), (Class::Config, Some("3D000")));
    let closed = json!({ "url": "postgres://u@127.0.0.1:1/d", "tls": "disable" });
    let error = sweep_error(&build(&closed, &stream).unwrap(), None).await;
    assert_eq!(error.class(), Class::Transient);
}
