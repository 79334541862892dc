//! The SQL Server that the tests run against: `ETL_TEST_MSSQL_URL` when set, a container where an
//! engine has the image, otherwise the double in this process.

#![expect(clippy::expect_used, clippy::panic, reason = "a test without a server is to stop")]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use etl_sql::mssql::connect::Connection;
use etl_sql::mssql::{MssqlConfig, Tls};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use testcontainers::core::{IntoContainerPort, WaitFor};
use testcontainers::{ContainerAsync, GenericImage, ImageExt};
use tiberius::ColumnData;
use tokio::sync::OnceCell;

use crate::{docker, tds};

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
        let name =
            format!("etl_test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let sql = format!("IF DB_ID(N'{name}') IS NULL CREATE DATABASE [{name}];");
        // Made at once with others it may find the model database in use.
        for tries in 1.. {
            let mut connection = Connection::open(&server).await.expect("the test SQL Server");
            match connection.batch(&sql, "making a test database").await {
                Ok(_) => break,
                Err(_) if tries < 10 => tokio::time::sleep(Duration::from_millis(300)).await,
                Err(error) => panic!("CREATE DATABASE: {error}"),
            }
        }
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
            text.bytes()
                .map(|byte| {
                    if byte.is_ascii_alphanumeric() {
                        char::from(byte).to_string()
                    } else {
                        format!("%{byte:02X}")
                    }
                })
                .collect::<String>()
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

    /// The rows of a query, each cell as canonical text; see [`cell_text`].
    ///
    /// # Panics
    /// If the query fails.
    pub async fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let rows = self.connect().await.batch(sql, "a test's query").await.expect("query");
        rows.into_iter().map(|row| row.into_iter().map(|cell| cell_text(&cell)).collect()).collect()
    }

    /// A single whole number.
    ///
    /// # Panics
    /// If the query gives none.
    pub async fn number(&self, sql: &str) -> i64 {
        let rows = self.rows(sql).await;
        rows[0][0].as_deref().expect("a number").parse().expect("a number")
    }

    /// Lets transactions read a snapshot, if they may not yet.
    ///
    /// # Errors
    /// If the server cannot be set so: a sweep there keeps a lookback, and reads the rows within it again.
    pub async fn snapshots(&self) -> etl_core::Result<()> {
        let database = &self.owner.database;
        let state = format!(
            "SELECT CAST([snapshot_isolation_state] AS int) FROM sys.databases WHERE [name] = N'{database}';"
        );
        if self.number(&state).await == 0 {
            let on = format!("ALTER DATABASE [{database}] SET ALLOW_SNAPSHOT_ISOLATION ON;");
            self.connect().await.batch(&on, "letting transactions read a snapshot").await?;
        }
        Ok(())
    }

    /// Runs a batch.
    ///
    /// # Panics
    /// If it fails.
    pub async fn run(&self, sql: &str) {
        self.connect().await.batch(sql, "a test's batch").await.expect("batch");
    }
}

/// A value as canonical text, the same that the contract suites use: times in ISO 8601 with six
/// digits, UTC where they have a zone; decimals with the column's scale; binaries in hexadecimal.
///
/// # Panics
/// For a type that no test reads, and for a seventh digit of a time.
#[must_use]
pub fn cell_text(cell: &ColumnData<'_>) -> Option<String> {
    match cell {
        ColumnData::U8(value) => value.map(|value| value.to_string()),
        ColumnData::I16(value) => value.map(|value| value.to_string()),
        ColumnData::I32(value) => value.map(|value| value.to_string()),
        ColumnData::I64(value) => value.map(|value| value.to_string()),
        ColumnData::F32(value) => value.map(|value| value.to_string()),
        ColumnData::F64(value) => value.map(|value| value.to_string()),
        ColumnData::Bit(value) => value.map(|value| value.to_string()),
        ColumnData::String(value) => value.as_ref().map(ToString::to_string),
        ColumnData::Guid(value) => value.map(|value| value.to_string()),
        ColumnData::Binary(value) => {
            value.as_ref().map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect())
        }
        ColumnData::Numeric(value) => value.map(|value| decimal_text(value.value(), value.scale())),
        ColumnData::Date(value) => value.map(|date| date_text(date.days())),
        ColumnData::Time(value) => value.map(|time| time_text(time.increments(), time.scale())),
        ColumnData::DateTime2(value) => value.map(timestamp_text),
        ColumnData::DateTimeOffset(value) => {
            // The wire carries UTC and, beside it, the offset to show.
            value.map(|at| format!("{}Z", timestamp_text(at.datetime2())))
        }
        other => panic!("no test reads {other:?}"),
    }
}

