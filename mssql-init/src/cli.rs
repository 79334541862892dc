//! The command line, and the settings that it and the pipeline file give together.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use etl_core::connector::section;
use etl_core::{Error, Result};
use etl_job::commands::is_refused_login;
use etl_job::config::{PipelineFile, Secrets};
use etl_job::secrets;
use etl_sql::mssql::MssqlConfig;
use etl_sql::mssql::config::MssqlSection;
use etl_sql::mssql::target::Target;
use secrecy::{ExposeSecret, SecretString};

use crate::{check_logins, check_metrics_login, same_login};

/// Prepares a SQL Server for a pipeline file: database, tables, logins, rights. Safe to repeat;
/// a changed password in a url is given to its login.
#[derive(Debug, Parser)]
#[command(name = "mssql-init", version)]
pub struct Cli {
    /// The pipeline file; its target.url names the database and the login to make.
    pub file: PathBuf,
    /// A file with the administrator's mssql://login:password@host:1433/master. Without it the
    /// environment's MSSQL_ADMIN_URL is used.
    #[arg(long, env = "MSSQL_ADMIN_URL_FILE")]
    pub admin_url_file: Option<PathBuf>,
    /// A file with mssql://etl_metrics:password@host:1433/database: a login to make that may read
    /// the state tables and nothing else, for `etl-job serve --metrics-only`.
    #[arg(long, env = "MSSQL_METRICS_URL_FILE")]
    pub metrics_url_file: Option<PathBuf>,
    /// Print the T-SQL instead of running it; the source is still asked for its columns.
    #[arg(long)]
    pub dry_run: bool,
    /// How long to wait for a server that is starting, such as 5m.
    #[arg(long, default_value = "5m", value_parser = humantime::parse_duration)]
    pub wait: Duration,
}

/// Everything that the steps are made of.
pub struct Settings {
    /// The job's login.
    pub job: MssqlConfig,
    /// The login for metrics, if one is wanted.
    pub metrics: Option<MssqlConfig>,
    /// The tables that the job will write.
    pub targets: Vec<Arc<Target>>,
    /// Why there is no table for the other streams.
    pub left_out: Vec<Error>,
}

impl Settings {
    /// Reads the pipeline file and asks its source for the columns.
    ///
    /// # Errors
    /// `Config` if the file or its target will not do; what the source says otherwise.
    pub async fn load(cli: &Cli) -> Result<Self> {
        let file = PipelineFile::load(&cli.file, Secrets::Required)?;
        if file.target().kind != "mssql" {
            return Err(Error::config(format!(
                "{}: the target is {}, not mssql; prepare it with `etl-job prepare`",
                cli.file.display(),
                file.target().kind
            )));
        }
        let own: MssqlSection = section("target", file.target().value())?;
        let job = own.into_config("mssql-init")?;
        let metrics = match &cli.metrics_url_file {
            Some(path) => {
                let metrics = login(&read(path, "the metrics url")?, "the metrics url")?;
                check_metrics_login(&metrics, &job)?;
                Some(metrics)
            }
            None => None,
        };
        let resolved = file.resolve(file.tables().await, &[]);
        let refused = resolved.refused.into_iter();
        let mut left_out: Vec<_> = refused
            .map(|refused| refused.error.context(format!("{}/{}", file.name(), refused.stream)))
            .collect();
        let mut targets = Vec::new();
        for stream in &resolved.streams {
            let planned = match file.output_schema(stream).await {
                Ok(schema) => Target::planned(&stream.config, &schema),
                Err(error) => Err(error),
            };
            match planned {
                Ok(target) => targets.push(Arc::new(target)),
                // The same login would be refused for every other stream, and get locked.
                Err(error) if is_refused_login(&error) => return Err(error),
                Err(error) => left_out.push(error.context(stream.full_name())),
            }
        }
        Ok(Self { job, metrics, targets, left_out })
    }

    /// The administrator's settings: the URL of its own, everything else as the pipeline's target.
    ///
    /// # Errors
    /// `Config` if there is none, if it is a placeholder, or if it is a login that is made.
    pub fn admin(&self, cli: &Cli) -> Result<MssqlConfig> {
        let from_url = login(&admin_url(cli)?, "the administrator's url")?;
        let admin = MssqlConfig {
            user: from_url.user,
            password: from_url.password,
            host: from_url.host,
            port: from_url.port,
            ..self.job.clone()
        };
        check_logins(&admin, &self.job)?;
        if let Some(metrics) = self.metrics.as_ref().filter(|metrics| same_login(&admin, metrics)) {
            return Err(Error::config(format!(
                "the metrics url uses the login {}, the administrator's; give it one of its own, \
                 such as etl_metrics",
                metrics.user
            )));
        }
        Ok(admin)
    }
}

/// The login of a url, whose password is never shown and none of those in examples.
fn login(url: &SecretString, what: &str) -> Result<MssqlConfig> {
    for password in secrets::passwords("url", url.expose_secret()) {
        secrets::remember(&password);
    }
    let login = MssqlConfig::from_url(url).map_err(|error| error.context(what))?;
    if secrets::is_placeholder(login.password.expose_secret()) {
        return Err(Error::config(format!(
            "{what}: the password is a placeholder from an example; choose another"
        )));
    }
    Ok(login)
}

fn read(path: &Path, what: &str) -> Result<SecretString> {
    std::fs::read_to_string(path).map(SecretString::from).map_err(|error| {
        Error::config(format!("reading {what} from {}", path.display())).with_source(error)
    })
}

fn admin_url(cli: &Cli) -> Result<SecretString> {
    if let Some(path) = &cli.admin_url_file {
        return read(path, "the administrator's url");
    }
    std::env::var("MSSQL_ADMIN_URL").map(SecretString::from).map_err(|_| {
        Error::config(
            "no administrator's url: give --admin-url-file, or MSSQL_ADMIN_URL_FILE or \
             MSSQL_ADMIN_URL in the environment",
        )
    })
}
