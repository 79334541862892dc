//! Certificates and servers that are not what they should be, on both sides: refused, for good,
//! with a message that says what to change, and before anything of a login was sent.

use std::path::Path;

use etl_core::connector::Stream;
use etl_core::{Class, Error};
use etl_tests::postgres::Database;
use etl_tests::tds;
use etl_tests::tls::{Authority, Between, Identity, Says, Wire};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::found;

const PASSWORD: &str = "Kn4rie-in-TLS";

/// What stands between the client and a real server.
#[derive(Debug, Clone)]
enum Server {
    Shows(Identity),
    WithoutTls,
    Stripped,
    OldTls,
}

struct Case {
    name: &'static str,
    server: Server,
    host: &'static str,
    /// The text of the CA's file; nothing for none, an error for a file that is not there.
    ca: Option<Result<String, ()>>,
    refused: bool,
}

fn case(name: &'static str, server: Server, ca: &str, refused: bool) -> Case {
    Case { name, server, host: "localhost", ca: Some(Ok(ca.to_owned())), refused }
}

fn cases() -> Vec<Case> {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let local = Says::names(&["localhost"]);
    let shows = |says: &Says| Server::Shows(ours.sign(says));
    let good = shows(&local);
    let both = shows(&Says::names(&["localhost", "127.0.0.1"]));
    let garbage = "-----BEGIN CERTIFICATE-----\nbm9uZQ==\n-----END CERTIFICATE-----\n";
    let half = ours.pem.replace("-----END CERTIFICATE-----\n", "");
    let ca = &ours.pem;
    vec![
        case("a good one", good.clone(), ca, false),
        case("one of two CAs", good.clone(), &format!("{}{ca}", other.pem), false),
        Case { host: "127.0.0.1", ..case("an address that it is for", both, ca, false) },
        case("an unknown CA", good.clone(), &other.pem, true),
        Case { ca: None, ..case("no CA but the system's", good.clone(), ca, true) },
        case("signed by itself", Server::Shows(local.self_signed()), ca, true),
        case("another name", shows(&Says::names(&["other.example"])), ca, true),
        case(
            "the name as common name alone",
            shows(&Says { common_name: Some("localhost".to_owned()), ..Says::names(&[]) }),
            ca,
            true,
        ),
        Case { host: "127.0.0.1", ..case("an address that it is not for", good.clone(), ca, true) },
        case("expired", shows(&Says { years: (2020, 2021), ..local.clone() }), ca, true),
        case("not yet valid", shows(&Says { years: (2100, 2120), ..local.clone() }), ca, true),
        case("a client's", shows(&Says { server: false, ..local.clone() }), ca, true),
        case("TLS 1.0", Server::OldTls, ca, true),
        case("a server without TLS", Server::WithoutTls, ca, true),
        case("encryption taken out on the way", Server::Stripped, ca, true),
        Case { ca: Some(Err(())), ..case("no file", good.clone(), ca, true) },
        case("an empty file", good.clone(), "", true),
        case("a file of other things", good.clone(), "a key, perhaps\n", true),
        case("half a certificate", good.clone(), &half, true),
        case("a certificate of nothing", good, garbage, true),
    ]
}

/// A kind of server with a login whose password is the canary.
enum Side {
    Postgres { database: Database, role: String },
    Mssql,
}

impl Side {
    async fn postgres() -> Self {
        let database = Database::new().await;
        let role = database.role(PASSWORD).await;
        Self::Postgres { database, role }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Postgres { .. } => "postgres",
            Self::Mssql => "mssql",
        }
    }

    fn user(&self) -> &str {
        match self {
            Self::Postgres { role, .. } => role,
            Self::Mssql => "sa",
        }
    }

    fn database(&self) -> &str {
        match self {
            Self::Postgres { database, .. } => &database.name,
            Self::Mssql => "Ledger_of_Kn4rie",
        }
    }

    /// A way to a server, and the server if it is one of this test's own.
    async fn wire(&self, server: &Server) -> (Wire, Option<tds::Handle>) {
        match self {
            Self::Postgres { database, .. } => {
                let url = database.url();
                let address = url.split('@').nth(1).unwrap().split('/').next().unwrap();
                let between = match server {
                    Server::Shows(identity) => Between::Postgres(identity.clone()),
                    Server::WithoutTls | Server::Stripped => Between::PostgresWithout,
                    Server::OldTls => Between::PostgresOld,
                };
                (Wire::open(address, between).await, None)
            }
            Self::Mssql => {
                let options = tds::Options {
                    sa_password: PASSWORD.to_owned(),
                    databases: vec![self.database().to_owned()],
                    identity: match server {
                        Server::Shows(identity) => {
                            Some((identity.certificate.clone(), identity.key.clone()))
                        }
                        _ => None,
                    },
                    encryption: match server {
                        Server::WithoutTls => tds::Encryption::NotSupported,
                        _ => tds::Encryption::Supported,
                    },
                    ..tds::Options::default()
                };
                let handle = tds::Server::start(options).unwrap();
                let between = match server {
                    Server::Stripped => Between::TdsStripped,
                    Server::OldTls => Between::TdsOld,
                    Server::Shows(_) | Server::WithoutTls => Between::Listener,
                };
                (Wire::open(&handle.addr.to_string(), between).await, Some(handle))
            }
        }
    }

    fn section(&self, host: &str, port: u16) -> Value {
        let (kind, user, database) = (self.kind(), self.user(), self.database());
        json!({ "url": format!("{kind}://{user}:{PASSWORD}@{host}:{port}/{database}") })
    }
}

