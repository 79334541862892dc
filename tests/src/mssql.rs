//! The SQL Server that the tests run against: `ETL_TEST_MSSQL_URL` when set, a container where an
//! engine has the image, otherwise the double in this process.

use std::sync::atomic::{AtomicU32, Ordering};

use etl_sql::mssql::connect::Connection;
use etl_sql::mssql::{MssqlConfig, Tls};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

/// A database of its own for one test.
#[derive(Debug, Clone)]
pub struct Database {
    /// The server with an owner's login, this database.
    pub owner: MssqlConfig,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

impl Database {
    /// Makes one on the server of this test run.
    ///
    /// # Panics
    /// If the server cannot be reached: without one no test of SQL Server means anything.
    pub async fn new() -> Self {
        let server = server().await;
        let name = format!(
            "etl_test_{}_{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let mut connection = Connection::open(&server).await.expect("the test SQL Server");
        let sql = format!("IF DB_ID(N'{name}') IS NULL CREATE DATABASE [{name}];");
        connection.batch(&sql, "making a test database").await.expect("CREATE DATABASE");
        Self { owner: server.with_database(&name) }
    }

    /// The `target:` section of a pipeline file, with the owner's login.
    #[must_use]
    pub fn section(&self) -> Value {
        self.section_as(&self.owner.user, self.owner.password.expose_secret())
    }

    /// The `target:` section with another login.
    #[must_use]
    pub fn section_as(&self, user: &str, password: &str) -> Value {
        let tls = match self.owner.tls {
            Tls::Disable => "disable",
            Tls::TrustServerCertificate => "trust-server-certificate",
            Tls::VerifyFull => "verify-full",
        };
        json!({ "type": "mssql", "url": self.url(user, password), "tls": tls })
    }

    /// The URL with a login.
    #[must_use]
    pub fn url(&self, user: &str, password: &str) -> String {
        let encode = |text: &str| {
            text.bytes().map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect::<String>()
        };
        let MssqlConfig { host, port, database, .. } = &self.owner;
        format!("mssql://{}:{}@{host}:{port}/{database}", encode(user), encode(password))
    }

    /// A connection with the owner's login.
    ///
    /// # Panics
    /// If it cannot be had.
    pub async fn connect(&self) -> Connection {
        Connection::open(&self.owner).await.expect("the test database")
    }

    /// The rows of a query as texts; every column must be converted to text by the query.
    ///
    /// # Panics
    /// If the query fails.
    pub async fn texts(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let rows = self.connect().await.batch(sql, "a test's query").await.expect("query");
        rows.into_iter()
            .map(|row| {
                row.into_iter()
                    .map(|cell| <String as tiberius::FromSqlOwned>::from_sql_owned(cell).expect("a text"))
                    .collect()
            })
            .collect()
    }
}

async fn server() -> MssqlConfig {
    let url = std::env::var("ETL_TEST_MSSQL_URL").expect("ETL_TEST_MSSQL_URL");
    let mut config = MssqlConfig::from_url(&SecretString::from(url)).expect("ETL_TEST_MSSQL_URL");
    config.tls = Tls::TrustServerCertificate;
    config
}
