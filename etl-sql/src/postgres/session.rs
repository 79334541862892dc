//! A connection that writes.
//!
//! Every request is one transaction that brings its own settings and uses no named statement. So
//! a pooler that gives each transaction another server session loses nothing, and nothing of ours
//! stays behind there for others.

use std::future::Future;
use std::time::Duration;

use etl_core::error::{Error, Result};
use futures::TryStreamExt;
use sqlx::postgres::{PgArguments, PgConnection, PgQueryResult, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Postgres, Row};

use super::catalog::Table;
use super::connect::Connect;
use super::error::failed;
use super::quote::TableName;

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// One statement.
    pub statement: Duration,
    /// The wait for a lock.
    pub lock: Duration,
}

/// One connection.
///
/// After any error, or when the future of a method was dropped, its transaction may be open: drop
/// the session, which ends that transaction, and open another.
pub struct Session {
    connection: PgConnection,
    limit: Duration,
    begin: String,
}

impl Session {
    /// Connects and logs in.
    ///
    /// Dropped half way, the connection is closed.
    ///
    /// # Errors
    /// As [`Connect::open`].
    pub async fn open(connect: &Connect, limits: Limits) -> Result<Self> {
        let connection = connect.open_as_it_is().await?;
        Ok(Self { connection, limit: limits.statement, begin: begin(limits) })
    }

    /// Begins a transaction.
    ///
    /// Dropped half way, a transaction may be open: drop the session.
    ///
    /// # Errors
    /// Of the connection.
    pub async fn begin(&mut self, doing: &str) -> Result<()> {
        let begin = self.begin.clone();
        self.run(&begin, doing).await.map(drop)
    }

    /// Ends a transaction that may be repeated if no answer comes.
    ///
    /// Dropped half way, it may have committed: drop the session, and do the same again.
    ///
    /// # Errors
    /// Classed by the server's code; everything was rolled back, or the connection broke.
    pub async fn commit(&mut self, doing: &str) -> Result<()> {
        self.run("COMMIT", doing).await.map(drop)
    }

    /// Ends a transaction that must not be repeated blindly.
    ///
    /// Dropped half way, the outcome is as unknown as after `Unknown`: drop the session, and look.
    ///
    /// # Errors
    /// `Unknown` whenever the server did not say that it rolled back: a session that is ended
    /// while it commits tells an error although the commit may stand. What will not pass by
    /// itself, such as a refusal by a deferred trigger, keeps its class: nothing is sent again.
    pub async fn commit_once(&mut self, doing: &str) -> Result<()> {
        self.run("COMMIT", doing).await.map(drop).map_err(|error| {
            let refused = !error.class().is_retryable()
                || matches!(error.code(), Some("40001" | "40P01" | "25P02"));
            if refused {
                return error;
            }
            let unknown = Error::unknown(format!("{doing}: COMMIT was sent and no answer came"))
                .with_code(error.code().unwrap_or_default());
            unknown.with_source(error)
        })
    }

    /// Takes everything back since [`Session::begin`].
    ///
    /// Dropped half way, drop the session: that takes everything back as well.
    ///
    /// # Errors
    /// Of the connection.
    pub async fn roll_back(&mut self, doing: &str) -> Result<()> {
        self.run("ROLLBACK", doing).await.map(drop)
    }

    /// Runs statements without parameters in one go; gives the number of rows that each touched.
    ///
    /// Dropped half way, the server may still carry it out: drop the session.
    ///
    /// # Errors
    /// Classed by the server's code.
    pub async fn run(&mut self, sql: &str, doing: &str) -> Result<Vec<u64>> {
        let statements = sqlx::raw_sql(AssertSqlSafe(sql));
        let done = statements
            .execute_many(&mut self.connection)
            .map_ok(|done: PgQueryResult| done.rows_affected())
            .try_collect();
        limited(self.limit, doing, done).await
    }

    /// The first row of a statement with parameters.
    ///
    /// Dropped half way, the server may still carry it out: drop the session.
    ///
    /// # Errors
    /// Classed by the server's code.
    pub async fn row(
        &mut self,
        query: Query<'_, Postgres, PgArguments>,
        doing: &str,
    ) -> Result<Option<PgRow>> {
        let query = query.persistent(false).fetch_optional(&mut self.connection);
        limited(self.limit, doing, query).await
    }

