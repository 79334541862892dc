//! The server's shared state: catalog, rows, locks, transactions, redo log.

pub(crate) mod catalog;
pub(crate) mod locks;
pub(crate) mod log;
pub(crate) mod permission;
pub(crate) mod state;
pub(crate) mod table;
pub(crate) mod txn;

/// A session's number (`@@SPID`).
pub(crate) type SessionId = i32;
/// An object's number (`OBJECT_ID`), unique in the server.
pub(crate) type ObjectId = i32;
