//! Whether a silent session still works for us.
//!
//! The driver cannot turn keepalives on, so a connection whose other end is gone would be waited
//! for without end. Silence alone says nothing: a sort of a large table takes its time.

use etl_core::error::{Error, Result, ResultExt};
use sqlx::postgres::PgConnection;

use super::connect::Connect;
use super::error::failed;

/// What a session does that we hear nothing from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// It works.
    Works,
    /// It waits for us to take what it has. Once, that may be because we did not look; twice,
    /// with time to look in between, what it sends does not arrive.
    WaitsForUs,
}

/// A session that may be asked after from outside.
#[derive(Debug, Clone)]
pub struct Watched {
    connect: Connect,
    pid: i32,
}

impl Watched {
    /// The session of this connection, which `connect` opened.
    ///
    /// Dropped half way, it has changed nothing at the server; drop the connection too.
    ///
    /// # Errors
    /// Of the connection.
    pub async fn new(connect: &Connect, connection: &mut PgConnection) -> Result<Self> {
        let pid = sqlx::query_scalar("SELECT pg_backend_pid()")
            .fetch_one(connection)
            .await
            .map_err(|error| failed("asking for the session's number", error))?;
        Ok(Self { connect: connect.clone(), pid })
    }

    /// Asks the server, on another connection.
    ///
    /// Dropped half way, it has changed nothing; the connection that it asks on is closed.
    ///
    /// # Errors
    /// `Transient` if the server does not answer or the session is gone.
    pub async fn doing(&self) -> Result<Doing> {
        let asking = "asking after a session that fell silent";
        let mut connection = self.connect.open().await.context(|| asking)?;
        let state = sqlx::query_as(
            "SELECT state IS NOT DISTINCT FROM 'active', \
             wait_event IS NOT DISTINCT FROM 'ClientWrite' FROM pg_stat_activity WHERE pid = $1",
        )
        .bind(self.pid)
        .fetch_optional(&mut connection);
        let state: Option<(bool, bool)> = self.connect.in_time(state).await.context(|| asking)?;
        match state {
            Some((true, false)) => Ok(Doing::Works),
            Some((true, true)) => Ok(Doing::WaitsForUs),
            _ => Err(Error::transient("the server ended the session, and its end did not arrive")),
        }
    }
}
