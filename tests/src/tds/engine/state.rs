//! The state behind the server's one mutex, and the waiting for locks.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::catalog::{Catalog, Column, Generated, TableDef};
use super::locks::Locks;
use super::log::{Op, RedoLog};
use super::table::{Filter, RowId, TableData};
use super::txn::{TempTables, Txn, Undo};
use super::{ObjectId, SessionId};
use crate::tds::error::{Reach, Result, SqlError};
use crate::tds::types::datetime::now_by;
use crate::tds::types::{Row, Value};

/// The number of the error that means "wait for a lock, then run the statement again".
const WAIT: i32 = -1;

/// A session as `sys.dm_exec_sessions` shows it.
#[derive(Clone, Debug)]
pub(crate) struct SessionInfo {
    pub(crate) login: String,
    pub(crate) host: String,
    pub(crate) program: String,
    pub(crate) database: i32,
    pub(crate) since: (i32, u64),
    pub(crate) deadlock_priority: i32,
}

pub(crate) struct State {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) tables: HashMap<ObjectId, TableData>,
    pub(crate) temp: HashMap<SessionId, TempTables>,
    pub(crate) txns: HashMap<SessionId, Txn>,
    pub(crate) locks: Locks,
    pub(crate) sessions: BTreeMap<SessionId, SessionInfo>,
    log: Option<RedoLog>,
    pending_wait: Option<SessionId>,
    next_descriptor: u64,
    next_temp: i32,
    /// How far the server's clock is ahead, milliseconds.
    pub(crate) clock_ahead: i64,
    /// The last rowversion given out, by database; a rollback gives none back.
    rowversions: HashMap<i32, u64>,
}

/// `@@DBTS` of a new database.
const FIRST_ROWVERSION: u64 = 2_000;

pub(crate) struct Engine {
    state: Mutex<State>,
    pub(crate) changed: Condvar,
}