    /// All rows of a statement with parameters.
    ///
    /// Dropped half way, the server may still carry it out: drop the session.
    ///
    /// # Errors
    /// Classed by the server's code.
    pub async fn rows(
        &mut self,
        query: Query<'_, Postgres, PgArguments>,
        doing: &str,
    ) -> Result<Vec<PgRow>> {
        let query = query.persistent(false).fetch_all(&mut self.connection);
        limited(self.limit, doing, query).await
    }

    /// Runs a statement with parameters; gives the number of rows that it touched.
    ///
    /// Dropped half way, the server may still carry it out: drop the session.
    ///
    /// # Errors
    /// Classed by the server's code.
    pub async fn execute(
        &mut self,
        query: Query<'_, Postgres, PgArguments>,
        doing: &str,
    ) -> Result<u64> {
        let query = query.persistent(false).execute(&mut self.connection);
        limited(self.limit, doing, query).await.map(|done| done.rows_affected())
    }

    /// Sends the data of a `COPY … FROM STDIN`; gives the number of rows that arrived.
    ///
    /// Dropped half way, nothing of it is there once the session is dropped.
    ///
    /// # Errors
    /// Classed by the server's code.
    pub async fn copy_in(&mut self, sql: &str, data: &[u8], doing: &str) -> Result<u64> {
        let copy = async {
            let mut copy = self.connection.copy_in_raw(sql).await?;
            // The driver copies what it is given.
            for piece in data.chunks(COPY_BYTES) {
                copy.send(piece).await?;
            }
            copy.finish().await
        };
        // A batch is small; ten limits are a peer that takes nothing any more.
        limited(self.limit * 10, doing, copy).await
    }

    /// What the catalog says about a table.
    ///
    /// Dropped half way, it has changed nothing; drop the session.
    ///
    /// # Errors
    /// Of the connection.
    pub async fn table(&mut self, name: &TableName) -> Result<Option<Table>> {
        let find = Table::find(&mut self.connection, name);
        match tokio::time::timeout(self.limit * 3, find).await {
            Ok(found) => found,
            Err(_) => Err(late(&format!("looking at {name}"), self.limit * 3)),
        }
    }
}

/// What is sent of a COPY at once.
const COPY_BYTES: usize = 1 << 20;

/// A value of a row by the column's name.
///
/// # Errors
/// `Internal` if it is missing or of another type: the statement and this program disagree.
pub fn value<'r, T>(row: &'r PgRow, column: &str) -> Result<T>
where
    T: sqlx::Decode<'r, Postgres> + sqlx::Type<Postgres>,
{
    row.try_get(column)
        .map_err(|error| failed(&format!("reading column {column} of an answer"), error))
}

/// `BEGIN` and the settings of the transaction, in one go.
///
/// | setting | why |
/// |---|---|
/// | read committed | a statement that waited for a lock must see what was committed meanwhile |
/// | `statement_timeout`, `lock_timeout` | the server ends what takes too long, whatever became of us |
/// | `idle_in_transaction_session_timeout`, `tcp_…` | a client that was stopped, or is gone, holds no lock for long |
/// | `row_security = off` | an error instead of rows that are silently left out |
/// | `search_path` | built-in names mean what is built in; the rest stays as it is, for triggers |
/// | `synchronous_commit` | what is acknowledged survives a crash of the server; only `off` is changed |
fn begin(limits: Limits) -> String {
    let (statement, lock) = (limits.statement.as_millis(), limits.lock.as_millis());
    format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = {statement}; \
         SET LOCAL lock_timeout = {lock}; \
         SET LOCAL idle_in_transaction_session_timeout = 20000; \
         SET LOCAL tcp_keepalives_idle = 30; SET LOCAL tcp_keepalives_interval = 10; \
         SET LOCAL tcp_keepalives_count = 3; SET LOCAL row_security = off; \
         SELECT pg_catalog.set_config('search_path', pg_catalog.concat('pg_catalog, ', \
         pg_catalog.current_setting('search_path')), true), \
         pg_catalog.set_config('synchronous_commit', pg_catalog.replace( \
         pg_catalog.current_setting('synchronous_commit'), 'off', 'on'), true)"
    )
}

/// The server ends a statement at `limit`; if it does not answer even then, it or the way to it
/// is gone.
async fn limited<T>(
    limit: Duration,
    doing: &str,
    request: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T> {
    let limit = limit + Duration::from_secs(5);
    match tokio::time::timeout(limit, request).await {
        Ok(done) => done.map_err(|error| failed(doing, error)),
        Err(_) => Err(late(doing, limit)),
    }
}

fn late(doing: &str, limit: Duration) -> Error {
    Error::transient(format!("{doing}: no answer within {limit:?}"))
}
