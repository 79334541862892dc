//! A stage that is kept in the file, and how it becomes the target.

use etl_core::StreamSchema;
use etl_core::error::{Error, Result};
use etl_core::sink::Counts;
use etl_sql::sqlite::{error, quote};
use sqlx::AssertSqlSafe;

use crate::sqlite::Settings;
use crate::sqlite::moved::Moved;
use crate::sqlite::session::Session;
use crate::sqlite::write::run;
use crate::step::empty_load;

/// The statements between a stage and its target.
#[derive(Debug)]
pub(super) struct Stage {
    /// One row: how many rows the stage has, and whether the target has any.
    count: String,
    empty: String,
    delete: String,
    /// Absent if there is nothing beside the key.
    update: Option<String>,
    insert: String,
}

impl Stage {
    pub(super) fn new(stage: &str, settings: &Settings, schema: &StreamSchema) -> Result<Self> {
        let (stage, table) = (quote::name(stage)?, quote::name(&settings.table)?);
        let from = format!("main.{stage}");
        let fields = schema.schema.fields();
        let names = fields.iter().map(|f| quote::name(f.name())).collect::<Result<Vec<_>>>()?;
        let moved = Moved::new(schema, &table, &names, None)?;
        let joined = schema
            .key
            .iter()
            .map(|name| quote::name(name).map(|name| format!("s.{name} = +t.{name}")))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            count: format!(
                "SELECT (SELECT count(*) FROM {from}), EXISTS (SELECT 1 FROM main.{table})"
            ),
            empty: format!("DELETE FROM {from}"),
            delete: format!(
                "DELETE FROM main.{table} AS t WHERE NOT EXISTS (SELECT 1 FROM {from} AS s WHERE {})",
                joined.join(" AND ")
            ),
            update: moved.update(&from, ""),
            insert: moved.insert(&from, ""),
        })
    }

    /// Empties it for a load that begins.
    pub(super) async fn empty(&self, session: &mut Session) -> Result<()> {
        run(session, self.empty.clone(), "emptying the stage for a new load").await.map(drop)
    }

    /// Brings the target to what the stage holds.
    pub(super) async fn apply(&self, session: &mut Session, settings: &Settings) -> Result<Counts> {
        let (staged, occupied): (i64, bool) = sqlx::query_as(AssertSqlSafe(self.count.clone()))
            .fetch_one(&mut session.connection)
            .await
            .map_err(|cause| error::classify(cause, "counting the stage"))?;
        let staged = u64::try_from(staged).unwrap_or(0);
        if staged == 0 && occupied && !settings.stream.config.allow_empty {
            return Err(empty_load(&settings.name, &settings.table));
        }
        // Deletes come first: a new row may need what a deleted one had in another unique index.
        let deleted = run(session, self.delete.clone(), "deleting rows").await?;
        let updated = match &self.update {
            Some(update) => run(session, update.clone(), "updating rows").await?,
            None => 0,
        };
        let inserted = run(session, self.insert.clone(), "inserting rows").await?;
        let unchanged = staged.checked_sub(updated + inserted).ok_or_else(|| {
            Error::internal("more rows were written than the stage has: is the key unique?")
        })?;
        Ok(Counts { inserted, updated, deleted, unchanged })
    }
}
