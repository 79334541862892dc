//! Foreign keys that SQLite looks at only when a transaction commits.

use etl_core::error::{Error, Result};
use etl_sql::sqlite::error;
use sqlx::SqliteConnection;

const DOING: &str = "looking for rows that a deferred foreign key refuses";

/// How many rows of the file a foreign key refuses; `None` if no table puts that off to the commit, so
/// that each statement tells it itself. Reads all tables that refer to others.
pub(super) async fn broken(c: &mut SqliteConnection) -> Result<Option<i64>> {
    let any = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE sql LIKE '%deferred%')";
    let any: bool = sqlx::query_scalar(any)
        .fetch_one(&mut *c)
        .await
        .map_err(|cause| error::classify(cause, DOING))?;
    if !any {
        return Ok(None);
    }
    let count = sqlx::query_scalar("SELECT COUNT(*) FROM pragma_foreign_key_check");
    count.fetch_one(c).await.map(Some).map_err(|cause| error::classify(cause, DOING))
}

/// # Errors
/// `Data` if there are more of them than `before`.
pub(super) async fn check(c: &mut SqliteConnection, before: Option<i64>) -> Result<()> {
    if before.is_some() && broken(c).await? > before {
        return Err(
            Error::data(format!("{DOING}: a foreign key points to no row")).with_code("787")
        );
    }
    Ok(())
}
