//! Connections that several tasks share, such as those of a service that answers requests.
//!
//! A run does not use it: one pipeline has one connection.

use bb8::ManageConnection;
use etl_core::Error;

use super::config::MssqlConfig;
use super::connect::Connection;

/// Makes and looks after shared connections for [`bb8::Pool`].
///
/// Build the pool with `retry_connection(false)`: bb8's default keeps trying a wrong password
/// until its time-out and then tells only of the time-out.
#[derive(Debug, Clone)]
pub struct MssqlManager(MssqlConfig);

impl MssqlManager {
    /// Connections to one server.
    #[must_use]
    pub fn new(config: MssqlConfig) -> Self {
        Self(config)
    }
}

/// A connection that knows whether its last use ended well.
///
/// The driver tells nobody that its wire is out of step, so whoever uses the connection takes it
/// out and puts it back only after a good end, as [`Shared::with`] does.
pub struct Shared(Option<Connection>);

impl Shared {
    /// Uses the connection; after an error, or if the future is dropped, it is gone and the pool
    /// makes another.
    ///
    /// # Errors
    /// The use's own; `Transient` if the connection was lost before.
    pub async fn with<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Connection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut connection =
            self.0.take().ok_or_else(|| Error::transient("a pooled connection was lost"))?;
        let done = work(&mut connection).await?;
        self.0 = Some(connection);
        Ok(done)
    }
}

impl ManageConnection for MssqlManager {
    type Connection = Shared;
    type Error = Error;

    async fn connect(&self) -> Result<Shared, Error> {
        Connection::open(&self.0).await.map(|connection| Shared(Some(connection)))
    }

    async fn is_valid(&self, shared: &mut Shared) -> Result<(), Error> {
        shared
            .with(async |connection: &mut Connection| {
                connection.batch("SELECT 1 AS [alive];", "testing a pooled connection").await
            })
            .await
            .map(drop)
    }

    fn has_broken(&self, shared: &mut Shared) -> bool {
        shared.0.is_none()
    }
}
