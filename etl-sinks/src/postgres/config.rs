//! The `target:` section of a pipeline file.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use etl_core::connector::duration;
use etl_core::error::{Result, ResultExt};
use etl_sql::postgres::session::Limits;
use etl_sql::postgres::{Connect, Tls, quote};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;

/// A Postgres server to write to.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostgresTarget {
    /// `postgres://user:password@host:5432/database`; a secret, best from a file.
    #[schemars(with = "String")]
    url: SecretString,
    /// How the server is made sure of.
    #[serde(default)]
    tls: Tls,
    /// A PEM file with the CA of the server's certificate, if a public one did not sign it.
    #[serde(default)]
    tls_ca: Option<PathBuf>,
    /// The schema of the tables that hold checkpoints and ledger.
    #[serde(default = "default_state_schema")]
    pub(super) state_schema: String,
    /// The role that `prepare` gives the rights of the job; without it nothing is granted.
    #[serde(default)]
    pub(super) grant_to: Option<String>,
    /// How long the server may take to answer a connection.
    #[serde(default = "default_connect_timeout", with = "duration")]
    #[schemars(with = "String")]
    connect_timeout: Duration,
    /// How long one statement may take.
    #[serde(default = "default_command_timeout", with = "duration")]
    #[schemars(with = "String")]
    command_timeout: Duration,
    /// How long a statement waits for a lock.
    #[serde(default = "default_lock_timeout", with = "duration")]
    #[schemars(with = "String")]
    lock_timeout: Duration,
}

impl fmt::Debug for PostgresTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresTarget")
            .field("tls", &self.tls)
            .field("tls_ca", &self.tls_ca)
            .field("state_schema", &self.state_schema)
            .field("grant_to", &self.grant_to)
            .finish_non_exhaustive()
    }
}

impl PostgresTarget {
    /// How to connect, as the pipeline of this name.
    ///
    /// # Errors
    /// `Config` if the URL or a name cannot be used.
    pub(super) fn connect(&self, pipeline: &str) -> Result<Connect> {
        quote::name(&self.state_schema).context(|| "target: state_schema")?;
        if let Some(role) = &self.grant_to {
            quote::name(role).context(|| "target: grant_to")?;
        }
        let connect = Connect::new(&self.url, self.tls, self.connect_timeout)
            .context(|| "target")?
            .ca(self.tls_ca.clone())
            .application_name(&format!("etl-job {pipeline}"));
        Ok(connect)
    }

    /// Postgres counts in milliseconds, and takes 0 for "no limit".
    pub(super) fn limits(&self) -> Limits {
        let least = Duration::from_millis(100);
        Limits { statement: self.command_timeout.max(least), lock: self.lock_timeout.max(least) }
    }
}

fn default_state_schema() -> String {
    "etl".to_owned()
}

fn default_connect_timeout() -> Duration {
    Duration::from_secs(10)
}

fn default_command_timeout() -> Duration {
    Duration::from_mins(3)
}

fn default_lock_timeout() -> Duration {
    Duration::from_secs(30)
}

#[cfg(test)]
mod tests {
    use etl_core::connector::section;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_section_is_read_and_shows_no_secret() {
        let value = json!({"type": "postgres", "url": "postgres://u:CANARY@h/d"});
        let config: PostgresTarget = section("target", &value).unwrap();
        assert_eq!(config.tls, Tls::VerifyFull);
        assert_eq!(config.state_schema, "etl");
        assert_eq!(config.limits().lock, Duration::from_secs(30));
        assert!(!format!("{config:?}").contains("CANARY"));
        assert!(!format!("{:?}", config.connect("orders").unwrap()).contains("CANARY"));
        for (key, wrong) in [("state_schema", "x".repeat(64)), ("grant_to", String::new())] {
            let mut value = value.clone();
            value[key] = json!(wrong);
            let config: PostgresTarget = section("target", &value).unwrap();
            let error = config.connect("orders").unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
        }
    }
}
