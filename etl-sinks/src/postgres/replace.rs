//! A stage that is kept in the database, and how it becomes the target. No statement has a
//! parameter.

use etl_core::sink::Counts;
use etl_core::{Error, Result};
use etl_sql::postgres::session::{Session, value};
use etl_sql::postgres::target::Target;
use sqlx::AssertSqlSafe;

use super::Link;
use super::apply::{From, insert, join, update};
use crate::step::empty_load;

/// The statements between a stage and its target.
#[derive(Debug, Clone)]
pub struct Replace {
    /// Empties the stage for a load that begins.
    pub empty: String,
    /// One row: how many rows the stage has, and whether the target has any.
    pub count: String,
    /// Deletes what the stage lacks.
    pub delete: String,
    /// Updates what differs, where there is more than a key.
    pub update: Option<String>,
    /// Inserts what is new.
    pub insert: String,
}

impl Replace {
    /// The statements for a target and a stage as they were found.
    ///
    /// # Errors
    /// `Config` for bad names.
    pub fn new(target: &Target, stage: &Target) -> Result<Self> {
        let (table, stage) = (target.table.quoted()?, stage.table.quoted()?);
        let (from, target) = (From::Load(stage.clone()), &target.under_own_names()?);
        Ok(Self {
            empty: format!("TRUNCATE TABLE {stage}"),
            count: format!(
                "SELECT (SELECT count(*) FROM {stage}) AS staged, EXISTS (SELECT FROM {table}) AS occupied"
            ),
            delete: format!(
                "DELETE FROM {table} AS t\n WHERE NOT EXISTS (SELECT FROM {stage} AS s WHERE {})",
                join(target, &from)?
            ),
            update: update(target, &from)?,
            insert: insert(target, &from)?,
        })
    }

    /// Brings the target to what the stage holds, in the transaction that is open.
    pub(super) async fn apply(
        &self,
        session: &mut Session,
        link: &Link,
        doing: &str,
    ) -> Result<Counts> {
        let count = sqlx::query(AssertSqlSafe(self.count.clone()));
        let row = session.row(count, doing).await?;
        let row = row.ok_or_else(|| Error::internal(format!("{doing}: no answer")))?;
        let staged = u64::try_from(value::<i64>(&row, "staged")?).unwrap_or(0);
        if staged == 0 && value::<bool>(&row, "occupied")? && !link.stream.allow_empty {
            return Err(empty_load(&link.name, &link.stream.object));
        }
        // Each on its own, so that each has the time of a statement. Deletes come first: a new row
        // may need what a deleted one had in another unique index.
        let deleted = run(session, &self.delete, doing).await?;
        let updated = match &self.update {
            Some(update) => run(session, update, doing).await?,
            None => 0,
        };
        let inserted = run(session, &self.insert, doing).await?;
        let unchanged = staged.checked_sub(updated + inserted).ok_or_else(|| {
            Error::internal(format!("{doing}: more rows were written than the stage has"))
        })?;
        Ok(Counts { inserted, updated, deleted, unchanged })
    }
}

async fn run(session: &mut Session, sql: &str, doing: &str) -> Result<u64> {
    Ok(session.run(sql, doing).await?.into_iter().sum())
}
