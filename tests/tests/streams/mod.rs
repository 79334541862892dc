//! Many streams in one file: the real program, a real Postgres, SQLite and SQL Server.

mod catalog; // what each kind of source tells of its tables
mod patterns; // tables that come, go, lack something; and every command
mod turns; // so many at a time, one that fails, a deadline, SIGTERM, a login that is refused
mod world;
