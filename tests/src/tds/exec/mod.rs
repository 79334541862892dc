//! Running bound statements against the state.

pub(crate) mod constraints;
pub(crate) mod ddl;
mod digest;
pub(crate) mod dml;
pub(crate) mod eval;
pub(crate) mod functions;
mod functions_catalog;
pub(crate) mod query;
pub(crate) mod security;
pub(crate) mod sysviews;

use std::collections::HashMap;
use std::rc::Rc;

use crate::tds::engine::ObjectId;
use crate::tds::engine::catalog::{Catalog, Database};
use crate::tds::engine::permission;
use crate::tds::engine::state::State;
use crate::tds::engine::table::RowId;
use crate::tds::error::{Reach, Result, SqlError};
use crate::tds::session::Session;
use crate::tds::types::{Coll, Row, SqlType, Value, datetime};

/// A row of one source in a tuple, with its place in the table.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) row: Row,
    pub(crate) id: RowId,
}

/// One row per source; `None` where an outer join found nothing or a source was not read yet.
pub(crate) type Tuple = Vec<Option<Cell>>;

/// What column references, aggregates and window functions stand for.
#[derive(Clone, Copy, Default)]
pub(crate) struct Env<'e> {
    pub(crate) tuple: &'e [Option<Cell>],
    pub(crate) aggregates: &'e [Value],
    pub(crate) windows: &'e [Value],
    pub(crate) parent: Option<&'e Env<'e>>,
}

/// Rows by key.
pub(crate) type HashTable = HashMap<Vec<u8>, Rc<Vec<Cell>>>;

/// Results that live as long as one statement.
pub(crate) enum Cached {
    Cells(Rc<Vec<Cell>>),
    Hash(Rc<HashTable>),
    Rows(Rc<Vec<Row>>),
    /// Keys of an IN list, and whether it held a NULL.
    Keys(Rc<(std::collections::HashSet<Vec<u8>>, bool)>),
}

/// One statement's run.
pub(crate) struct Ctx<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) sess: &'a mut Session,
    /// The moment of the statement, one for all its calls.
    pub(crate) now: (i32, u64),
    pub(crate) cache: HashMap<usize, Cached>,
    next_cache: usize,
    /// Rows whose constraints are checked when the statement ends.
    pub(crate) changed: Vec<(ObjectId, RowId)>,
}

impl<'a> Ctx<'a> {
    pub(crate) fn new(state: &'a mut State, sess: &'a mut Session) -> Ctx<'a> {
        let now = datetime::now_by(state.clock_ahead);
        Ctx { state, sess, now, cache: HashMap::new(), next_cache: 0, changed: Vec::new() }
    }

    pub(crate) fn new_cache(&mut self) -> usize {
        self.next_cache += 1;
        self.next_cache
    }

    /// The session's current database.
    pub(crate) fn database<'c>(&self, catalog: &'c Catalog) -> &'c Database {
        catalog.databases.iter().find(|d| d.id == self.sess.db).unwrap_or(&catalog.databases[0])
    }

    pub(crate) fn database_collation(&self) -> Coll {
        self.database(&self.state.catalog).collation
    }

    /// The session's user in a database.
    pub(crate) fn user_in(&self, db: &Database) -> Option<i32> {
        let login = self.state.catalog.login_by_id(self.sess.login)?;
        permission::user_of(db, login)
    }

    pub(crate) fn user(&self) -> i32 {
        self.user_in(self.database(&self.state.catalog)).unwrap_or(0)
    }

    pub(crate) fn variable(&self, name: &str) -> Result<(usize, SqlType)> {
        self.sess
            .vars
            .iter()
            .position(|v| v.name == name)
            .map(|i| (i, self.sess.vars[i].ty))
            .ok_or_else(|| {
                SqlError::new(137, 15, format!("Must declare the scalar variable \"{name}\"."))
                    .state(2)
                    .reach(Reach::Batch)
            })
    }

    /// Waits while another session's open transaction has made or dropped an object of this name.
    pub(crate) fn wait_for_ddl(&mut self, db: i32, schema: i32, name: &str) -> Result<()> {
        let me = self.sess.id;
        let holder = match &self.state.locks.ddl {
            Some((holder, names))
                if *holder != me && names.contains(&ddl_name(db, schema, name)) =>
            {
                *holder
            }
            _ => return Ok(()),
        };
        Err(self.state.wait_for(holder))
    }

    /// Error 1205 and its kin stop a loop early when the client asked for it.
    pub(crate) fn check_cancel(&self) -> Result<()> {
        if self.sess.cancelled() {
            return Err(
                SqlError::new(crate::tds::session::CANCELLED, 0, "cancelled").reach(Reach::Batch)
            );
        }
        Ok(())
    }
}

/// A name as the DDL lock keeps it.
pub(crate) fn ddl_name(db: i32, schema: i32, name: &str) -> String {
    format!("{db}.{schema}.{}", name.to_lowercase())
}
