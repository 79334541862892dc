//! One connection, thrown away after any error.

use std::collections::BTreeSet;
use std::fs;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use etl_core::{Class, Error, Result};
use secrecy::ExposeSecret;
use tiberius::{AuthMethod, Client, EncryptionLevel, Row, ToSql};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt};

use super::config::{MssqlConfig, Tls};
use super::error::{Phase, classify, timed_out};

/// TLS records hold 16 KiB, and so do the packets of a server that encrypts.
const PACKET_BYTES: u32 = 16_384;

/// A connection to SQL Server.
///
/// After any error, or when the future of a method was dropped, the wire may be out of step: drop
/// the connection and open another.
pub struct Connection {
    pub(crate) client: Client<Compat<TcpStream>>,
    limit: Duration,
}

impl Connection {
    /// Connects and logs in.
    ///
    /// Dropped half way, the connection is closed.
    ///
    /// # Errors
    /// `Transient` if nobody answers, `Permission` if the login is refused, `Config` if TLS cannot
    /// be had as configured. A database that cannot be opened is `Transient`, and `Config` if it
    /// lasts, unless it was open to this process before.
    pub async fn open(config: &MssqlConfig) -> Result<Self> {
        let doing = format!(
            "connecting to SQL Server {}:{}, database {}, as {}",
            config.host, config.port, config.database, config.user
        );
        let limit = config.connect_timeout;
        // The driver's futures are large; on the heap they do not swell every caller's.
        match timeout(limit, Box::pin(Self::connect(config, &doing))).await {
            Ok(connected) => connected,
            Err(_) => Err(timed_out(Phase::Connect, &doing, limit.as_secs())),
        }
    }

    async fn connect(config: &MssqlConfig, doing: &str) -> Result<Self> {
        let driver = driver_config(config)?;
        let address = (config.host.as_str(), config.port);
        let socket = TcpStream::connect(address).await.map_err(|error| {
            Error::transient(format!("{doing}: {}", error.kind())).with_source(error)
        })?;
        socket.set_nodelay(true).map_err(|error| Error::transient(doing).with_source(error))?;
        let client = Box::pin(Client::connect(driver, socket.compat_write()))
            .await
            .map_err(|error| refused(config, classify(&error, Phase::Connect, doing)))?;
        known().insert(place(config));
        let limit = config.command_timeout;
        let mut connection = Self { client, limit };
        let lock_timeout = config.lock_timeout.as_millis();
        let settings = format!(
            "SET XACT_ABORT ON; SET LOCK_TIMEOUT {lock_timeout}; SET DEADLOCK_PRIORITY LOW;"
        );
        connection.batch(&settings, doing).await?;
        Ok(connection)
    }

    /// Runs a plain batch and gives every row of every result set.
    ///
    /// Dropped half way, the server may still carry it out, and the wire is out of step: drop the
    /// connection.
    ///
    /// # Errors
    /// Classed by the server's number.
    pub async fn batch(&mut self, sql: &str, doing: &str) -> Result<Vec<Row>> {
        let run = async { self.client.simple_query(sql).await?.into_results().await };
        limited(self.limit, Phase::Repeatable, doing, run)
            .await
            .map(|sets| sets.into_iter().flatten().collect())
    }

    /// Runs a batch with parameters `@P1` … and gives every row of every result set.
    ///
    /// Dropped half way, the server may still carry it out, and the wire is out of step: drop the
    /// connection.
    ///
    /// # Errors
    /// Classed by the server's number and the phase.
    pub async fn query(
        &mut self,
        sql: &str,
        parameters: &[&dyn ToSql],
        phase: Phase,
        doing: &str,
    ) -> Result<Vec<Row>> {
        let run = async { self.client.query(sql, parameters).await?.into_results().await };
        limited(self.limit, phase, doing, run)
            .await
            .map(|sets| sets.into_iter().flatten().collect())
    }

