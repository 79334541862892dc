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
    /// Whether it takes the job's password as `@P1`.
    pub takes_password: bool,
}

impl Step {
    fn at(place: Place, statement: Statement) -> Self {
        Self { statement, place, takes_password: false }
    }
}

/// The steps for a job's login, database and targets.
///
/// # Errors
/// `Config` or `Schema` if a target cannot be made.
pub fn steps(job: &MssqlConfig, targets: &[Arc<Target>]) -> Result<Vec<Step>> {
    let (database, schema) = (&job.database, &job.state_schema);
    let mut steps = vec![
        Step::at(Place::Master, plan::take_lock()),
        Step::at(Place::Master, login::create_database(database)?),
        Step {
            takes_password: true,
            ..Step::at(Place::Master, login::create_login(&job.user, database)?)
        },
    ];
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
    add(login::create_user(&job.user, schema)?);
    for target in targets {
        add(plan::grants(schema, target, login::ROLE)?);
    }
    Ok(steps)
}
