//! Opening one connection.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use etl_core::error::{Error, Result, ResultExt};
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions, Executor};
use url::Url;

use super::error::failed;

/// How the server is made sure of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tls {
    /// Encrypted; the certificate's chain and host name are checked.
    #[default]
    VerifyFull,
    /// Encrypted, whoever answers: anybody on the way can read and change everything.
    TrustServerCertificate,
    /// Not encrypted.
    Disable,
}

impl Tls {
    /// Whether somebody on the way could pretend to be the server.
    #[must_use]
    pub const fn unverified(self) -> bool {
        !matches!(self, Self::VerifyFull)
    }

    const fn mode(self) -> PgSslMode {
        match self {
            Self::VerifyFull => PgSslMode::VerifyFull,
            Self::TrustServerCertificate => PgSslMode::Require,
            Self::Disable => PgSslMode::Disable,
        }
    }

    /// The libpq word that means the same, which a URL may then repeat.
    const fn sslmode(self) -> &'static str {
        match self {
            Self::VerifyFull => "verify-full",
            Self::TrustServerCertificate => "require",
            Self::Disable => "disable",
        }
    }
}

/// Everything that opening a connection needs.
///
/// Host, port, user, password and database come from the URL alone, never from the environment.
#[derive(Clone)]
pub struct Connect {
    options: PgConnectOptions,
    ca: Option<PathBuf>,
    timeout: Duration,
    place: String,
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Connect {
    /// Settings from a URL such as `postgres://user:password@host:5432/database`.
    ///
    /// The URL may hold `host` (a socket's folder), `options`, `sslcert` and `sslkey`, and an
    /// `sslmode` that says the same as `tls`.
    ///
    /// # Errors
    /// `Config`, never quoting the URL, if a part is missing or contradicts another setting.
    pub fn new(url: &SecretString, tls: Tls, timeout: Duration) -> Result<Self> {
        let url = Url::parse(url.expose_secret()).map_err(|error| {
            Error::config(format!("url: not a URL such as postgres://user@host/database ({error})"))
        })?;
        check(&url, tls)?;
        let options = PgConnectOptions::from_url(&url)
            .map_err(|_| Error::config("url: a part of it cannot be read"))?
            .port(url.port().unwrap_or(5432))
            .ssl_mode(tls.mode())
            .disable_statement_logging();
        let options = if url.password().is_none() { options.password("") } else { options };
        let host = options
            .get_socket()
            .map_or_else(|| options.get_host().to_owned(), |folder| folder.display().to_string());
        let place = format!(
            "Postgres {host}:{}/{}",
            options.get_port(),
            options.get_database().unwrap_or_default()
        );
        Ok(Self { options, ca: None, timeout, place })
    }

    /// Trusts the certificates in this PEM file too.
    #[must_use]
    pub fn ca(mut self, file: Option<PathBuf>) -> Self {
        self.ca = file;
        self
    }

    /// The name under which the server lists the session.
    #[must_use]
    pub fn application_name(mut self, name: &str) -> Self {
        self.options = self.options.application_name(name);
        self
    }

    /// Host, port and database, for messages.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Opens a connection that can only read, resolves no name outside `pg_catalog`, and fails
    /// rather than leaving out rows that row security hides.
    ///
    /// Dropped half way, the connection is closed.
    ///
    /// # Errors
    /// `Transient` if nobody answers in time, `Permission` if the login is refused, `Config` for
    /// TLS and for a database that does not exist.
    pub async fn open(&self) -> Result<PgConnection> {
        let mut connection = self.open_as_it_is().await?;
        self.in_time(connection.execute(SESSION)).await.context(|| "setting the session up")?;
        Ok(connection)
    }

    /// Gives a request as long as a connection may take: for what is answered at once by a server
    /// that is there at all.
    ///
    /// # Errors
    /// `Transient` if no answer comes in time, and the request's own.
    pub(crate) async fn in_time<T>(
        &self,
        request: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T> {
        match tokio::time::timeout(self.timeout, request).await {
            Ok(done) => done.map_err(|error| failed(&self.doing(), error)),
            Err(_) => {
                let late = format!("no answer within {:?}", self.timeout);
                Err(Error::transient(late).context(self.doing()))
            }
        }
    }

    /// Opens a connection with the settings that the server has for this login.
    ///
    /// Dropped half way, the connection is closed.
    ///
    /// # Errors
    /// As [`Connect::open`].
    pub async fn open_as_it_is(&self) -> Result<PgConnection> {
        let options = match &self.ca {
            Some(file) => self.options.clone().ssl_root_cert_from_pem(read_ca(file).await?),
            None => self.options.clone(),
        };
        self.in_time(options.connect()).await
    }

    fn doing(&self) -> String {
        format!("connecting to {}", self.place)
    }
}

/// Texts are the same whatever the database, the role or the URL sets, and read back as what they
/// were. Half a minute of silence and the server looks whether we are still there.
const SESSION: &str = "SET search_path = pg_catalog; SET row_security = off; \
     SET default_transaction_read_only = on; SET bytea_output = 'hex'; \
     SET intervalstyle = 'postgres'; SET datestyle = 'ISO, YMD'; \
     SET timezone = 'UTC'; SET extra_float_digits = 1; SET tcp_keepalives_idle = 30; \
     SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3; \
     SET tcp_user_timeout = '60s'";

async fn read_ca(file: &std::path::Path) -> Result<Vec<u8>> {
    let place = file.display();
    let pem = tokio::fs::read(file)
        .await
        .map_err(|error| Error::config(format!("tls_ca: reading {place}")).with_source(error))?;
    let marker = b"-----BEGIN CERTIFICATE-----";
    if !pem.windows(marker.len()).any(|window| window == marker) {
        return Err(Error::config(format!("tls_ca: {place} holds no PEM certificate")));
    }
    Ok(pem)
}

fn check(url: &Url, tls: Tls) -> Result<()> {
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err(Error::config("url: it must begin with postgres://"));
    }
    let parameter = |name: &str| url.query_pairs().any(|(key, _)| key == name);
    if url.host_str().is_none_or(str::is_empty) && !parameter("host") {
        return Err(Error::config("url: the host is missing: postgres://user@host/database"));
    }
    if url.username().is_empty() {
        return Err(Error::config("url: the user is missing: postgres://user@host/database"));
    }
    if url.path().trim_start_matches('/').is_empty() {
        return Err(Error::config("url: the database is missing: postgres://user@host/database"));
    }
    for (key, value) in url.query_pairs() {
        match key.as_ref() {
            "host" | "options" | "sslcert" | "sslkey" => {}
            "sslmode" if value == tls.sslmode() => {}
            "sslmode" => {
                return Err(Error::config(format!(
                    "url: sslmode contradicts `tls`, which stands for sslmode={}; take it out of \
                     the url and set tls: verify-full, trust-server-certificate or disable",
                    tls.sslmode()
                )));
            }
            "sslrootcert" => {
                return Err(Error::config("url: give the CA's file as tls_ca, not as sslrootcert"));
            }
            "connect_timeout" | "application_name" => {
                return Err(Error::config(format!(
                    "url: {key} is set elsewhere (connect_timeout is a key of this section, the \
                     application name is the pipeline's); take it out of the url"
                )));
            }
            other => {
                return Err(Error::config(format!(
                    "url: the option {} is not known; allowed are host, options, sslcert, sslkey \
                     and an sslmode that agrees with tls",
                    other.escape_debug()
                )));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(url: &str, tls: Tls) -> Result<Connect> {
        Connect::new(&SecretString::from(url), tls, Duration::from_secs(1))
    }

    #[test]
    fn a_url_that_contradicts_other_settings_is_refused() {
        for (url, part) in [
            ("mysql://u@h/d", "postgres://"),
            ("not a url", "not a URL"),
            ("postgres:///d", "host"),
            ("postgres://h/d", "user"),
            ("postgres://u@h", "database"),
            ("postgres://u@h/d?sslmode=prefer", "sslmode"),
            ("postgres://u@h/d?sslmode=require", "sslmode"),
            ("postgres://u@h/d?sslrootcert=/x", "tls_ca"),
            ("postgres://u@h/d?connect_timeout=3", "connect_timeout"),
            ("postgres://u@h/d?target_session_attrs=any", "target_session_attrs"),
        ] {
            let error = connect(url, Tls::VerifyFull).unwrap_err();
            assert_eq!(error.class(), etl_core::Class::Config, "{url}");
            assert!(error.to_string().contains(part), "{url}: {error}");
        }
        assert!(connect("postgres://u@h/d?sslmode=verify-full", Tls::VerifyFull).is_ok());
        assert!(connect("postgres://u@h/d?sslmode=disable", Tls::Disable).is_ok());
        assert!(connect("postgres://u@/d?host=/run/pg", Tls::Disable).is_err());
        assert!(connect("postgres://u@%2Frun%2Fpg/d", Tls::Disable).is_ok());
    }

    #[test]
    fn no_password_is_shown() {
        let connect = connect("postgres://u:CANARY@h:1/d", Tls::Disable).unwrap();
        assert!(!format!("{connect:?} {}", connect.place()).contains("CANARY"));
        assert_eq!(connect.place(), "Postgres h:1/d");
        for wrong in ["postgres://u:CANARY@h:1", "postgres://u:CANARY@h:99999/d"] {
            let error = super::tests::connect(wrong, Tls::Disable).unwrap_err();
            assert!(!format!("{error:?} {error}").contains("CANARY"));
        }
    }

    #[test]
    fn only_full_verification_counts_as_verified() {
        assert!(!Tls::VerifyFull.unverified());
        assert!(Tls::TrustServerCertificate.unverified() && Tls::Disable.unverified());
        assert_eq!(
            serde_json::to_value([Tls::VerifyFull, Tls::TrustServerCertificate, Tls::Disable])
                .unwrap(),
            serde_json::json!(["verify-full", "trust-server-certificate", "disable"])
        );
    }
}
