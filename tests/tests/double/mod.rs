//! The double answers as SQL Server documents, asked through an unmodified `tiberius`.

mod client;
mod protocol;
mod statements;
