//! The main job, whole: the real programs, a real Postgres, and whatever SQL Server this run has.

mod faults; // kills, two runs at once, a stopped run woken too late, a lost answer
mod init; // mssql-init: four at once, stopped anywhere, refusals
mod late; // writers that commit late, and a first load stopped by its deadline
mod load; // content, incremental runs, a cancelled order
mod metrics; // the ledger's page, and the login that may only read it
mod numbers; // a cursor of transaction numbers, without any right but SELECT
mod refusals; // what is refused, and what a person is told
mod shop;
mod soft_delete; // cancelled orders are marked, without the right to delete
mod types; // every type of the mapping, by value
