//! When and how long to wait before trying again.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::{Class, Error, Result};

/// Full-jitter exponential back-off: each wait is uniform in `0..min(cap, base * 2^n)`.
///
/// The algorithm is "Full Jitter" of Marc Brooker, *Exponential Backoff And Jitter*, AWS
/// Architecture Blog, 2015; base and cap are the defaults of EF Core's retrying strategy (1 s,
/// 30 s) with the cap doubled, since a job has minutes and no user who waits.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// The upper bound of the first wait.
    pub base: Duration,
    /// The upper bound of any wait.
    pub cap: Duration,
    /// How often the same thing is tried before the error is final.
    pub tries: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { base: Duration::from_secs(1), cap: Duration::from_mins(1), tries: 8 }
    }
}

/// The tries of one thing, under the run's deadline and stop token.
pub struct Retry<'a> {
    policy: RetryPolicy,
    deadline: Option<Instant>,
    stop: &'a CancellationToken,
    failures: u32,
    /// How many of the last failures in a row would be of another class if they lasted.
    doubtful: u32,
}

impl<'a> Retry<'a> {
    /// Nothing has failed yet.
    #[must_use]
    pub fn new(
        policy: RetryPolicy,
        deadline: Option<Instant>,
        stop: &'a CancellationToken,
    ) -> Self {
        Self { policy, deadline, stop, failures: 0, doubtful: 0 }
    }

    /// It worked: the next failure is a first one again.
    pub fn reset(&mut self) {
        (self.failures, self.doubtful) = (0, 0);
    }

    /// Waits before the next try. Dropped half way, the try still counts.
    ///
    /// # Errors
    /// Gives `error` back, with how often it was tried, if its class is not worth a retry, or not
    /// any more, the tries are used up, the deadline would pass, or the run was asked to stop.
    pub async fn wait(&mut self, error: Error) -> Result<()> {
        self.doubtful = if error.may_last() { self.doubtful + 1 } else { 0 };
        let error = error.after(self.doubtful);
        if !error.class().is_retryable() {
            return Err(error);
        }
        self.failures += 1;
        let tries = self.failures;
        if tries >= self.policy.tries {
            return Err(error.context(format!("tried {tries} times")));
        }
        let pause = self.pause(&error);
        if self.deadline.is_some_and(|deadline| Instant::now() + pause >= deadline) {
            return Err(error.context(format!("tried {tries} times until the run's deadline")));
        }
        tracing::warn!(
            class = error.class().as_str(),
            code = error.code(),
            tries,
            pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
            "trying again: {error:?}"
        );
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(error.context("asked to stop while trying again")),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }

    fn pause(&self, error: &Error) -> Duration {
        let bound =
            self.policy.base.saturating_mul(1 << (self.failures - 1).min(16)).min(self.policy.cap);
        let pause = bound.mul_f64(fastrand::f64());
        // A server that is short of disk or log needs time, whatever the dice say.
        if error.class() == Class::Capacity { bound / 2 + pause / 2 } else { pause }
    }
}
