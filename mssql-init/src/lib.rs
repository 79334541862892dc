//! Prepares a SQL Server for a pipeline: database, state tables, target tables, login, rights.
//!
//! Every step looks before it acts, and one preparation at a time holds a lock: running it twice,
//! four at once, or again after it was killed anywhere ends in the same state.

pub mod cli;
pub mod steps;

use std::sync::Arc;
use std::time::Duration;

use etl_core::{Class, Error, Result};
use etl_sql::mssql::connect::Connection;
use etl_sql::mssql::error::Phase;
use etl_sql::mssql::target::Target;
use etl_sql::mssql::{MssqlConfig, login};
use secrecy::ExposeSecret;
use steps::{Place, Step};
use tokio::time::{Instant, sleep};

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
    job: &MssqlConfig,
    steps: &[Step],
    targets: &[Arc<Target>],
    wait: Duration,
) -> Result<()> {
    let deadline = Instant::now() + wait;
    let mut place = Place::Master;
    let mut connection = wait_for(&admin.with_database("master"), deadline).await?;
    for (index, step) in steps.iter().enumerate() {
        if step.place != place {
            place = step.place;
            connection = wait_for(&admin.with_database(&job.database), deadline).await?;
        }
        let doing = format!("step {} of {}, {}", index + 1, steps.len(), step.statement.name);
        send(&mut connection, step, job, &doing).await?;
        tracing::info!(step = index + 1, "{}", step.statement.name);
    }
    // A table that was there before must fit as well.
    for target in targets {
        target.found(&mut connection).await?;
    }
    Ok(())
}

async fn send(
    connection: &mut Connection,
    step: &Step,
    job: &MssqlConfig,
    doing: &str,
) -> Result<()> {
    if step.takes_password {
        let password = job.password.expose_secret();
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
    let same = admin.user.to_lowercase() == job.user.to_lowercase();
    let length = job.password.expose_secret().encode_utf16().count();
    if length > MAX_PASSWORD_UNITS {
        return Err(Error::config(format!(
            "the password of {} has {length} UTF-16 code units; SQL Server takes {MAX_PASSWORD_UNITS}",
            job.user
        )));
    }
    if same || job.user.eq_ignore_ascii_case("sa") {
        return Err(Error::config(format!(
            "the pipeline's target uses the login {}, an administrator's; give the job a login of \
             its own in target.url, mssql-init creates it with the role {}",
            job.user,
            login::ROLE
        )));
    }
    Ok(())
}
