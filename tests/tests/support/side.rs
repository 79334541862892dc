//! One database, as source or as target.

use etl_tests::{mssql, postgres};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};
use tempfile::TempDir;

/// A database of its own of any kind.
pub(crate) enum Side {
    Mssql(mssql::Database),
    Postgres(postgres::Database),
    Sqlite(TempDir),
}

impl Side {
    pub(crate) async fn of(kind: &str) -> Self {
        match kind {
            "mssql" => Self::Mssql(mssql::Database::new().await),
            "postgres" => Self::Postgres(postgres::Database::new().await),
            "sqlite" => Self::Sqlite(TempDir::new().unwrap()),
            other => panic!("no test knows {other}"),
        }
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Mssql(_) => "mssql",
            Self::Postgres(_) => "postgres",
            Self::Sqlite(_) => "sqlite",
        }
    }

    /// The `source:` or `target:` section of a pipeline file.
    pub(crate) fn section(&self) -> Value {
        match self {
            Self::Mssql(database) => database.section(),
            Self::Postgres(database) => database.section(),
            Self::Sqlite(folder) => {
                json!({ "type": "sqlite", "path": folder.path().join("side.db") })
            }
        }
    }

    pub(crate) async fn execute(&self, sql: &str) {
        match self {
            Self::Mssql(database) => database.run(sql).await,
            Self::Postgres(database) => database.execute(sql).await,
            Self::Sqlite(_) => {
                let done = self.sqlite().await.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await;
                done.unwrap_or_else(|error| panic!("{error} in: {sql}"));
            }
        }
    }

    pub(crate) async fn sqlite(&self) -> sqlx::SqliteConnection {
        let Self::Sqlite(folder) = self else { panic!("not SQLite") };
        sqlx::sqlite::SqliteConnectOptions::new()
            .filename(folder.path().join("side.db"))
            .create_if_missing(true)
            .busy_timeout(std::time::Duration::from_secs(30))
            .connect()
            .await
            .unwrap()
    }
}
