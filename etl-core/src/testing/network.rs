//! What lies between a client and a server, and what goes wrong there.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::error::{Error, Result};

/// How a network behaves; chances are 0 to 1. The default is a perfect one.
#[derive(Debug, Clone, Copy)]
pub struct Conditions {
    /// Each way of a message takes up to this long.
    pub delay: Duration,
    /// A transaction takes up to this long.
    pub work: Duration,
    /// After so long without an answer the client gives up, with an error of class `Unknown`.
    pub patience: Duration,
    /// How often the server ends the session before it begins: class `Transient`.
    pub refused: f64,
    /// How often a request never arrives.
    pub request_lost: f64,
    /// How often a request arrives, but its answer does not.
    pub answer_lost: f64,
    /// How often a request arrives only after up to ten times the client's patience.
    pub late: f64,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            work: Duration::ZERO,
            patience: Duration::from_mins(1),
            refused: 0.0,
            request_lost: 0.0,
            answer_lost: 0.0,
            late: 0.0,
        }
    }
}

/// A network with faults, from a seed.
///
/// The server works on a request in a task of its own: a client that is dropped, or that stops
/// waiting, takes nothing back.
#[derive(Debug, Clone)]
pub struct Network(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    conditions: Conditions,
    random: fastrand::Rng,
}

/// What becomes of one message exchange.
struct Fate {
    there: Duration,
    back: Duration,
    patience: Duration,
    refused: bool,
    request_lost: bool,
    answer_lost: bool,
}

impl Network {
    /// A network under `conditions`.
    #[must_use]
    pub fn new(conditions: Conditions, seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State { conditions, random: fastrand::Rng::with_seed(seed) })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on it behaves otherwise.
    pub fn change(&self, conditions: Conditions) {
        self.state().conditions = conditions;
    }

    /// How long a transaction takes now.
    pub(super) fn work(&self) -> Duration {
        let mut state = self.state();
        state.conditions.work.mul_f64(state.random.f64())
    }

    fn fate(&self) -> Fate {
        let State { conditions, random } = &mut *self.state();
        let late = random.f64() < conditions.late;
        let longest = if late { conditions.patience * 10 } else { conditions.delay };
        Fate {
            there: longest.mul_f64(random.f64()),
            back: conditions.delay.mul_f64(random.f64()),
            patience: conditions.patience,
            refused: random.f64() < conditions.refused,
            request_lost: random.f64() < conditions.request_lost,
            answer_lost: random.f64() < conditions.answer_lost,
        }
    }

    /// Has the server do `work` and waits for its answer. Dropped half way, the server still does what
    /// it was sent, as a true one.
    ///
    /// # Errors
    /// `work`'s own, or one of the network's.
    pub async fn call<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let fate = self.fate();
        if fate.refused {
            tokio::time::sleep(fate.there.min(fate.patience)).await;
            return Err(Error::transient("the server ended the session"));
        }
        let (answer, answered) = oneshot::channel();
        tokio::spawn(async move {
            tokio::time::sleep(fate.there).await;
            if fate.request_lost {
                return;
            }
            let result = work.await;
            tokio::time::sleep(fate.back).await;
            if !fate.answer_lost {
                // Nobody may be waiting any more.
                drop(answer.send(result));
            }
        });
        match tokio::time::timeout(fate.patience, answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Error::unknown("the connection broke while waiting for an answer")),
            Err(_) => Err(Error::unknown(format!("no answer within {:?}", fate.patience))),
        }
    }
}
