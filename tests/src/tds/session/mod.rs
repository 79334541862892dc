//! One client's session: its options, variables and transaction, and the statements it runs.

mod bulk;
mod control;
mod driver;
mod procedure;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) use control::Runner;

use crate::tds::engine::{ObjectId, SessionId};
use crate::tds::error::SqlError;
use crate::tds::parse::ast::Isolation;
use crate::tds::types::{SqlType, Value};

/// The number of the error that ends a batch because the client asked for it.
pub(crate) const CANCELLED: i32 = -2;

/// A variable of the current batch.
#[derive(Clone, Debug)]
pub(crate) struct Var {
    pub(crate) name: String,
    pub(crate) ty: SqlType,
    pub(crate) value: Value,
}

/// What SET changes.
#[derive(Clone, Debug)]
pub(crate) struct SessionOptions {
    pub(crate) xact_abort: bool,
    pub(crate) nocount: bool,
    pub(crate) lock_timeout: i64,
    pub(crate) deadlock_priority: i32,
    pub(crate) isolation: Isolation,
    pub(crate) identity_insert: Option<ObjectId>,
    pub(crate) flags: HashMap<String, bool>,
}

impl Default for SessionOptions {
    fn default() -> SessionOptions {
        let on = [
            "ANSI_NULLS",
            "ANSI_PADDING",
            "ANSI_WARNINGS",
            "ARITHABORT",
            "QUOTED_IDENTIFIER",
            "CONCAT_NULL_YIELDS_NULL",
            "ANSI_NULL_DFLT_ON",
        ];
        SessionOptions {
            xact_abort: false,
            nocount: false,
            lock_timeout: -1,
            deadlock_priority: 0,
            isolation: Isolation::ReadCommitted,
            identity_insert: None,
            flags: on.iter().map(|n| ((*n).to_owned(), true)).collect(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) login: i32,
    pub(crate) login_name: String,
    pub(crate) db: i32,
    pub(crate) host: String,
    pub(crate) program: String,
    pub(crate) vars: Vec<Var>,
    pub(crate) options: SessionOptions,
    pub(crate) rowcount: i64,
    pub(crate) last_error: i32,
    pub(crate) trancount: u32,
    pub(crate) doomed: bool,
    /// Name of the outermost transaction.
    pub(crate) transaction: Option<String>,
    pub(crate) scope_identity: Option<i64>,
    /// Errors that CATCH blocks are handling, the innermost last.
    pub(crate) caught: Vec<SqlError>,
    /// Depth of EXEC and sp_executesql.
    pub(crate) nest: u32,
    pub(crate) cancel: Arc<AtomicBool>,
}

impl Session {
    pub(crate) fn new(id: SessionId, login: i32, login_name: &str, db: i32) -> Session {
        Session {
            id,
            login,
            login_name: login_name.to_owned(),
            db,
            host: String::new(),
            program: String::new(),
            vars: Vec::new(),
            options: SessionOptions::default(),
            rowcount: 0,
            last_error: 0,
            trancount: 0,
            doomed: false,
            transaction: None,
            scope_identity: None,
            caught: Vec::new(),
            nest: 0,
            cancel: Arc::default(),
        }
    }

    /// A session without a client, for binding definitions.
    pub(crate) fn detached() -> Session {
        Session::new(0, 1, "sa", 1)
    }

    pub(crate) fn cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }
}
