//! Named cases: each on something fresh, all of them run, the failing ones told by name.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};

use crate::error::Error;

/// No case may hang a build: the slowest waits for a few leases to expire.
const TIME_LIMIT: Duration = Duration::from_mins(5);

/// Cases mostly wait: for leases to expire, for a server to answer.
const AT_ONCE: usize = 4;

/// Why a case failed.
#[derive(Debug)]
pub struct Failure(String);

/// What a case answers.
pub type Check = Result<(), Failure>;

impl Failure {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(format!("unexpected error: {error:?}"))
    }
}

/// Fails the case unless a condition holds.
macro_rules! check {
    ($condition:expr, $($why:tt)+) => {
        if !$condition {
            return Err($crate::testing::Failure::new(format!($($why)+)));
        }
    };
}

/// Fails the case unless two things are equal.
macro_rules! check_eq {
    ($found:expr, $expected:expr, $($what:tt)+) => {
        match (&$found, &$expected) {
            (found, expected) => {
                if found != expected {
                    return Err($crate::testing::Failure::new(format!(
                        "{}: expected {expected:?}, found {found:?}",
                        format_args!($($what)+)
                    )));
                }
            }
        }
    };
}

/// Fails the case unless a result is an error of a class; gives the error.
macro_rules! check_class {
    ($result:expr, $class:expr, $($what:tt)+) => {
        match $result {
            Err(error) if error.class() == $class => error,
            Err(error) => {
                return Err($crate::testing::Failure::new(format!(
                    "{}: expected an error of class {}, found {error:?}",
                    format_args!($($what)+), $class
                )));
            }
            Ok(_) => {
                return Err($crate::testing::Failure::new(format!(
                    "{}: expected an error of class {}, but it worked",
                    format_args!($($what)+), $class
                )));
            }
        }
    };
}

pub(super) use {check, check_class, check_eq};

/// A case of a suite.
pub(super) struct Case<T> {
    pub(super) name: &'static str,
    pub(super) run: for<'a> fn(&'a T) -> BoxFuture<'a, Check>,
}

/// The cases of a suite, named after their functions.
macro_rules! cases {
    ($($module:ident :: $function:ident),* $(,)?) => {
        [$($crate::testing::case::Case {
            name: stringify!($function),
            run: |on| Box::pin($module::$function(on)),
        }),*]
    };
}

pub(super) use cases;

/// Runs the cases of `suite`, each on something that `fresh` makes, and panics with the names
/// and reasons of all that failed. The environment variable `ETL_CASE` chooses those whose name
/// contains its text.
#[allow(clippy::panic, reason = "a test suite reports by panicking")]
pub(super) async fn run_all<T>(
    suite: &str,
    cases: &[Case<T>],
    fresh: impl AsyncFn() -> Result<T, Error>,
) {
    let only = std::env::var("ETL_CASE").unwrap_or_default();
    let chosen = cases.iter().filter(|case| case.name.contains(&only));
    let failures: Vec<String> = stream::iter(chosen.map(|case| run_one(case, &fresh)))
        .buffered(AT_ONCE)
        .filter_map(|failure| async { failure })
        .collect()
        .await;
    if !failures.is_empty() {
        panic!("{suite}: {} failed\n{}", failures.len(), failures.join("\n"));
    }
}

/// The case's name and why it failed, if it did.
async fn run_one<T>(case: &Case<T>, fresh: &impl AsyncFn() -> Result<T, Error>) -> Option<String> {
    let Failure(why) = check_one(case, fresh).await.err()?;
    Some(format!("  {}: {why}", case.name))
}

async fn check_one<T>(case: &Case<T>, fresh: &impl AsyncFn() -> Result<T, Error>) -> Check {
    let on = fresh().await.map_err(|error| Failure(format!("no fixture: {error:?}")))?;
    let run = AssertUnwindSafe((case.run)(&on)).catch_unwind();
    match tokio::time::timeout(TIME_LIMIT, run).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(Failure::new("panicked; see stderr")),
        Err(_) => Err(Failure(format!("still running after {TIME_LIMIT:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    mod sample {
        use super::super::*;

        pub(super) async fn holds(on: &u8) -> Check {
            check_eq!(*on, 7, "the fixture");
            Ok(())
        }

        pub(super) async fn breaks(_: &u8) -> Check {
            check!(1 > 2, "one is not more than {}", 2);
            Ok(())
        }
    }

    #[tokio::test]
    #[should_panic(expected = "breaks: one is not more than 2")]
    async fn a_failing_case_is_told_by_name() {
        run_all("sample", &cases![sample::holds, sample::breaks], async || Ok(7)).await;
    }
}
