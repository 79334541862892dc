//! The double answers as SQL Server documents, asked through an unmodified `tiberius`.

mod bulk;
mod client;
mod faults;
mod locks;
mod process;
mod protocol;
mod security;
mod statements;
