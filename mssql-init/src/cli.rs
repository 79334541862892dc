//! The command line, and the settings that it and the pipeline file give together.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use etl_core::connector::section;
use etl_core::{Error, Result};
use etl_job::config::{PipelineFile, Secrets};
use etl_job::secrets;
use etl_sql::mssql::MssqlConfig;
use etl_sql::mssql::config::MssqlSection;
use etl_sql::mssql::target::Target;
use secrecy::{ExposeSecret, SecretString};

use crate::check_logins;

/// Prepares a SQL Server for a pipeline file: database, tables, login, rights. Safe to repeat;
/// a changed password in the file's target.url is given to the login.
#[derive(Debug, Parser)]
#[command(name = "mssql-init", version)]
pub struct Cli {
    /// The pipeline file; its target.url names the database and the login to make.
    pub file: PathBuf,
    /// A file with the administrator's mssql://login:password@host:1433/master. Without it the
    /// environment's MSSQL_ADMIN_URL is used.
    #[arg(long, env = "MSSQL_ADMIN_URL_FILE")]
    pub admin_url_file: Option<PathBuf>,
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
    /// The tables that the job will write.
    pub targets: Vec<Arc<Target>>,
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
        let mut targets = Vec::new();
        for stream in file.streams() {
            let schema = file.output_schema(stream).await?;
            targets.push(Arc::new(Target::planned(&stream.config, &schema)?));
        }
        Ok(Self { job, targets })
    }

    /// The administrator's settings: the URL of its own, everything else as the pipeline's target.
    ///
    /// # Errors
    /// `Config` if there is none, if it is a placeholder, or if it is the job's own login.
    pub fn admin(&self, cli: &Cli) -> Result<MssqlConfig> {
        let url = admin_url(cli)?;
        for password in secrets::passwords("url", url.expose_secret()) {
            secrets::remember(&password);
        }
        let from_url = MssqlConfig::from_url(&url)
            .map_err(|error| error.context("the administrator's url"))?;
        if secrets::is_placeholder(from_url.password.expose_secret()) {
            return Err(Error::config(
                "the administrator's password is a placeholder from an example; choose another",
            ));
        }
        let admin = MssqlConfig {
            user: from_url.user,
            password: from_url.password,
            host: from_url.host,
            port: from_url.port,
            ..self.job.clone()
        };
        check_logins(&admin, &self.job)?;
        Ok(admin)
    }
}

fn admin_url(cli: &Cli) -> Result<SecretString> {
    if let Some(path) = &cli.admin_url_file {
        return std::fs::read_to_string(path).map(SecretString::from).map_err(|error| {
            Error::config(format!("reading the administrator's url from {}", path.display()))
                .with_source(error)
        });
    }
    std::env::var("MSSQL_ADMIN_URL").map(SecretString::from).map_err(|_| {
        Error::config(
            "no administrator's url: give --admin-url-file, or MSSQL_ADMIN_URL_FILE or \
             MSSQL_ADMIN_URL in the environment",
        )
    })
}