fn decimal_text(digits: i128, scale: u8) -> String {
    let sign = if digits < 0 { "-" } else { "" };
    let (digits, scale) = (digits.unsigned_abs().to_string(), usize::from(scale));
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    format!("{sign}{whole}.{fraction}")
}

fn date_text(days_since_year_one: u32) -> String {
    let first = chrono::NaiveDate::from_ymd_opt(1, 1, 1).expect("a date");
    (first + chrono::Days::new(u64::from(days_since_year_one))).to_string()
}

fn time_text(increments: u64, scale: u8) -> String {
    let ticks = increments * 10_u64.pow(7 - u32::from(scale));
    let (seconds, fraction) = (ticks / 10_000_000, ticks % 10_000_000);
    assert_eq!(fraction % 10, 0, "a seventh digit appeared");
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{:06}", seconds % 60, fraction / 10)
}

fn timestamp_text(at: tiberius::time::DateTime2) -> String {
    let (date, time) = (at.date(), at.time());
    format!("{}T{}", date_text(date.days()), time_text(time.increments(), time.scale()))
}

/// Which server this run has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The one that `ETL_TEST_MSSQL_URL` names.
    Url,
    /// A container of Microsoft's image.
    Container,
    /// The double in this process.
    Double,
}

/// Microsoft's image; used where a Docker engine has it, never pulled.
const IMAGE: (&str, &str) = ("mcr.microsoft.com/mssql/server", "2022-CU14-ubuntu-22.04");
const CONTAINER_PASSWORD: &str = "Etl-tests-0nly!";

static SERVER: OnceCell<(Kind, MssqlConfig)> = OnceCell::const_new();
static DOUBLE: OnceLock<tds::Handle> = OnceLock::new();
static CONTAINER: OnceCell<ContainerAsync<GenericImage>> = OnceCell::const_new();

/// Which server this run has.
pub async fn kind() -> Kind {
    started().await.0
}

/// The server with an administrator's login.
pub async fn server() -> MssqlConfig {
    started().await.1.clone()
}

async fn started() -> &'static (Kind, MssqlConfig) {
    SERVER.get_or_init(start).await
}

async fn start() -> (Kind, MssqlConfig) {
    if let Ok(url) = std::env::var("ETL_TEST_MSSQL_URL") {
        return (Kind::Url, reachable(config(&url)).await);
    }
    if docker::has_image(&format!("{}:{}", IMAGE.0, IMAGE.1)) {
        return (Kind::Container, start_container().await);
    }
    let double = tds::Server::start(tds::Options::default()).expect("the double starts");
    let config = config(&double.url());
    drop(DOUBLE.set(double));
    (Kind::Double, config)
}

/// Settings from a URL, whose options other drivers' tools write are left out.
fn config(url: &str) -> MssqlConfig {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let mut config =
        MssqlConfig::from_url(&SecretString::from(url)).expect("the test server's URL");
    config.tls = Tls::TrustServerCertificate;
    config
}

/// The same settings with or without TLS, whichever the server takes.
async fn reachable(config: MssqlConfig) -> MssqlConfig {
    if Connection::open(&config).await.is_ok() {
        return config;
    }
    let plain = MssqlConfig { tls: Tls::Disable, ..config.clone() };
    if Connection::open(&plain).await.is_ok() { plain } else { config }
}

async fn start_container() -> MssqlConfig {
    let container = CONTAINER
        .get_or_init(|| async {
            let image = GenericImage::new(IMAGE.0, IMAGE.1)
                .with_exposed_port(1433.tcp())
                .with_wait_for(WaitFor::message_on_stdout("Recovery is complete"))
                .with_env_var("ACCEPT_EULA", "Y")
                .with_env_var("MSSQL_PID", "Developer")
                .with_env_var("MSSQL_SA_PASSWORD", CONTAINER_PASSWORD)
                .with_startup_timeout(Duration::from_mins(3));
            docker::start(image).await
        })
        .await;
    let host = container.get_host().await.expect("the container's host");
    let port = container.get_host_port_ipv4(1433).await.expect("the container's port");
    let password = CONTAINER_PASSWORD.replace('!', "%21");
    let config = config(&format!("mssql://sa:{password}@{host}:{port}/master"));
    let deadline = Instant::now() + Duration::from_mins(2);
    while Connection::open(&config).await.is_err() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    config
}
