//! Postgres as a target, on real servers: the contract, and what only Postgres can get wrong.

mod contract; // the suite that every sink runs, also through a pooler
mod faults; // kills, lost answers, a pooler
mod golden; // every statement that is sent is its golden file
mod operate; // prepare, rights, check, ledger, settings of a transaction
mod orders; // the real program: from SQLite and from Postgres, changed and changed again
mod refusals; // tables and values that are refused, by name
mod replace; // runs that are killed, or sleep, while a target is replaced
mod shop;
mod soft_delete; // cancelled orders are marked, without the right to delete
mod values; // every type there and back; what counts as a difference
