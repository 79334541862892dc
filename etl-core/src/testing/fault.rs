//! Faults around any sink or source: a call that fails before it ran, one that ran but whose
//! answer is lost, one that is slow, one that waits for the test.

mod sink;
mod source;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::error::{Class, Error, Result};

pub use sink::FaultySink;
pub use source::FaultySource;

/// What happens to a call.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It fails with this class before it ran.
    Refuse(Class),
    /// It runs; then the caller gets an error of class `Unknown` instead of the answer.
    LoseAnswer,
    /// It runs after so long.
    Slow(Duration),
    /// It runs once the test opens the gate.
    Hold(Gate),
    /// It panics before it ran.
    Panic,
}

/// The methods of a sink and a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// `Sink::open`.
    Open,
    /// `Sink::claim`.
    Claim,
    /// `Sink::commit`.
    Commit,
    /// `Sink::probe`.
    Probe,
    /// `Sink::quarantined`.
    Quarantined,
    /// `Sink::apply`.
    Apply,
    /// `Sink::renew`.
    Renew,
    /// `Sink::finish`.
    Finish,
    /// `Source::schema`.
    Schema,
    /// `Source::read`.
    Read,
    /// One batch of the stream that `Source::read` gave.
    Batch,
    /// `Source::committed`.
    Committed,
    /// `Source::check`.
    Check,
    /// `Lookup::rows`.
    Lookup,
}

/// When a fault happens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum When {
    /// At every call.
    Always,
    /// At the call with this number, from 1, over all wrappers that share the faults.
    Call(u64),
    /// At the first so many calls.
    First(u64),
    /// With this chance, 0 to 1.
    Chance(f64),
}

/// So many calls of one method are those of a loop without an end, which a test must not follow: with a
/// paused clock it waits for nothing. No test comes near it: their runs have tens of batches.
const ENDLESS: u64 = 20_000;

/// The faults of one or more wrappers, shared with the test that programs them.
#[derive(Debug, Clone)]
pub struct Faults(Arc<Mutex<Program>>);

#[derive(Debug)]
struct Program {
    rules: Vec<(Method, When, Fault)>,
    calls: BTreeMap<Method, u64>,
    random: fastrand::Rng,
}

impl Faults {
    /// No fault yet; chances are rolled from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let (rules, calls) = (Vec::new(), BTreeMap::new());
        Self(Arc::new(Mutex::new(Program { rules, calls, random: fastrand::Rng::with_seed(seed) })))
    }

    /// The same faults and one more; of several that apply to a call, the first happens.
    #[must_use]
    pub fn with(self, method: Method, when: When, fault: Fault) -> Self {
        self.program().rules.push((method, when, fault));
        self
    }

    /// No fault from now on.
    pub fn clear(&self) {
        self.program().rules.clear();
    }

    /// How often a method was called, the calls that failed included.
    #[must_use]
    pub fn calls(&self, method: Method) -> u64 {
        self.program().calls.get(&method).copied().unwrap_or(0)
    }

    fn program(&self) -> MutexGuard<'_, Program> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[allow(clippy::panic, reason = "a test that goes on for ever says nothing")]
    fn next(&self, method: Method) -> Option<Fault> {
        let Program { rules, calls, random } = &mut *self.program();
        let call = calls.entry(method).or_default();
        *call += 1;
        if *call > ENDLESS {
            panic!("{method:?} was called more than {ENDLESS} times: it has no end");
        }
        let applies = |when: When, random: &mut fastrand::Rng| match when {
            When::Always => true,
            When::Call(number) => *call == number,
            When::First(count) => *call <= count,
            When::Chance(chance) => random.f64() < chance,
        };
        rules
            .iter()
            .find(|(of, when, _)| *of == method && applies(*when, random))
            .map(|(_, _, fault)| fault.clone())
    }

    /// Runs one call under whatever fault is due.
    #[allow(clippy::panic, reason = "a fault that a test asks for")]
    async fn around<T>(&self, method: Method, call: impl Future<Output = Result<T>>) -> Result<T> {
        match self.next(method) {
            Some(Fault::Refuse(class)) => {
                return Err(Error::new(class, format!("{method:?} was refused by a fault")));
            }
            Some(Fault::LoseAnswer) => {
                drop(call.await);
                return Err(Error::unknown(format!(
                    "the answer to {method:?} was lost by a fault"
                )));
            }
            Some(Fault::Slow(time)) => tokio::time::sleep(time).await,
            Some(Fault::Hold(gate)) => gate.pass().await,
            Some(Fault::Panic) => panic!("{method:?} panicked by a fault"),
            None => {}
        }
        call.await
    }
}

/// Holds calls until a test opens it.
#[derive(Debug, Clone)]
pub struct Gate {
    reached: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { reached: Arc::new(Semaphore::new(0)), open: Arc::new(Semaphore::new(0)) }
    }
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits until a call stands before the gate; each call is seen once, also if the future is dropped.
    ///
    /// # Panics
    /// If none came for an hour.
    #[allow(clippy::panic, reason = "a test that waits for ever says nothing")]
    pub async fn reached(&self) {
        match tokio::time::timeout(Duration::from_hours(1), self.reached.acquire()).await {
            Ok(Ok(permit)) => permit.forget(),
            Ok(Err(_)) => {}
            Err(_) => panic!("no call came to the gate"),
        }
    }

    /// Opens it for good.
    pub fn open(&self) {
        // A closed semaphore lets everybody through.
        self.open.close();
    }

    async fn pass(&self) {
        self.reached.add_permits(1);
        drop(self.open.acquire().await);
    }
}

#[cfg(test)]
mod tests;
