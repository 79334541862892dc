//! Tables that change, sessions that end, and connections that break while rows are read.

use std::sync::Arc;
use std::time::Duration;

use etl_core::Class;
use etl_core::source::Source;
use etl_sources::postgres::PostgresSource;
use etl_tests::postgres::{Database, ca_file, run};
use futures::StreamExt;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::support::{Trial, WIDE, begin, build, end, rows, stream, sweep, value};

async fn filled() -> Trial {
    let trial = Trial::orders().await;
    trial.execute("INSERT INTO orders SELECT n, 'a' FROM generate_series(1, 20) n").await;
    trial
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_altered_between_batches_stops_the_sweep_with_what_changed() {
    for (sql, word) in [
        ("ALTER TABLE orders DROP COLUMN note", "note"),
        ("ALTER TABLE orders RENAME note TO remark", "note"),
        ("ALTER TABLE orders ALTER note TYPE varchar(10)", "character varying(10)"),
        ("ALTER TABLE orders ALTER note SET NOT NULL", "not null"),
        ("ALTER TABLE orders ALTER id TYPE numeric(20,0)", "numeric(20,0)"),
        (
            "ALTER TABLE orders RENAME TO old; \
             CREATE TABLE orders (LIKE old INCLUDING ALL); \
             CREATE TRIGGER touch BEFORE UPDATE ON orders \
             FOR EACH ROW EXECUTE FUNCTION orders_touch()",
            "dropped and created anew",
        ),
    ] {
        let trial = filled().await;
        let source = trial.source(|_| ());
        source.schema().await.unwrap();
        let batches = begin(&source, None, rows(5), 2).await.unwrap();
        trial.execute(sql).await;
        let error = sweep(&source, Some(&end(&batches)), WIDE).await.unwrap_err();
        assert_eq!(error.class(), Class::Schema, "{sql}: {error}");
        assert!(error.to_string().contains(word), "{sql}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_is_not_read_may_come_and_go() {
    let trial = filled().await;
    let source = trial.source(|_| ());
    source.schema().await.unwrap();
    let batches = begin(&source, None, rows(5), 2).await.unwrap();
    trial.execute("ALTER TABLE orders ADD extra int DEFAULT 7").await;
    let rest = sweep(&source, Some(&end(&batches)), WIDE).await.unwrap();
    assert_eq!(rest[0].progress.read, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_column_changes_the_definition_by_name() {
    let trial = filled().await;
    let before = trial.source(|_| ()).schema().await.unwrap().definition;
    trial.execute("ALTER TABLE orders ALTER note TYPE varchar(10)").await;
    let after = trial.source(|config| config["where"] = json!("id > 3")).schema().await.unwrap();
    let changes = after.definition.changes_since(&before);
    assert_eq!(
        changes,
        [
            "source.column.note: \"text\" -> \"character varying(10)\"",
            "source.where: \"nothing\" -> \"id > 3\""
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_emptied_behind_the_snapshot_is_noticed() {
    use etl_sql::postgres::catalog::{Table, rewritten};
    use etl_sql::postgres::quote::TableName;
    for sql in ["TRUNCATE orders", "ALTER TABLE orders ALTER note TYPE bytea USING note::bytea"] {
        let trial = filled().await;
        let mut reader = trial.database.connect().await;
        let name = TableName::parse("public.orders").unwrap();
        run(&mut reader, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await;
        let oid = Table::read(&mut reader, &name).await.unwrap().oid;
        assert!(!rewritten(&mut reader, oid).await.unwrap());
        trial.execute(sql).await;
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM public.orders")
            .fetch_one(&mut reader)
            .await
            .unwrap();
        assert_eq!(count, 0, "the snapshot sees no row any more");
        assert!(rewritten(&mut reader, oid).await.unwrap(), "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partitioned_table_is_read_as_one_and_an_emptied_partition_is_noticed() {
    use etl_sql::postgres::catalog::{Table, rewritten};
    use etl_sql::postgres::quote::TableName;
    let trial = Trial::orders().await;
    trial
        .execute(
            "ALTER TABLE orders RENAME TO old; \
             CREATE TABLE orders (id bigint PRIMARY KEY, note text, \
             updated_at timestamptz NOT NULL DEFAULT now()) PARTITION BY RANGE (id); \
             CREATE TABLE low PARTITION OF orders FOR VALUES FROM (0) TO (50); \
             CREATE TABLE high PARTITION OF orders FOR VALUES FROM (50) TO (1000); \
             CREATE TRIGGER touch BEFORE UPDATE ON orders \
             FOR EACH ROW EXECUTE FUNCTION orders_touch(); CREATE INDEX ON orders (updated_at); \
             INSERT INTO orders SELECT n, 'a' FROM generate_series(1, 100) n",
        )
        .await;
    let source = trial.source(|_| ());
    assert!(source.check().await.unwrap().iter().all(|finding| finding.ok));
    let begun = begin(&source, None, rows(30), 2).await.unwrap();
    let rest = sweep(&source, Some(&end(&begun)), rows(30)).await.unwrap();
    let read: u64 = begun.iter().chain(&rest).map(|batch| batch.progress.read).sum();
    assert_eq!(read, 100);
    let mut reader = trial.database.connect().await;
    run(&mut reader, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await;
    let name = TableName::parse("public.orders").unwrap();
    let oid = Table::read(&mut reader, &name).await.unwrap().oid;
    assert!(!rewritten(&mut reader, oid).await.unwrap());
    trial.execute("TRUNCATE high").await;
    // As a read does before it looks: from now on the lock keeps others away.
    run(&mut reader, "SELECT FROM public.orders LIMIT 0").await;
    assert!(rewritten(&mut reader, oid).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_say_who_it_is_is_told_by_its_database() {
    let trial = filled().await;
    let role = trial.database.role("secret").await;
    trial
        .execute(&format!(
            "GRANT SELECT ON orders TO {role}; GRANT pg_read_all_stats TO {role}; \
             REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC"
        ))
        .await;
    let section = trial.database.section_as(&format!("{role}:secret"));
    let source = build(&section, &stream("public.orders", |_| ())).unwrap();
    let definition = source.schema().await.unwrap().definition.to_text().unwrap();
    let name = &trial.database.name;
    assert!(definition.contains("\"source.system\":\"database "), "{definition}");
    assert!(definition.contains(&format!(" {name}\"")), "{definition}");
    assert_eq!(sweep(&source, None, WIDE).await.unwrap()[0].progress.read, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ended_by_the_server_is_an_error_and_never_an_end() {
    let trial = Trial::orders().await;
    trial
        .execute("INSERT INTO orders SELECT n, repeat('x', 1000) FROM generate_series(1, 30000) n")
        .await;
    let source = trial.source(|_| ());
    // What was cancelled may have taken too long: a smaller batch may pass.
    for (sql, class) in [
        ("pg_terminate_backend(pid)", Class::Transient),
        ("pg_cancel_backend(pid)", Class::Capacity),
    ] {
        let mut batches = source.read(None, rows(100)).await.unwrap();
        let mut read = batches.next().await.unwrap().unwrap().changes.len();
        let end = format!(
            "SELECT {sql} FROM pg_stat_activity WHERE application_name = 'etl-job trial' \
             AND datname = current_database()"
        );
        let mut connection = trial.database.connect().await;
        let ended = sqlx::query(AssertSqlSafe(end)).fetch_all(&mut connection).await.unwrap();
        assert_eq!(ended.len(), 1);
        let error = loop {
            match batches.next().await {
                Some(Ok(batch)) => {
                    read += batch.changes.len();
                    assert_ne!(value(&batch.position)["scan"], json!(null), "an end after {read}");
                }
                Some(Err(error)) => break error,
                None => panic!("the stream ended after {read} rows"),
            }
        };
        assert_eq!(error.class(), class, "{error:?}");
        assert!(batches.next().await.is_none(), "nothing after an error");
        assert!(read < 30_000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_the_roles_own_is_kept_and_told() {
    let trial = filled().await;
    let role = trial.database.role("secret").await;
    trial
        .execute(&format!(
            "GRANT SELECT ON orders TO {role}; GRANT pg_read_all_stats TO {role}; \
             ALTER ROLE {role} SET lock_timeout = '200ms'"
        ))
        .await;
    let section = trial.database.section_as(&format!("{role}:secret"));
    let source = build(&section, &stream("public.orders", |_| ())).unwrap();
    let mut locker = trial.database.connect().await;
    run(&mut locker, "BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE").await;
    let error = sweep(&source, None, WIDE).await.unwrap_err();
    assert_eq!((error.class(), error.code()), (Class::Transient, Some("55P03")), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_anywhere_is_an_error_and_never_an_end() {
    let trial = filled().await;
    let whole = Proxy::start(&trial.database, Fault::Cut(usize::MAX)).await;
    let source = build(&whole.section, &stream("public.orders", |_| ())).unwrap();
    sweep(&source, None, rows(5)).await.unwrap();
    let total = whole.sent().await;
    let mut cut = 1;
    while cut < total {
        let proxy = Proxy::start(&trial.database, Fault::Cut(cut)).await;
        let source = build(&proxy.section, &stream("public.orders", |_| ())).unwrap();
        match sweep(&source, None, rows(5)).await {
            Err(error) => assert_eq!(error.class(), Class::Transient, "cut at {cut}: {error:?}"),
            // The last bytes say that the server is ready for more; they may be missing.
            Ok(batches) => {
                let read: u64 = batches.iter().map(|batch| batch.progress.read).sum();
                assert_eq!(read, 20, "an end in the middle, cut at {cut} of {total}");
            }
        }
        // Thinly through the conversation, closely through its end, where the rows are.
        cut += if total - cut > 900 { 331 } else { 7 };
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_falls_silent_is_noticed_and_a_long_sort_is_waited_for() {
    let trial = Trial::orders().await;
    trial
        .execute(
            "DROP INDEX orders_updated_at_idx; \
             INSERT INTO orders SELECT n, repeat('x', 100) FROM generate_series(1, 200000) n",
        )
        .await;
    let silence = Duration::from_millis(20);
    let orders = stream("public.orders", |_| ());
    let source = |section: &Value| {
        let mut section = section.clone();
        section.as_object_mut().unwrap().remove("type");
        let config = serde_json::from_value(section).unwrap();
        Arc::new(PostgresSource::new(&config, &orders).unwrap().with_silence(silence))
            as Arc<dyn Source>
    };
    let patient = source(&trial.database.section());
    let batches = sweep(&patient, None, WIDE).await.expect("the server was at work");
    assert_eq!(batches.iter().map(|batch| batch.progress.read).sum::<u64>(), 200_000);
    let proxy = Proxy::start(&trial.database, Fault::Stall(300_000)).await;
    let silent = source(&proxy.section);
    let read = sweep(&silent, None, rows(100));
    let error = tokio::time::timeout(Duration::from_secs(20), read).await;
    let error = error.expect("the silence was noticed").unwrap_err();
    assert_eq!(error.class(), Class::Transient);
    assert!(error.to_string().contains("none arrive"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_falls_silent_at_any_byte_of_its_last_answers_is_noticed() {
    let trial = filled().await;
    trial.execute("DELETE FROM orders WHERE id > 2").await;
    let source = |section: &Value| {
        let config = serde_json::from_value(section.clone()).unwrap();
        let orders = stream("public.orders", |_| ());
        let source = PostgresSource::new(&config, &orders).unwrap();
        Arc::new(source.with_silence(Duration::from_millis(50))) as Arc<dyn Source>
    };
    let whole = Proxy::start(&trial.database, Fault::Cut(usize::MAX)).await;
    sweep(&source(&whole.section), None, rows(5)).await.unwrap();
    let total = whole.sent().await;
    // From before the number of the session, which is asked for before the rows, to the last byte.
    let silent = (total - 300..total).step_by(6).map(|after| {
        let (trial, source) = (&trial, &source);
        async move {
            let proxy = Proxy::start(&trial.database, Fault::Stall(after)).await;
            let source = source(&proxy.section);
            let read = sweep(&source, None, rows(5));
            let what = format!("silent after {after} of {total}");
            let read = tokio::time::timeout(Duration::from_secs(20), read).await.expect(&what);
            match read {
                Err(error) => assert_eq!(error.class(), Class::Transient, "{what}: {error:?}"),
                Ok(batches) => {
                    let read: u64 = batches.iter().map(|batch| batch.progress.read).sum();
                    assert_eq!(read, 2, "{what}");
                }
            }
        }
    });
    futures::stream::iter(silent).buffer_unordered(10).collect::<Vec<()>>().await;
}

/// Stands between the source and the server; the first connection meets a fault.
struct Proxy {
    /// The `source:` section that leads through it.
    section: Value,
    first: tokio::task::JoinHandle<usize>,
}

#[derive(Clone, Copy)]
enum Fault {
    /// Closes after so many bytes from the server.
    Cut(usize),
    /// Sends nothing more after so many bytes from the server, and closes nothing.
    Stall(usize),
    None,
}

impl Proxy {
    async fn start(database: &Database, fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = database.url();
        let (login, place) = url.split_once('@').expect("a login");
        let (server, name) = place.split_once('/').expect("a database");
        let server = server.to_owned();
        let section =
            json!({ "url": format!("{login}@127.0.0.1:{port}/{name}"), "tls": "disable" });
        let first = tokio::spawn(async move {
            let (client, _) = listener.accept().await.unwrap();
            let others = server.clone();
            tokio::spawn(async move {
                while let Ok((client, _)) = listener.accept().await {
                    tokio::spawn(forward(client, others.clone(), Fault::None));
                }
            });
            forward(client, server, fault).await
        });
        Self { section, first }
    }

    /// How many bytes the server sent on the first connection.
    async fn sent(self) -> usize {
        tokio::time::timeout(Duration::from_secs(5), self.first).await.unwrap().unwrap()
    }
}

async fn forward(client: TcpStream, server: String, fault: Fault) -> usize {
    let (mut client_read, mut client_write) = client.into_split();
    let (mut server_read, mut server_write) =
        TcpStream::connect(server).await.unwrap().into_split();
    let up = tokio::spawn(async move {
        drop(tokio::io::copy(&mut client_read, &mut server_write).await);
    });
    let limit = match fault {
        Fault::Cut(limit) | Fault::Stall(limit) => limit,
        Fault::None => usize::MAX,
    };
    let mut sent = 0;
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = server_read.read(&mut buffer).await {
        let count = count.min(limit - sent);
        if client_write.write_all(&buffer[..count]).await.is_err() {
            break;
        }
        sent += count;
        if sent == limit {
            break;
        }
    }
    if matches!(fault, Fault::Stall(_)) {
        std::future::pending::<()>().await;
    }
    up.abort();
    sent
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_verified_by_default() {
    let trial = filled().await;
    let Some(ca) = ca_file() else { return };
    let role = trial.database.role("secret").await;
    trial
        .execute(&format!("GRANT SELECT ON orders TO {role}; GRANT pg_read_all_stats TO {role}"))
        .await;
    let by_number = trial.database.url_as(&format!("{role}:secret"));
    let by_name = by_number.replace("127.0.0.1", "localhost");
    let ca = ca.display().to_string();
    let stream = stream("public.orders", |_| ());
    let try_read = async |section: serde_json::Value| {
        sweep(&build(&section, &stream).unwrap(), None, WIDE).await.map(drop)
    };
    try_read(json!({ "url": by_name, "tls_ca": ca })).await.expect("a verified connection");
    try_read(json!({ "url": by_number, "tls": "trust-server-certificate" })).await.unwrap();
    for (what, section) in [
        ("unknown CA", json!({ "url": by_name })),
        ("another name", json!({ "url": by_number, "tls_ca": ca })),
        ("no file", json!({ "url": by_name, "tls_ca": "/does/not/exist" })),
        ("no certificate", json!({ "url": by_name, "tls_ca": "/etc/hostname" })),
    ] {
        let error = try_read(section).await.expect_err(what);
        assert_eq!(error.class(), Class::Config, "{what}: {error:?}");
        assert!(error.to_string().contains("tls_ca"), "{what}: {error}");
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}
