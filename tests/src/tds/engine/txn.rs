//! Transactions: undo, savepoints, commit.

use std::collections::HashMap;
use std::sync::Arc;

use super::catalog::{Catalog, TableDef};
use super::table::{RowId, TableData};
use super::{ObjectId, SessionId};
use crate::tds::types::Row;

/// A session's temporary tables by lower-case name, with the nesting level that made them.
pub(crate) type TempTables = HashMap<String, (Arc<TableDef>, u32)>;

/// How to take one change back.
pub(crate) enum Undo {
    Row {
        table: ObjectId,
        id: RowId,
        before: Option<Row>,
        was_dirty: bool,
    },
    /// The catalog as it was.
    Catalog(Arc<Catalog>),
    /// The temporary tables as they were.
    Temp(SessionId, TempTables),
    /// A table's storage as it was, or none.
    Storage(ObjectId, Option<Box<TableData>>),
}

/// An open transaction of one session.
pub(crate) struct Txn {
    pub(crate) descriptor: u64,
    pub(crate) undo: Vec<Undo>,
    pub(crate) savepoints: Vec<(String, usize)>,
    /// When it began.
    pub(crate) begun: (i32, u64),
    /// The first rowversion that it took, by database.
    pub(crate) first_rowversion: HashMap<i32, u64>,
}

impl Txn {
    pub(crate) fn new(descriptor: u64, begun: (i32, u64)) -> Txn {
        Txn {
            descriptor,
            undo: Vec::new(),
            savepoints: Vec::new(),
            begun,
            first_rowversion: HashMap::new(),
        }
    }
}
