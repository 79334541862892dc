//! The `source:` section of a pipeline file.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use etl_core::connector::duration;
use etl_core::error::{Result, ResultExt};
use etl_sql::postgres::{Connect, Tls};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;

/// A Postgres server to read from.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostgresConfig {
    /// `postgres://user:password@host:5432/database`; a secret, best from a file.
    #[schemars(with = "String")]
    pub url: SecretString,
    /// How the server is made sure of.
    #[serde(default)]
    pub tls: Tls,
    /// A PEM file with the CA of the server's certificate, if a public one did not sign it.
    #[serde(default)]
    pub tls_ca: Option<PathBuf>,
    /// How long the server may take to answer a connection.
    #[serde(default = "default_connect_timeout", with = "duration")]
    #[schemars(with = "String")]
    pub connect_timeout: Duration,
}

impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresConfig")
            .field("tls", &self.tls)
            .field("tls_ca", &self.tls_ca)
            .field("connect_timeout", &self.connect_timeout)
            .finish_non_exhaustive()
    }
}

impl PostgresConfig {
    /// How to connect, as the pipeline of this name.
    ///
    /// # Errors
    /// `Config` if the URL cannot be used.
    pub fn connect(&self, pipeline: &str) -> Result<Connect> {
        let connect = Connect::new(&self.url, self.tls, self.connect_timeout)
            .context(|| "source")?
            .ca(self.tls_ca.clone())
            .application_name(&format!("etl-job {pipeline}"));
        Ok(connect)
    }
}

fn default_connect_timeout() -> Duration {
    Duration::from_secs(10)
}

#[cfg(test)]
mod tests {
    use etl_core::connector::section;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_section_is_read_and_shows_no_secret() {
        let value = json!({"type": "postgres", "url": "postgres://u:CANARY@h/d"});
        let config: PostgresConfig = section("source", &value).unwrap();
        assert_eq!(config.tls, Tls::VerifyFull);
        assert_eq!(config.connect_timeout, Duration::from_secs(10));
        assert!(!format!("{config:?}").contains("CANARY"));
        assert!(!format!("{:?}", config.connect("orders").unwrap()).contains("CANARY"));
        let wrong = json!({"type": "postgres", "url": "postgres://u@h/d", "tsl": "disable"});
        let error = section::<PostgresConfig>("source", &wrong).unwrap_err();
        assert!(error.to_string().contains("tsl"), "{error}");
    }
}
