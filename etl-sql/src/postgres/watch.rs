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
    /// It waits for us to take what it has.
    WaitsForUs,
    /// It was not asked, has answered, or is gone.
    Nothing,
}

impl Doing {
    /// Whether nothing will come, if the session did the same `before`. Once, that may be because
    /// we did not look while we asked; twice, with time to look in between, something was lost.
    ///
    /// # Errors
    /// `Transient` then.
    pub fn or_lost(self, before: Self) -> Result<()> {
        let lost = match self {
            _ if self != before => return Ok(()),
            Self::Works => return Ok(()),
            Self::WaitsForUs => "the server waits for us to take rows, and none arrive",
            Self::Nothing => {
                "the server has nothing more to do for us, and its answer did not arrive"
            }
        };
        Err(Error::transient(format!("{lost}: the connection is broken")))
    }
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
    /// `Transient` if the server does not answer.
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
            _ => Ok(Doing::Nothing),
        }
    }
}

#[cfg(test)]
mod tests {
    use etl_core::error::Class;

    use super::Doing::{self, Nothing, WaitsForUs, Works};

    #[test]
    fn a_session_that_twice_has_nothing_for_us_is_lost() {
        let lost = |before: Doing, now: Doing| now.or_lost(before).err().map(|error| error.class());
        for now in [WaitsForUs, Nothing] {
            assert_eq!(lost(now, now), Some(Class::Transient), "{now:?}");
        }
        for (before, now) in
            [(Works, Works), (Works, Nothing), (Nothing, WaitsForUs), (WaitsForUs, Works)]
        {
            assert_eq!(lost(before, now), None, "{before:?}, then {now:?}");
        }
    }
}
