//! Faults that a test sets: errors, cut connections, lost, held and late answers.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::tds::error::{Reach, SqlError};

/// Where a fault strikes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Point {
    /// Before a statement whose text contains this, in any case.
    Statement(String),
    /// A login, after the password was checked.
    Login,
    /// A bulk load whose rows have all arrived, before any is stored.
    BulkEnd,
    /// A COMMIT that would end its transaction, before it does.
    Commit,
    /// A COMMIT that has ended its transaction, before the answer.
    Committed,
    /// A packet from the client, as soon as it was read.
    PacketIn,
    /// A packet to the client, before it is written.
    #[default]
    PacketOut,
}

/// What happens there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The server raises this error.
    Error {
        /// Error number.
        number: i32,
        /// Severity; from 20 on the connection is closed too.
        class: u8,
        /// State.
        state: u8,
        /// Text.
        message: String,
    },
    /// The server raises these errors in one answer, in this order. Those of severity 10 and less
    /// are messages.
    Errors(Vec<Raised>),
    /// The connection is closed at once. A batch that runs goes on to its end.
    Cut,
    /// The batch runs to its end, then the connection is closed instead of answering.
    DropAnswer,
    /// The statement waits until [`crate::tds::Handle::release`] is called with this name.
    Hold(String),
    /// The batch runs to its end, then its answer waits until it is released.
    HoldAnswer(String),
    /// The statement waits this many milliseconds.
    Delay(u64),
    /// The answer waits this many milliseconds.
    DelayAnswer(u64),
}

/// An error of an [`Action::Errors`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raised {
    /// Error number.
    pub number: i32,
    /// Severity; from 20 on the connection is closed too.
    pub class: u8,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Where.
    pub point: Point,
    /// The occurrence that it strikes, counted from 1 from the moment it is set.
    #[serde(default = "one")]
    pub nth: u64,
    /// Whether it strikes every later occurrence too.
    #[serde(default)]
    pub always: bool,
    /// What.
    pub action: Action,
}

fn one() -> u64 {
    1
}

impl Fault {
    /// A fault at the first occurrence of `point`, once.
    #[must_use]
    pub fn new(point: Point, action: Action) -> Fault {
        Fault { point, nth: 1, always: false, action }
    }

    /// The same at the nth occurrence.
    #[must_use]
    pub fn nth(mut self, nth: u64) -> Fault {
        self.nth = nth;
        self
    }

    /// The same at every occurrence from the nth on.
    #[must_use]
    pub fn always(mut self) -> Fault {
        self.always = true;
        self
    }

    /// Error `number` at a statement that contains `text`.
    #[must_use]
    pub fn error_at(text: &str, number: i32, class: u8) -> Fault {
        let action = Action::Errors(vec![Raised { number, class }]);
        Fault::new(Point::Statement(text.to_owned()), action)
    }
}

/// How often things happened since the server started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Logins that succeeded.
    pub sessions: u64,
    /// Sessions that are open now.
    pub open_sessions: u64,
    /// Statements that were run, nested ones included.
    pub statements: u64,
    /// Batches, procedure calls, transaction requests and bulk loads received.
    pub requests: u64,
    /// Packets received.
    pub packets_in: u64,
    /// Packets sent.
    pub packets_out: u64,
    /// Transactions committed that changed something, and those that changed nothing.
    pub commits: u64,
    /// Faults that struck.
    pub faults: u64,
}

#[derive(Default)]
struct Inner {
    faults: Vec<(Fault, u64)>,
    counters: Counters,
    released: Vec<String>,
    held: Vec<String>,
    closing: bool,
    statements: Vec<String>,
}

/// The faults, counters and statement log of one server.
#[derive(Default)]
pub(crate) struct Faults {
    inner: Mutex<Inner>,
    changed: Condvar,
}

impl Faults {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, fault: Fault) {
        self.lock().faults.push((fault, 0));
    }

    pub(crate) fn clear(&self) {
        let mut inner = self.lock();
        inner.faults.clear();
        let held = std::mem::take(&mut inner.held);
        inner.released.extend(held);
        self.changed.notify_all();
    }

    pub(crate) fn counters(&self) -> Counters {
        self.lock().counters
    }

    pub(crate) fn count(&self, f: impl FnOnce(&mut Counters)) {
        f(&mut self.lock().counters);
    }

    pub(crate) fn log(&self, text: &str) {
        self.lock().statements.push(text.to_owned());
    }

    pub(crate) fn statements(&self) -> Vec<String> {
        self.lock().statements.clone()
    }

    pub(crate) fn clear_statements(&self) {
        self.lock().statements.clear();
    }

    /// What strikes at this point now, if anything. `text` is the statement's.
    pub(crate) fn strike(&self, at: &Point, text: &str) -> Option<Action> {
        let mut inner = self.lock();
        if inner.faults.is_empty() {
            return None;
        }
        let mut hit = None;
        for (fault, seen) in &mut inner.faults {
            let here = match (&fault.point, at) {
                (Point::Statement(wanted), Point::Statement(_)) => {
                    text.to_lowercase().contains(&wanted.to_lowercase())
                }
                (a, b) => a == b,
            };
            if here {
                *seen += 1;
                if hit.is_none() && (*seen == fault.nth || (fault.always && *seen > fault.nth)) {
                    hit = Some(fault.action.clone());
                }
            }
        }
        inner.faults.retain(|(f, seen)| f.always || *seen < f.nth);
        if hit.is_some() {
            inner.counters.faults += 1;
        }
        hit
    }

    /// Waits until the name is released or the server closes.
    pub(crate) fn hold(&self, name: &str) {
        let mut inner = self.lock();
        inner.held.push(name.to_owned());
        self.changed.notify_all();
        while !inner.closing && !inner.released.iter().any(|r| r == name) {
            inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        inner.held.retain(|h| h != name);
        inner.released.retain(|r| r != name);
    }

    pub(crate) fn release(&self, name: &str) {
        let mut inner = self.lock();
        inner.released.push(name.to_owned());
        self.changed.notify_all();
    }

    /// Waits until something is held under the name; false when the time is over.
    pub(crate) fn wait_held(&self, name: &str, limit: Duration) -> bool {
        let inner = self.lock();
        let (inner, _) = self
            .changed
            .wait_timeout_while(inner, limit, |i| !i.held.iter().any(|h| h == name))
            .unwrap_or_else(PoisonError::into_inner);
        inner.held.iter().any(|h| h == name)
    }

    pub(crate) fn close(&self) {
        self.lock().closing = true;
        self.changed.notify_all();
    }
}

/// What a server sends for an [`Action::Error`] or an [`Action::Errors`]; nothing for others.
pub(crate) fn errors_of(action: &Action) -> Vec<SqlError> {
    match action {
        Action::Error { number, class, state, message } => {
            vec![error_of(*number, *class, message).state(*state)]
        }
        Action::Errors(list) => list
            .iter()
            .map(|e| error_of(e.number, e.class, &format!("fault {}", e.number)))
            .collect(),
        _ => Vec::new(),
    }
}

fn error_of(number: i32, class: u8, message: &str) -> SqlError {
    let reach = match (number, class) {
        (_, 20..) => Reach::Connection,
        (1205, _) => Reach::Transaction,
        _ => Reach::Statement,
    };
    SqlError::new(number, class, message).reach(reach)
}
