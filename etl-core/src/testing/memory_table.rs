//! A table in memory with transactions as Postgres has them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::testing::row::Row;
use crate::testing::source_contract::Change;

/// Where the clock of a table begins, in microseconds since 1970 UTC.
const BEGINNING: i64 = 1_700_000_000_000_000;

/// A table of [`Row`]s. Writes become visible when their transaction commits; `updated_at` of
/// every written row is the time at which its transaction began. The clock is tokio's, so it
/// can be paused.
#[derive(Debug, Clone)]
pub struct MemoryTable(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    started: Instant,
    rows: BTreeMap<i64, Row>,
    transactions: BTreeMap<u64, Transaction>,
    next: u64,
    versions: Vec<Row>,
}

#[derive(Debug)]
struct Transaction {
    began: i64,
    /// From when on the server's list of activity shows it.
    shown: i64,
    prepared: bool,
    writes: BTreeMap<i64, Option<Row>>,
}

/// A writer's transaction; dropping it rolls it back, unless it was prepared.
#[derive(Debug)]
pub struct MemoryTransaction {
    table: MemoryTable,
    id: u64,
    prepared: bool,
}

impl Default for MemoryTable {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State {
            started: Instant::now(),
            rows: BTreeMap::new(),
            transactions: BTreeMap::new(),
            next: 0,
            versions: Vec::new(),
        })))
    }
}

impl MemoryTable {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server's clock, in microseconds since 1970 UTC.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.state().now()
    }

    /// Begins a transaction. The server's list of activity shows it after `shown_after`.
    #[must_use]
    pub fn begin(&self, shown_after: Duration) -> MemoryTransaction {
        let mut state = self.state();
        let began = state.now();
        let shown = began.saturating_add(micros(shown_after));
        let id = state.next;
        state.next += 1;
        let transaction = Transaction { began, shown, prepared: false, writes: BTreeMap::new() };
        state.transactions.insert(id, transaction);
        drop(state);
        MemoryTransaction { table: self.clone(), id, prepared: false }
    }

    /// Writes in one transaction and commits it.
    ///
    /// # Errors
    /// As [`MemoryTransaction::write`].
    pub fn write(&self, changes: &[Change]) -> Result<()> {
        let mut transaction = self.begin(Duration::ZERO);
        for change in changes {
            transaction.write(change)?;
        }
        transaction.commit();
        Ok(())
    }

    /// The committed rows by key.
    #[must_use]
    pub fn rows(&self) -> BTreeMap<i64, Row> {
        self.state().rows.clone()
    }

    /// Every version of a row that was ever committed, in the order of the commits.
    #[must_use]
    pub fn versions(&self) -> Vec<Row> {
        self.state().versions.clone()
    }

    /// When the oldest transaction that the list of activity shows began. Prepared transactions
    /// are not in it.
    pub(super) fn oldest_shown(&self) -> Option<i64> {
        let state = self.state();
        let now = state.now();
        let shown = state.transactions.values().filter(|t| !t.prepared && t.shown <= now);
        shown.map(|transaction| transaction.began).min()
    }

    /// Whether there is a prepared transaction.
    pub(super) fn any_prepared(&self) -> bool {
        self.state().transactions.values().any(|transaction| transaction.prepared)
    }
}

impl State {
    fn now(&self) -> i64 {
        BEGINNING.saturating_add(micros(self.started.elapsed()))
    }

    fn end(&mut self, id: u64, commit: bool) {
        let Some(transaction) = self.transactions.remove(&id) else { return };
        for (key, row) in transaction.writes.into_iter().filter(|_| commit) {
            match row {
                Some(row) => {
                    self.versions.push(row.clone());
                    self.rows.insert(key, row);
                }
                None => drop(self.rows.remove(&key)),
            }
        }
    }
}

impl MemoryTransaction {
    /// Writes in it.
    ///
    /// # Errors
    /// `Transient` if another transaction that has not ended wrote the same row.
    pub fn write(&mut self, change: &Change) -> Result<()> {
        let (key, row) = match change {
            Change::Insert(row) | Change::Update(row) => (row.id, Some(row.clone())),
            Change::Delete(key) => (*key, None),
        };
        let mut state = self.table.state();
        if state.transactions.iter().any(|(id, t)| *id != self.id && t.writes.contains_key(&key)) {
            return Err(Error::transient(format!("row {key} is locked")));
        }
        if let Some(transaction) = state.transactions.get_mut(&self.id) {
            let began = transaction.began;
            let row = row.map(|row| Row { updated_at: Some(began), ..row });
            transaction.writes.insert(key, row);
        }
        Ok(())
    }

    /// Makes its writes visible.
    pub fn commit(self) {
        self.table.state().end(self.id, true);
    }

    /// Undoes its writes.
    pub fn rollback(self) {
        self.table.state().end(self.id, false);
    }

    /// Prepares it: the list of activity no longer shows it, and it outlives its session.
    pub fn prepare(&mut self) {
        self.prepared = true;
        if let Some(transaction) = self.table.state().transactions.get_mut(&self.id) {
            transaction.prepared = true;
        }
    }
}

impl Drop for MemoryTransaction {
    fn drop(&mut self) {
        if !self.prepared {
            self.table.state().end(self.id, false);
        }
    }
}

/// A duration in whole microseconds.
pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
