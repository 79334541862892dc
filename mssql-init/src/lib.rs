//! Prepares a SQL Server for a pipeline: database, state tables, target tables, logins, rights.
//!
//! Every step looks before it acts, and one preparation at a time holds a lock: running it twice,
//! four at once, or again after it was killed anywhere ends in the same state.

pub mod cli;
pub mod steps;

use std::time::Duration;

use etl_core::{Class, Error, Result};
use etl_sql::mssql::connect::Connection;
use etl_sql::mssql::error::Phase;
use etl_sql::mssql::{MssqlConfig, login};
use secrecy::ExposeSecret;
use steps::{Login, Place, Step};
use tokio::time::{Instant, sleep};

use cli::Settings;

/// How often a server that is starting is asked again.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// A refused login is asked again this often: a new server sets its administrator's password
/// while it already answers, but every refusal counts towards locking an account.
const REFUSALS: u32 = 4;

/// Runs every step, and looks whether the targets fit.
///
/// # Errors
/// With the number and name of the step that failed; what came before it stays, and running again
/// goes on from there.
pub async fn run(
    admin: &MssqlConfig,
    settings: &Settings,
    steps: &[Step],
    wait: Duration,
) -> Result<()> {
    let deadline = Instant::now() + wait;
    let mut place = Place::Master;
    let mut connection = wait_for(&admin.with_database("master"), deadline).await?;
    for (index, step) in steps.iter().enumerate() {
        if step.place != place {
            place = step.place;
            connection = wait_for(&admin.with_database(&settings.job.database), deadline).await?;
        }
        let doing = format!("step {} of {}, {}", index + 1, steps.len(), step.statement.name);
        send(&mut connection, step, settings, &doing).await?;
        tracing::info!(step = index + 1, "{}", step.statement.name);
    }
    // A table that was there before must fit as well.
    for target in &settings.targets {
        target.found(&mut connection).await?;
        if let Some(stage) = target.stage(&settings.job.state_schema)? {
            stage.found(&mut connection).await?;
        }
    }
    Ok(())
}

async fn send(
    connection: &mut Connection,
    step: &Step,
    settings: &Settings,
    doing: &str,
) -> Result<()> {
    let login = match step.password {
        Some(Login::Job) => Some(&settings.job),
        Some(Login::Metrics) => settings.metrics.as_ref(),
        None => None,
    };
    if let Some(login) = login {
        let password = login.password.expose_secret();
        let parameters: [&dyn tiberius::ToSql; 1] = [&password];
        connection.query(&step.statement.text, &parameters, Phase::Repeatable, doing).await?;
    } else {
        connection.batch(&step.statement.text, doing).await?;
    }
    Ok(())
}

/// Waits until the server lets the administrator in: a port that answers is not enough.
async fn wait_for(admin: &MssqlConfig, deadline: Instant) -> Result<Connection> {
    let mut refusals = 0;
    loop {
        let error = match Connection::open(admin).await {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        let patient = match error.class() {
            Class::Transient => true,
            Class::Permission => {
                refusals += 1;
                refusals < REFUSALS
            }
            _ => false,
        };
        if !patient || Instant::now() + ASK_EVERY > deadline {
            return Err(error);
        }
        tracing::info!("waiting for the server: {error}");
        sleep(ASK_EVERY).await;
    }
}

/// The longest password of a login.
const MAX_PASSWORD_UNITS: usize = 128;

/// Checks that the job does not use the administrator's login, and that its password can be one.
///
/// # Errors
/// `Config` if it does.
pub fn check_logins(admin: &MssqlConfig, job: &MssqlConfig) -> Result<()> {
    check_password(job)?;
    if same_login(admin, job) || job.user.eq_ignore_ascii_case("sa") {
        return Err(Error::config(format!(
            "the pipeline's target uses the login {}, an administrator's; give the job a login of \
             its own in target.url, mssql-init creates it with the role {}",
            job.user,
            login::ROLE
        )));
    }
    Ok(())
}

/// Checks that the login for metrics is one of its own, on the pipeline's server and database.
///
/// # Errors
/// `Config` with what to change.
pub fn check_metrics_login(metrics: &MssqlConfig, job: &MssqlConfig) -> Result<()> {
    check_password(metrics)?;
    let place = |of: &MssqlConfig| format!("{}:{}/{}", of.host, of.port, of.database);
    let (found, wanted) = (place(metrics), place(job));
    if found.to_lowercase() != wanted.to_lowercase() {
        return Err(Error::config(format!(
            "the metrics url leads to {found}, the pipeline's target to {wanted}; metrics are read \
             where the job writes"
        )));
    }
    let own = [job.user.as_str(), "sa", login::ROLE, login::READER];
    if own.iter().any(|other| metrics.user.to_lowercase() == other.to_lowercase()) {
        return Err(Error::config(format!(
            "the metrics url uses the login {}, which is the job's, sa, or a role's name; give it a \
             login of its own, such as etl_metrics: mssql-init creates it with the role {}",
            metrics.user,
            login::READER
        )));
    }
    Ok(())
}

/// Whether two logins are one; SQL Server's usual collations do not see case.
#[must_use]
pub fn same_login(one: &MssqlConfig, other: &MssqlConfig) -> bool {
    one.user.to_lowercase() == other.user.to_lowercase()
}

fn check_password(login: &MssqlConfig) -> Result<()> {
    let length = login.password.expose_secret().encode_utf16().count();
    if length > MAX_PASSWORD_UNITS {
        return Err(Error::config(format!(
            "the password of {} has {length} UTF-16 code units; SQL Server takes {MAX_PASSWORD_UNITS}",
            login.user
        )));
    }
    Ok(())
}
