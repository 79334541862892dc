//! What each command does.

pub mod check;
pub mod demo;
pub mod lint;
pub mod prepare;
pub mod replay;
pub mod run;
pub mod schema;
pub mod serve;
pub mod state;

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use etl_core::{Error, Result};
use tokio::runtime::Runtime;

use crate::cli::Command;
use crate::report::{self, Output};
use crate::telemetry::Telemetry;
use crate::{exit, signals};

/// How long background work, such as a push that nobody waits for, may outlive its command.
const LINGER: Duration = Duration::from_millis(200);

/// Runs a command to its end; the exit code.
#[must_use]
pub fn execute(command: Command) -> u8 {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let code = outcome(|| runtime.block_on(Box::pin(dispatch(command))));
    runtime.shutdown_timeout(LINGER);
    code
}

/// The exit code of whatever way `work` ends.
fn outcome(work: impl FnOnce() -> Result<u8>) -> u8 {
    match std::panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => failed(&error),
        // The panic hook has said what happened.
        Err(_) => exit::DEFECT,
    }
}

fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::internal("starting the runtime").with_source(error))
}

async fn dispatch(command: Command) -> Result<u8> {
    match command {
        Command::Lint(args) => Ok(lint::lint(&args)),
        Command::Schema => schema::schema(),
        Command::Check(args) => check::check(&args).await,
        Command::Prepare(args) => {
            let output = Output::new(args.json);
            prepare::prepare(&args.file, args.plan, output).await
        }
        Command::State(args) => state::state(args.action).await,
        Command::Run(args) => {
            let stop = listen()?;
            run::run(&args, &Telemetry::start()?, &stop).await
        }
        Command::Replay(args) => {
            let stop = listen()?;
            replay::replay(&args, &Telemetry::start()?, &stop).await
        }
        Command::Serve(args) => {
            let stop = listen()?;
            serve::serve(&args, &Telemetry::start()?, &stop).await
        }
        Command::Demo(args) => {
            let stop = listen()?;
            demo::demo(&args, &Telemetry::start()?, &stop).await
        }
    }
}

fn listen() -> Result<tokio_util::sync::CancellationToken> {
    signals::listen().map_err(|error| Error::internal("listening for signals").with_source(error))
}

/// Says what ended a command; its exit code.
#[must_use]
pub fn failed(error: &Error) -> u8 {
    let text = report::error(error);
    tracing::error!(class = error.class().as_str(), code = error.code(), "{text}");
    error.class().exit_code()
}

/// Whether a server refused the login itself: the same login is then refused for whatever else,
/// and asking again helps to lock the account.
#[must_use]
pub fn is_refused_login(error: &Error) -> bool {
    let code = error.code().unwrap_or_default();
    etl_sql::mssql::error::is_refused_login(code)
        || etl_sql::postgres::error::is_refused_login(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_with_70() {
        assert_eq!(outcome(|| panic!("a defect")), exit::DEFECT);
        assert_eq!(outcome(|| Ok(exit::DIFFERENT)), exit::DIFFERENT);
        assert_eq!(outcome(|| Err(Error::permission("no"))), 77);
    }
}
