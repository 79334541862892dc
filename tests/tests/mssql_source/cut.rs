//! Connections that break, fall silent, or end in a lie.

use std::sync::Arc;
use std::time::Duration;

use etl_core::Class;
use etl_core::source::Source;
use etl_tests::mssql::Database;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::support::{self, WIDE, rows, sweep};

/// A table of 60 rows that any T-SQL server can be asked for.
async fn filled() -> Database {
    let database = Database::new().await;
    let rows: Vec<_> =
        (1..=60).map(|id| format!("({id}, N'{}', '2024-01-01')", "x".repeat(50))).collect();
    database
        .run(&format!(
            "CREATE TABLE dbo.orders (id int NOT NULL PRIMARY KEY, note nvarchar(60) NULL, \
             at datetime2(3) NOT NULL); CREATE INDEX ix ON dbo.orders (at); \
             INSERT INTO dbo.orders (id, note, at) VALUES {};",
            rows.join(", ")
        ))
        .await;
    database
}

fn source(section: &Value) -> Arc<dyn Source> {
    let stream = support::stream("dbo.orders", |config| {
        config["select"] = json!(["id", "note", "at"]);
        config["cursor"] = json!({
            "column": "at", "utc_offset": "+00:00", "set_by": "application",
            "safety": { "lookback": "10m" },
        });
    });
    support::build(section, &stream).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_anywhere_is_an_error_and_never_an_end() {
    let database = filled().await;
    let whole = Proxy::start(&database, Fault::Cut(usize::MAX)).await;
    sweep(&source(&whole.section), None, rows(5)).await.unwrap();
    let total = whole.sent().await;
    let mut cut = 1;
    while cut < total {
        let proxy = Proxy::start(&database, Fault::Cut(cut)).await;
        let error = sweep(&source(&proxy.section), None, rows(5)).await;
        let error = error.err().unwrap_or_else(|| panic!("an end, cut at {cut} of {total}"));
        assert_eq!(error.class(), Class::Transient, "cut at {cut} of {total}: {error:?}");
        // Thinly through the conversation, closely through its end, where the rows are.
        cut += if total - cut > 8_000 { 1_031 } else { 257 };
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_says_another_number_of_rows_is_no_end() {
    let database = filled().await;
    let mut connection = database.connect().await;
    // SET leaves a row count of 0.
    let wrong = "SELECT TOP (3) id FROM dbo.orders; SET NOCOUNT OFF";
    let mut rows = connection.fetch("", wrong, "reading").await.unwrap();
    let error = loop {
        match rows.next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("taken for an end"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.class(), Class::Transient);
    assert!(error.to_string().contains("broke off after 3 rows"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_falls_silent_is_noticed() {
    let database = filled().await;
    let proxy = Proxy::start(&database, Fault::Stall(4_000)).await;
    let mut section = proxy.section.clone();
    section["command_timeout"] = json!("1s");
    section["connect_timeout"] = json!("2s");
    let reading = tokio::time::timeout(Duration::from_secs(20), async {
        sweep(&source(&section), None, WIDE).await
    });
    let error = reading.await.expect("the silence was noticed").unwrap_err();
    assert_eq!(error.class(), Class::Transient, "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_a_database_that_is_not_there_have_their_classes() {
    let database = filled().await;
    let wrong = database.section_as(&database.owner.user, "CANARY-Wr0ng!");
    let error = sweep(&source(&wrong), None, WIDE).await.unwrap_err();
    assert_eq!(error.class(), Class::Permission);
    assert!(!format!("{error:?}").contains("CANARY"));
    let mut closed = database.section();
    closed["url"] = json!("mssql://u:p@127.0.0.1:1/d");
    let error = sweep(&source(&closed), None, WIDE).await.unwrap_err();
    assert_eq!(error.class(), Class::Transient);
}

#[derive(Clone, Copy)]
enum Fault {
    /// Closes after so many bytes from the server.
    Cut(usize),
    /// Sends nothing more after so many bytes from the server, and closes nothing.
    Stall(usize),
}

/// Stands between the source and the server.
struct Proxy {
    /// The `source:` section that leads through it.
    section: Value,
    first: JoinHandle<usize>,
}

impl Proxy {
    async fn start(database: &Database, fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = (database.owner.host.clone(), database.owner.port);
        let mut section = database.section();
        let url = section["url"].as_str().unwrap();
        let (login, place) = url.rsplit_once('@').unwrap();
        let (_, name) = place.split_once('/').unwrap();
        section["url"] = json!(format!("{login}@127.0.0.1:{port}/{name}"));
        // Cutting what is encrypted proves nothing about what is read.
        section["tls"] = json!("disable");
        let first = tokio::spawn(async move {
            let (client, _) = listener.accept().await.unwrap();
            forward(client, server, fault).await
        });
        Self { section, first }
    }

    /// How many bytes the server sent.
    async fn sent(self) -> usize {
        tokio::time::timeout(Duration::from_secs(5), self.first).await.unwrap().unwrap()
    }
}

async fn forward(client: TcpStream, server: (String, u16), fault: Fault) -> usize {
    let server = TcpStream::connect(server).await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let requests = tokio::spawn(async move {
        drop(tokio::io::copy(&mut from_client, &mut to_server).await);
    });
    let mut sent = 0;
    let mut buffer = vec![0; 1 << 14];
    while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
        let (Fault::Cut(limit) | Fault::Stall(limit)) = fault;
        let allowed = count.min(limit - sent);
        if to_client.write_all(&buffer[..allowed]).await.is_err() {
            break;
        }
        sent += allowed;
        if sent == limit {
            if let Fault::Stall(_) = fault {
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
            break;
        }
    }
    requests.abort();
    sent
}