    /// The first row of a batch with parameters.
    ///
    /// Dropped half way, the server may still carry it out, and the wire is out of step: drop the
    /// connection.
    ///
    /// # Errors
    /// As [`Connection::query`].
    pub async fn query_row(
        &mut self,
        sql: &str,
        parameters: &[&dyn ToSql],
        phase: Phase,
        doing: &str,
    ) -> Result<Option<Row>> {
        Ok(self.query(sql, parameters, phase, doing).await?.into_iter().next())
    }

    /// How long one request may take.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.limit
    }
}

/// How often in a row a database that has never let this process in may say that it cannot be
/// opened.
const STRANGE_TRIES: u32 = 3;

/// What became of a login that was refused.
///
/// 4060, "cannot open database", is on all of Microsoft's lists of what passes by itself: a
/// failover says it. A name with a typing error and a login without a user in the database say
/// it, too, and for ever. A database that has let this process in before is taken for the first.
fn refused(config: &MssqlConfig, error: Error) -> Error {
    let strange = error.code() == Some("4060") && !known().contains(&place(config));
    if strange { error.if_it_lasts(STRANGE_TRIES, Class::Config) } else { error }
}

type Place = (String, u16, String);

fn place(config: &MssqlConfig) -> Place {
    (config.host.clone(), config.port, config.database.clone())
}

/// The databases that have let this process in.
fn known() -> MutexGuard<'static, BTreeSet<Place>> {
    static KNOWN: Mutex<BTreeSet<Place>> = Mutex::new(BTreeSet::new());
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request under a limit of ours: the driver's own covers reading answers, not writing.
pub(crate) async fn limited<T>(
    limit: Duration,
    phase: Phase,
    doing: &str,
    request: impl Future<Output = tiberius::Result<T>>,
) -> Result<T> {
    match timeout(limit + Duration::from_secs(5), Box::pin(request)).await {
        Ok(done) => done.map_err(|error| classify(&error, phase, doing)),
        Err(_) => Err(timed_out(phase, doing, limit.as_secs())),
    }
}

fn driver_config(config: &MssqlConfig) -> Result<tiberius::Config> {
    let mut driver = tiberius::Config::new();
    driver.host(&config.host);
    driver.port(config.port);
    driver.database(&config.database);
    driver.application_name(&config.application);
    driver.authentication(AuthMethod::sql_server(&config.user, config.password.expose_secret()));
    driver.packet_size(PACKET_BYTES);
    driver.handshake_timeout(Some(config.connect_timeout));
    driver.command_timeout(Some(config.command_timeout));
    match config.tls {
        Tls::Disable => driver.encryption(EncryptionLevel::NotSupported),
        Tls::TrustServerCertificate => {
            driver.encryption(EncryptionLevel::Required);
            driver.trust_cert();
        }
        Tls::VerifyFull => {
            driver.encryption(EncryptionLevel::Required);
            if let Some(path) = &config.tls_ca {
                let bundle = fs::read(path).map_err(|error| {
                    Error::config(format!("reading tls_ca {}", path.display())).with_source(error)
                })?;
                if !bundle.windows(11).any(|window| window == b"-----BEGIN ") {
                    return Err(Error::config(format!(
                        "tls_ca {} holds no PEM certificate",
                        path.display()
                    )));
                }
                driver.trust_cert_ca_bundle(bundle);
            }
            if let Some(host) = &config.tls_host {
                driver.hostname_in_certificate(host);
            }
        }
    }
    Ok(driver)
}

/// A value of a row, by column name.
///
/// # Errors
/// `Internal` if it is missing or has another type: the statement and this program disagree.
pub fn value<'a, T: tiberius::FromSql<'a>>(row: &'a Row, column: &str) -> Result<Option<T>> {
    row.try_get(column).map_err(|error| {
        Error::internal(format!("reading column {column} of an answer")).with_source(error)
    })
}

/// A value of a row that cannot be NULL.
///
/// # Errors
/// As [`value`], and if it is NULL.
pub fn required<'a, T: tiberius::FromSql<'a>>(row: &'a Row, column: &str) -> Result<T> {
    value(row, column)?
        .ok_or_else(|| Error::internal(format!("column {column} of an answer is NULL")))
}