/// Looks for a table that is not there: what a login that worked is told.
async fn look(kind: &str, section: &Value) -> Error {
    let config = json!({
        "object": "t", "primary_key": ["id"], "select": ["id", "at"],
        "cursor": { "column": "at", "set_by": "application", "safety": { "lookback": "10m" } },
    });
    let config = serde_json::from_value(config).unwrap();
    let name = if kind == "mssql" { "dbo.nowhere" } else { "public.nowhere" };
    let stream = Stream { pipeline: "p".to_owned(), name: name.to_owned(), config };
    let source = (etl_sources::find(kind).unwrap().build)(section, &stream).unwrap();
    source.schema().await.err().unwrap()
}

fn came_in(error: &Error) -> bool {
    let text = error.to_string().to_lowercase();
    text.contains("nowhere") && !text.contains("tls") && !error.class().is_retryable()
}

/// Whether something of a login is in what was sent.
fn betrayed(side: &Side, wire: &Wire) -> Option<String> {
    let sent = wire.sent();
    // Two letters would be found in any noise.
    let secrets = [PASSWORD, side.user(), side.database()].into_iter().filter(|s| s.len() > 8);
    secrets.into_iter().find_map(|secret| found(&sent, secret))
}

fn write_ca(folder: &Path, section: &mut Value, ca: Option<&Result<String, ()>>) {
    let path = folder.join("ca.pem");
    match ca {
        Some(Ok(text)) => std::fs::write(&path, text).unwrap(),
        Some(Err(())) => drop(std::fs::remove_file(&path)),
        None => return,
    }
    section["tls_ca"] = json!(path);
}

async fn every_case(side: Side) {
    let folder = TempDir::new().unwrap();
    let mut wrong = Vec::new();
    for Case { name, server, host, ca, refused } in cases() {
        let (wire, _server) = side.wire(&server).await;
        let mut section = side.section(host, wire.port);
        write_ca(folder.path(), &mut section, ca.as_ref());
        let error = look(side.kind(), &section).await;
        let told = error.class() == Class::Config && error.to_string().contains("tls");
        let right = if refused { told && !came_in(&error) } else { came_in(&error) };
        if !right {
            wrong.push(format!("{name}: {error:?}"));
        }
        if let Some(spelling) = betrayed(&side, &wire) {
            wrong.push(format!("{name}: {spelling:?} was sent in clear"));
        }
        assert!(!format!("{error:?}").contains(PASSWORD), "{name}: {error:?}");
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_what_its_certificate_says_or_nothing_is_sent() {
    every_case(Side::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_server_is_what_its_certificate_says_or_nothing_is_sent() {
    every_case(Side::Mssql).await;
}

/// Without verification every certificate does, and without TLS everything is seen: so the cases
/// are refused for what they say, and what would be seen is looked for.
async fn without_verification(side: Side) {
    for Case { name, server, host, refused, .. } in cases() {
        let Server::Shows(_) = &server else { continue };
        let (wire, _server) = side.wire(&server).await;
        let mut section = side.section(host, wire.port);
        section["tls"] = json!("trust-server-certificate");
        let error = look(side.kind(), &section).await;
        assert!(came_in(&error), "{name}, {refused}: {error:?}");
        assert_eq!(betrayed(&side, &wire), None, "{name}");
    }
    let (wire, _server) = match &side {
        Side::Postgres { .. } => side.wire(&Server::WithoutTls).await,
        Side::Mssql => side.wire(&Server::Stripped).await,
    };
    let mut section = side.section("localhost", wire.port);
    section["tls"] = json!("trust-server-certificate");
    let error = look(side.kind(), &section).await;
    assert_eq!(error.class(), Class::Config, "encryption is not up to the server: {error:?}");
    assert_eq!(betrayed(&side, &wire), None);

    let plain = match &side {
        Side::Postgres { database, .. } => {
            let url = database.url();
            let address = url.split('@').nth(1).unwrap().split('/').next().unwrap();
            (Wire::open(address, Between::Listener).await, None)
        }
        Side::Mssql => side.wire(&Server::WithoutTls).await,
    };
    let mut section = side.section("localhost", plain.0.port);
    section["tls"] = json!("disable");
    let error = look(side.kind(), &section).await;
    assert!(came_in(&error), "{error:?}");
    assert!(betrayed(&side, &plain.0).is_some(), "what is sent in clear is not found");
}

#[tokio::test(flavor = "multi_thread")]
async fn control_without_verification_postgres_certificates_do_and_without_tls_all_is_seen() {
    without_verification(Side::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn control_without_verification_sql_server_certificates_do_and_without_tls_all_is_seen() {
    without_verification(Side::Mssql).await;
}