impl Engine {
    pub(crate) fn new(state: State) -> Engine {
        Engine { state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the test of a filtered index from its text.
pub(crate) fn filter_of(def: &TableDef) -> impl Fn(&str) -> Option<Filter> + use<> {
    let def = def.clone();
    move |text: &str| crate::tds::bind::row_filter(&def, text)
}

impl State {
    pub(crate) fn new(catalog: Catalog) -> State {
        State {
            catalog: Arc::new(catalog),
            tables: HashMap::new(),
            temp: HashMap::new(),
            txns: HashMap::new(),
            locks: Locks::default(),
            sessions: BTreeMap::new(),
            log: None,
            pending_wait: None,
            next_descriptor: 1,
            next_temp: -1,
            clock_ahead: 0,
            rowversions: HashMap::new(),
        }
    }

    /// Replays a log file, or starts one.
    pub(crate) fn open(mut self, path: &std::path::Path) -> io::Result<State> {
        let log = RedoLog::open(path, |op| self.replay(op))?;
        let catalog = self.catalog.clone();
        for def in catalog.databases.iter().flat_map(|d| d.tables.values()) {
            if let Some(data) = self.tables.get_mut(&def.id) {
                data.find_free();
            }
        }
        self.find_rowversions(&catalog);
        let fresh = log.is_empty();
        self.log = Some(log);
        if fresh {
            self.write(&[Op::Catalog(Box::new((*self.catalog).clone()))])?;
        }
        Ok(self)
    }

    fn replay(&mut self, op: Op) {
        match op {
            Op::Catalog(catalog) => {
                let mut tables = std::mem::take(&mut self.tables);
                for def in catalog.databases.iter().flat_map(|d| d.tables.values()) {
                    let before = self.catalog.databases.iter().find_map(|d| d.tables.get(&def.id));
                    let mut data = tables.remove(&def.id).unwrap_or_default();
                    let same = before.is_some_and(|b| {
                        b.modified == def.modified && b.indexes.len() == def.indexes.len()
                    });
                    if !same {
                        data.build_indexes(def, &filter_of(def));
                    }
                    self.tables.insert(def.id, data);
                }
                self.catalog = Arc::new(*catalog);
            }
            Op::Clear(table) => {
                let def = self.catalog.databases.iter().find_map(|d| d.tables.get(&table)).cloned();
                if let Some(def) = def {
                    self.tables.insert(table, TableData::new(&def, &filter_of(&def)));
                }
            }
            Op::Put(table, id, row) => {
                if let Some(data) = self.tables.get_mut(&table) {
                    data.replay(id, Some(row));
                }
            }
            Op::Delete(table, id) => {
                if let Some(data) = self.tables.get_mut(&table) {
                    data.replay(id, None);
                }
            }
            Op::Identity(table, value) => {
                if let Some(data) = self.tables.get_mut(&table) {
                    data.identity = Some(value);
                }
            }
        }
    }

    /// After a restart: no number that a row has is given out again.
    fn find_rowversions(&mut self, catalog: &Catalog) {
        for db in &catalog.databases {
            for def in db.tables.values() {
                let is_version = |c: &Column| c.generated == Some(Generated::Version);
                let Some(at) = def.columns.iter().position(is_version) else { continue };
                let Some(data) = self.tables.get(&def.id) else { continue };
                let rows = data.slots.iter().filter_map(|slot| slot.cur.as_ref());
                let numbers = rows.filter_map(|row| match &row[at] {
                    Value::Bin(bytes) => bytes.as_ref().try_into().ok().map(u64::from_be_bytes),
                    _ => None,
                });
                let last = self.rowversions.entry(db.id).or_insert(FIRST_ROWVERSION);
                *last = numbers.fold(*last, u64::max);
            }
        }
    }

    /// `@@DBTS`: the last rowversion given out.
    pub(crate) fn last_rowversion(&self, db: i32) -> u64 {
        self.rowversions.get(&db).copied().unwrap_or(FIRST_ROWVERSION)
    }

    /// Gives out the next one; it is active until the session's transaction ends.
    pub(crate) fn next_rowversion(&mut self, session: SessionId, db: i32) -> u64 {
        let next = self.last_rowversion(db) + 1;
        self.rowversions.insert(db, next);
        if let Some(txn) = self.txns.get_mut(&session) {
            txn.first_rowversion.entry(db).or_insert(next);
        }
        next
    }

    /// `MIN_ACTIVE_ROWVERSION()`: the least one of a transaction under way, else the next.
    pub(crate) fn min_active_rowversion(&self, db: i32) -> u64 {
        let active = self.txns.values().filter_map(|txn| txn.first_rowversion.get(&db).copied());
        active.min().unwrap_or_else(|| self.last_rowversion(db) + 1)
    }

    fn write(&mut self, ops: &[Op]) -> io::Result<()> {
        match &mut self.log {
            Some(log) => log.append(ops),
            None => Ok(()),
        }
    }

    /// The error that makes the statement wait until `holder` lets go of something.
    pub(crate) fn wait_for(&mut self, holder: SessionId) -> SqlError {
        self.pending_wait = Some(holder);
        SqlError::new(WAIT, 0, "wait")
    }

    pub(crate) fn take_wait(&mut self, error: &SqlError) -> Option<SessionId> {
        (error.number == WAIT).then(|| self.pending_wait.take()).flatten()
    }

    pub(crate) fn new_temp_id(&mut self) -> ObjectId {
        self.next_temp -= 1;
        self.next_temp
    }

    pub(crate) fn begin(&mut self, session: SessionId) -> u64 {
        self.next_descriptor += 1;
        let descriptor = self.next_descriptor;
        self.txns.insert(session, Txn::new(descriptor, now_by(self.clock_ahead)));
        descriptor
    }

    /// Where the session's undo list stands.
    pub(crate) fn mark(&self, session: SessionId) -> usize {
        self.txns.get(&session).map_or(0, |t| t.undo.len())
    }

    pub(crate) fn push_undo(&mut self, session: SessionId, undo: Undo) {
        if let Some(txn) = self.txns.get_mut(&session) {
            txn.undo.push(undo);
        }
    }

    /// Changes a row: the only way rows of a session change.
    pub(crate) fn set_row(
        &mut self,
        session: SessionId,
        table: ObjectId,
        id: RowId,
        row: Option<Row>,
    ) {
        if let Some(data) = self.tables.get_mut(&table) {
            let (before, was_dirty) = data.set(id, row, session);
            self.push_undo(session, Undo::Row { table, id, before, was_dirty });
        }
    }

    /// The catalog for changing; remembers it as it was.
    pub(crate) fn catalog_mut(&mut self, session: SessionId) -> &mut Catalog {
        let before = self.catalog.clone();
        self.push_undo(session, Undo::Catalog(before));
        Arc::make_mut(&mut self.catalog)
    }

    pub(crate) fn rollback_to(&mut self, session: SessionId, mark: usize) {
        loop {
            let Some(txn) = self.txns.get_mut(&session) else { return };
            if txn.undo.len() <= mark {
                return;
            }
            match txn.undo.pop() {
                Some(Undo::Row { table, id, before, was_dirty }) => {
                    if let Some(data) = self.tables.get_mut(&table) {
                        data.undo(id, before, was_dirty);
                    }
                }
                Some(Undo::Catalog(catalog)) => self.catalog = catalog,
                Some(Undo::Temp(owner, tables)) => {
                    self.temp.insert(owner, tables);
                }
                Some(Undo::Storage(table, data)) => {
                    match data {
                        Some(data) => self.tables.insert(table, *data),
                        None => self.tables.remove(&table),
                    };
                }
                None => return,
            }
        }
    }

    /// Rolls the transaction back and lets go of its locks.
    pub(crate) fn rollback(&mut self, session: SessionId) {
        self.rollback_to(session, 0);
        self.txns.remove(&session);
        self.locks.end_transaction(session);
    }

    /// Writes the transaction to the log, makes it visible and lets go of its locks.
    pub(crate) fn commit(&mut self, session: SessionId) -> Result<()> {
        let Some(mut txn) = self.txns.remove(&session) else { return Ok(()) };
        let undo = std::mem::take(&mut txn.undo);
        if self.log.is_some() {
            let ops = self.redo(&undo);
            if !ops.is_empty()
                && let Err(e) = self.write(&ops)
            {
                txn.undo = undo;
                self.txns.insert(session, txn);
                self.rollback(session);
                return Err(SqlError::new(
                    9001,
                    21,
                    format!("The log for database is not available: {e}"),
                )
                .reach(Reach::Connection));
            }
        }
        for change in undo {
            if let Undo::Row { table, id, .. } = change
                && let Some(data) = self.tables.get_mut(&table)
            {
                data.commit(id);
            }
        }
        self.locks.end_transaction(session);
        Ok(())
    }

    /// The operations that bring an older copy to the state after this transaction.
    fn redo(&self, undo: &[Undo]) -> Vec<Op> {
        let mut ops = Vec::new();
        if undo.iter().any(|u| matches!(u, Undo::Catalog(_))) {
            ops.push(Op::Catalog(Box::new((*self.catalog).clone())));
        }
        let mut whole = Vec::new();
        for u in undo {
            if let Undo::Storage(table, _) = u
                && *table > 0
                && !whole.contains(table)
            {
                whole.push(*table);
            }
        }
        for table in &whole {
            let Some(data) = self.tables.get(table) else { continue };
            ops.push(Op::Clear(*table));
            for id in data.ids() {
                if let Some(row) = data.slot(id).and_then(|s| s.cur.clone()) {
                    ops.push(Op::Put(*table, id, row));
                }
            }
        }
        let mut touched = Vec::new();
        for u in undo {
            let Undo::Row { table, id, was_dirty, .. } = u else { continue };
            // Temporary tables have negative numbers; a row changed twice is written once.
            if *table < 0 || *was_dirty || whole.contains(table) {
                continue;
            }
            let Some(data) = self.tables.get(table) else { continue };
            match data.slot(*id).and_then(|s| s.cur.clone()) {
                Some(row) => ops.push(Op::Put(*table, *id, row)),
                None => ops.push(Op::Delete(*table, *id)),
            }
            if !touched.contains(table) {
                touched.push(*table);
            }
        }
        for table in touched.into_iter().chain(whole) {
            if let Some(value) = self.tables.get(&table).and_then(|d| d.identity) {
                ops.push(Op::Identity(table, value));
            }
        }
        ops
    }

    /// Everything that ends with a connection.
    pub(crate) fn end_session(&mut self, session: SessionId) {
        self.rollback(session);
        for (_, (def, _)) in self.temp.remove(&session).unwrap_or_default() {
            self.tables.remove(&def.id);
        }
        self.locks.end_session(session);
        self.sessions.remove(&session);
    }
}
