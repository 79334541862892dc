//! The `type: mssql` section of a pipeline file.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use etl_core::connector::duration;
use etl_core::{Error, Result};
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

/// How a connection is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tls {
    /// Encrypted, the server's certificate verified against a CA and the host name.
    #[default]
    VerifyFull,
    /// Encrypted, any certificate accepted: no protection against a man in the middle.
    TrustServerCertificate,
    /// Not encrypted.
    Disable,
}

impl Tls {
    /// Whether the server's identity is not verified.
    #[must_use]
    pub fn is_unverified(self) -> bool {
        self != Self::VerifyFull
    }
}

/// The section as a file has it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MssqlSection {
    /// `mssql://login:password@host:1433/database`, by `${file:…}` or `${env:…}`.
    #[schemars(with = "String")]
    url: SecretString,
    /// How the connection is protected.
    #[serde(default)]
    tls: Tls,
    /// A PEM file with the CA that signed the server's certificate, besides the system's.
    #[serde(default)]
    tls_ca: Option<PathBuf>,
    /// The name in the server's certificate, if it is not the host of the URL.
    #[serde(default)]
    tls_host: Option<String>,
    /// The schema of the tables that hold checkpoints and ledger.
    #[serde(default = "default_state_schema")]
    state_schema: String,
    /// How long connecting and logging in may take.
    #[serde(default = "default_connect_timeout", with = "duration")]
    #[schemars(with = "String")]
    connect_timeout: Duration,
    /// How long one statement may take until its answer begins.
    #[serde(default = "default_command_timeout", with = "duration")]
    #[schemars(with = "String")]
    command_timeout: Duration,
    /// How long a statement waits for a lock.
    #[serde(default = "default_lock_timeout", with = "duration")]
    #[schemars(with = "String")]
    lock_timeout: Duration,
}

fn default_state_schema() -> String {
    "etl".to_owned()
}

fn default_connect_timeout() -> Duration {
    Duration::from_secs(15)
}

// The driver's own default of 30 s ends a large upsert that the server is still working on.
fn default_command_timeout() -> Duration {
    Duration::from_mins(3)
}

fn default_lock_timeout() -> Duration {
    Duration::from_secs(30)
}

/// Where a SQL Server is and how to talk to it.
#[derive(Clone)]
pub struct MssqlConfig {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The database.
    pub database: String,
    /// The login's name.
    pub user: String,
    /// The login's password.
    pub password: SecretString,
    /// How the connection is protected.
    pub tls: Tls,
    /// A PEM file with another CA.
    pub tls_ca: Option<PathBuf>,
    /// The name in the certificate.
    pub tls_host: Option<String>,
    /// The schema of checkpoints and ledger.
    pub state_schema: String,
    /// How long connecting and logging in may take.
    pub connect_timeout: Duration,
    /// How long one statement may take.
    pub command_timeout: Duration,
    /// How long a statement waits for a lock.
    pub lock_timeout: Duration,
    /// What the server shows as the program's name.
    pub application: String,
}

impl fmt::Debug for MssqlConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MssqlConfig")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("database", &self.database)
            .field("user", &self.user)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

impl MssqlSection {
    /// The settings, with the URL taken apart.
    ///
    /// # Errors
    /// `Config` if the URL is none of SQL Server.
    pub fn into_config(self, application: &str) -> Result<MssqlConfig> {
        let mut config = MssqlConfig::from_url(&self.url)?;
        config.tls = self.tls;
        config.tls_ca = self.tls_ca;
        config.tls_host = self.tls_host;
        config.state_schema = self.state_schema;
        config.connect_timeout = self.connect_timeout;
        config.command_timeout = self.command_timeout;
        config.lock_timeout = self.lock_timeout.max(Duration::from_millis(100));
        config.application = application.chars().take(128).collect();
        super::quote::name(&config.state_schema)?;
        if config.tls_ca.is_some() && config.tls != Tls::VerifyFull {
            return Err(Error::config("tls_ca goes with tls: verify-full only"));
        }
        Ok(config)
    }
}

impl MssqlConfig {
    /// Settings from a URL, everything else as by default.
    ///
    /// # Errors
    /// `Config` if the URL cannot be read; its text is not repeated, since it holds a password.
    pub fn from_url(url: &SecretString) -> Result<Self> {
        let wrong = |what: &str| {
            Error::config(format!(
                "the SQL Server url {what}; write mssql://login:password@host:1433/database, with \
                 special characters of the password percent-encoded"
            ))
        };
        let url = Url::parse(url.expose_secret().trim()).map_err(|_| wrong("is not a URL"))?;
        if !matches!(url.scheme(), "mssql" | "sqlserver") {
            return Err(wrong("has another scheme than mssql"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong(
                "has options after ? or #: TLS and time-outs are keys of the section",
            ));
        }
        let decode = |text: &str, what: &str| {
            percent_decode(text)
                .ok_or_else(|| wrong(&format!("has a {what} that is not percent-encoded UTF-8")))
        };
        let host =
            url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong("has no host"))?;
        let user = decode(url.username(), "login")?;
        let password = decode(url.password().unwrap_or_default(), "password")?;
        let database = decode(url.path().trim_start_matches('/'), "database")?;
        if user.is_empty() || password.is_empty() {
            return Err(wrong("has no login or no password"));
        }
        if database.is_empty() || database.contains('/') {
            return Err(wrong("has no database"));
        }
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(1433),
            database,
            user,
            password: SecretString::from(password),
            tls: Tls::VerifyFull,
            tls_ca: None,
            tls_host: None,
            state_schema: default_state_schema(),
            connect_timeout: default_connect_timeout(),
            command_timeout: default_command_timeout(),
            lock_timeout: default_lock_timeout(),
            application: "etl".to_owned(),
        })
    }

    /// The same server, another database.
    #[must_use]
    pub fn with_database(&self, database: &str) -> Self {
        Self { database: database.to_owned(), ..self.clone() }
    }
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let value = digit(rest.next())? * 16 + digit(rest.next())?;
            bytes.push(u8::try_from(value).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<MssqlConfig> {
        MssqlConfig::from_url(&SecretString::from(url))
    }

    #[test]
    fn a_url_is_taken_apart() {
        let config = read("mssql://etl_job:p%40ss%2Fw%C3%B6rd@db.example:1533/dw\n").unwrap();
        assert_eq!((config.host.as_str(), config.port), ("db.example", 1533));
        assert_eq!((config.database.as_str(), config.user.as_str()), ("dw", "etl_job"));
        assert_eq!(config.password.expose_secret(), "p@ss/wörd");
        assert_eq!(read("sqlserver://a:b@[::1]/dw").unwrap().host, "::1");
    }

    #[test]
    fn a_wrong_url_is_refused_without_repeating_it() {
        for wrong in [
            "",
            "postgres://a:CANARY@h/db",
            "mssql://h/db",
            "mssql://a:CANARY@/db",
            "mssql://a:CANARY@h",
            "mssql://a:CANARY@h/db?encrypt=false",
            "mssql://a:CANARY%@h/db",
        ] {
            let error = format!("{:?}", read(wrong).unwrap_err());
            assert!(!error.contains("CANARY"), "{error}");
        }
        assert!(!format!("{:?}", read("mssql://a:CANARY@h/db").unwrap()).contains("CANARY"));
    }
}
