//! Every statement, in order, with where it runs.

use std::sync::Arc;

use etl_core::Result;
use etl_core::sink::Statement;
use etl_sql::mssql::target::Target;
use etl_sql::mssql::{MssqlConfig, login, plan};

/// Where a statement runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In `master`.
    Master,
    /// In the pipeline's database.
    Database,
}

impl Place {
    /// In words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Database => "the pipeline's database",
        }
    }
}

/// One step of the preparation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is sent.
    pub statement: Statement,
    /// Where.
    pub place: Place,
    /// Whose password it takes as `@P1`.
    pub password: Option<Login>,
}

/// A login that is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// The job's.
    Job,
    /// The one that reads the state tables for metrics.
    Metrics,
}

impl Step {
    fn at(place: Place, statement: Statement) -> Self {
        Self { statement, place, password: None }
    }
}

/// The steps for a job's login, perhaps one for metrics, the database and its targets.
///
/// # Errors
/// `Config` or `Schema` if a target cannot be made.
pub fn steps(
    job: &MssqlConfig,
    metrics: Option<&MssqlConfig>,
    targets: &[Arc<Target>],
) -> Result<Vec<Step>> {
    let (database, schema) = (&job.database, &job.state_schema);
    let login = |whose: Login, user: &str| -> Result<Step> {
        let statement = login::create_login(user, database)?;
        Ok(Step { password: Some(whose), ..Step::at(Place::Master, statement) })
    };
    let mut steps = vec![
        Step::at(Place::Master, plan::take_lock()),
        Step::at(Place::Master, login::create_database(database)?),
        login(Login::Job, &job.user)?,
    ];
    if let Some(metrics) = metrics {
        steps.push(login(Login::Metrics, &metrics.user)?);
    }
    let mut add = |statements: Vec<Statement>| {
        for statement in statements {
            let step = Step::at(Place::Database, statement);
            if !steps.contains(&step) {
                steps.push(step);
            }
        }
    };
    for target in targets {
        add(plan::statements(schema, target)?);
    }
    add(login::create_user(&job.user, login::ROLE, schema)?);
    for target in targets {
        add(plan::grants(schema, target, login::ROLE)?);
    }
    if let Some(metrics) = metrics {
        add(login::create_user(&metrics.user, login::READER, schema)?);
        add(plan::reader_grants(schema, login::READER)?);
    }
    Ok(steps)
}
