//! The `source:` section of a pipeline file.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use etl_core::connector::duration;
use etl_core::error::{Error, Result, ResultExt};
use etl_sql::mssql::{MssqlConfig, Tls};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;

/// A SQL Server database to read from.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MssqlSourceConfig {
    /// `mssql://login:password@host:1433/database`; a secret, best from a file.
    #[schemars(with = "String")]
    pub url: SecretString,
    /// How the connection is protected.
    #[serde(default)]
    pub tls: Tls,
    /// A PEM file with the CA that signed the server's certificate, besides the system's.
    #[serde(default)]
    pub tls_ca: Option<PathBuf>,
    /// The name in the server's certificate, if it is not the host of the URL.
    #[serde(default)]
    pub tls_host: Option<String>,
    /// How long connecting and logging in may take.
    #[serde(default = "default_connect_timeout", with = "duration")]
    #[schemars(with = "String")]
    pub connect_timeout: Duration,
    /// For how long nothing may come while rows are awaited, sorting included.
    #[serde(default = "default_command_timeout", with = "duration")]
    #[schemars(with = "String")]
    pub command_timeout: Duration,
    /// How long a statement waits for a lock.
    #[serde(default = "default_lock_timeout", with = "duration")]
    #[schemars(with = "String")]
    pub lock_timeout: Duration,
}

fn default_connect_timeout() -> Duration {
    Duration::from_secs(15)
}

fn default_command_timeout() -> Duration {
    Duration::from_mins(3)
}

fn default_lock_timeout() -> Duration {
    Duration::from_secs(30)
}

impl fmt::Debug for MssqlSourceConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MssqlSourceConfig")
            .field("tls", &self.tls)
            .field("tls_ca", &self.tls_ca)
            .field("tls_host", &self.tls_host)
            .finish_non_exhaustive()
    }
}

impl MssqlSourceConfig {
    /// How to connect, as the pipeline of this name.
    ///
    /// # Errors
    /// `Config` if the URL cannot be used.
    pub fn connect(self, pipeline: &str) -> Result<MssqlConfig> {
        let mut config = MssqlConfig::from_url(&self.url).context(|| "source")?;
        if self.tls_ca.is_some() && self.tls != Tls::VerifyFull {
            return Err(Error::config("source: tls_ca goes with tls: verify-full only"));
        }
        config.tls = self.tls;
        config.tls_ca = self.tls_ca;
        config.tls_host = self.tls_host;
        config.connect_timeout = self.connect_timeout;
        config.command_timeout = self.command_timeout;
        config.lock_timeout = self.lock_timeout.max(Duration::from_millis(100));
        config.application = format!("etl-job {pipeline}").chars().take(128).collect();
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use etl_core::connector::section;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_section_is_read_and_shows_no_secret() {
        let value = json!({"type": "mssql", "url": "mssql://u:CANARY@h/d", "lock_timeout": "5s"});
        let config: MssqlSourceConfig = section("source", &value).unwrap();
        assert!(!format!("{config:?}").contains("CANARY"));
        let connect = config.connect("orders").unwrap();
        assert_eq!((connect.tls, connect.port), (Tls::VerifyFull, 1433));
        assert_eq!(connect.lock_timeout, Duration::from_secs(5));
        assert_eq!(connect.application, "etl-job orders");
        assert!(!format!("{connect:?}").contains("CANARY"));
        let wrong = json!({"type": "mssql", "url": "mssql://u:p@h/d", "state_schema": "etl"});
        let error = section::<MssqlSourceConfig>("source", &wrong).unwrap_err();
        assert!(error.to_string().contains("state_schema"), "{error}");
    }
}
