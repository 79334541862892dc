//! Reading tables of SQL Server: catalog, horizon, and rows as they arrive.

mod builder;
pub mod catalog;
mod fetch;
pub mod horizon;
mod mark;
mod rows;
pub mod types;
mod value;

pub use fetch::{Fetch, Record};
pub use mark::{Cursor, Mark, TICKS_PER_SECOND};
pub use rows::{Fault, Rows};
