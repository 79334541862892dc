//! Rows into the file: through a temporary stage table and three statements, or appended.

use etl_core::StreamSchema;
use etl_core::connector::StreamConfig;
use etl_core::error::{Error, Result};
use etl_core::sink::Counts;
use etl_sql::sqlite::{error, quote, types};
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Executor};

use crate::sqlite::Settings;
use crate::sqlite::encode::Rows;
use crate::sqlite::moved::Moved;
use crate::sqlite::replace::Stage;
use crate::sqlite::session::Session;

/// Bound values per statement: enough that statements cost little, few enough that each is cheap
/// to prepare. SQLite's own bound is 32,766.
const VALUES: usize = 4_000;
/// The most columns that one row's statement can bind.
const MOST_COLUMNS: usize = 32_000;

/// A target table, and the statements that write to it.
#[derive(Debug)]
pub(super) struct Target {
    /// `pipeline/stream`, for messages.
    pub(super) name: String,
    pub(super) schema: StreamSchema,
    pub(super) config: StreamConfig,
    create_stage: String,
    /// Removes rows that left, or marks them.
    leave: String,
    /// Absent if there is nothing beside the key.
    update: Option<String>,
    insert: String,
    append: String,
    /// Where rows go instead, in a stream that replaces.
    pub(super) stage: Option<Stage>,
}

impl Target {
    pub(super) fn new(settings: &Settings, schema: &StreamSchema) -> Result<Self> {
        let replaced = settings.stage();
        let table = quote::name(replaced.as_ref().unwrap_or(&settings.table))?;
        let stage = replaced.map(|stage| Stage::new(&stage, settings, schema)).transpose()?;
        let columns: Vec<String> =
            schema.schema.fields().iter().map(|field| field.name().clone()).collect();
        if columns.len() > MOST_COLUMNS {
            return Err(Error::config(format!("{}: too many columns for SQLite", schema.name)));
        }
        let (mut staging, mut keys, mut key_stage) = (vec![], vec![], vec![]);
        for (index, field) in schema.schema.fields().iter().enumerate() {
            staging.push(format!("c{index} {}", types::declared_for(field)?));
            if schema.is_key(field.name()) {
                keys.push(format!("t.{}", quote::name(field.name())?));
                key_stage.push(format!("c{index}"));
            }
        }
        let (staging, keys, key_stage) =
            (staging.join(", "), keys.join(", "), key_stage.join(", "));
        let left = format!("({keys}) IN (SELECT {key_stage} FROM temp.etl_stage WHERE d = 1)");
        let mark = settings.stream.config.mark_beside(schema)?;
        let mark = mark.map(|mark| quote::name(&mark)).transpose()?;
        let names = (0..columns.len()).map(|index| format!("c{index}")).collect::<Vec<_>>();
        let moved = Moved::new(schema, &table, &names, mark.as_deref())?;
        Ok(Self {
            name: schema.name.clone(),
            schema: schema.clone(),
            config: settings.stream.config.clone(),
            create_stage: format!(
                "CREATE TEMP TABLE etl_stage (d INTEGER NOT NULL, {staging}, PRIMARY KEY \
                 ({key_stage})) WITHOUT ROWID"
            ),
            leave: leave(&table, mark.as_deref(), &left),
            update: moved.update("temp.etl_stage", "s.d = 0 AND "),
            insert: moved.insert("temp.etl_stage", "s.d = 0 AND "),
            stage,
            append: format!("INSERT INTO main.{table} ({}) VALUES ", quote::names("", &columns)?),
        })
    }
}

/// What the stage's deletes do to the rows that are `left`. SQLite looks at its clock once per
/// statement: one time for a batch.
fn leave(table: &str, mark: Option<&str>, left: &str) -> String {
    match mark {
        Some(mark) => format!(
            "UPDATE main.{table} AS t SET {mark} = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now') WHERE \
             t.{mark} IS NULL AND {left}"
        ),
        None => format!("DELETE FROM main.{table} AS t WHERE {left}"),
    }
}

/// Fills the stage. Outside of the transaction that commits: the file's write lock is not held.
pub(super) async fn stage(session: &mut Session, target: &Target, rows: &Rows<'_>) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    if session.staged {
        session.run("DELETE FROM temp.etl_stage", "emptying the stage").await?;
    } else {
        run(session, target.create_stage.clone(), "creating the stage").await?;
        session.staged = true;
    }
    session.run("BEGIN", "filling the stage").await?;
    insert_values(session, "INSERT INTO temp.etl_stage VALUES ", rows, true).await?;
    session.run("COMMIT", "filling the stage").await
}

/// Brings the target to what the stage says.
pub(super) async fn apply(
    session: &mut Session,
    target: &Target,
    rows: &Rows<'_>,
) -> Result<Counts> {
    let mut counts = Counts::default();
    if rows.is_empty() {
        return Ok(counts);
    }
    if rows.deletes() > 0 {
        counts.deleted = run(session, target.leave.clone(), "taking rows back").await?;
    }
    let upserts = rows.len() - rows.deletes();
    if upserts > 0 {
        if let Some(update) = &target.update {
            counts.updated = run(session, update.clone(), "updating rows").await?;
        }
        counts.inserted = run(session, target.insert.clone(), "inserting rows").await?;
    }
    let upserts = u64::try_from(upserts).unwrap_or(u64::MAX);
    counts.unchanged = upserts.checked_sub(counts.updated + counts.inserted).ok_or_else(|| {
        Error::internal("more rows were written than the batch has: is the key unique?")
    })?;
    Ok(counts)
}

/// Inserts every row as a new version.
pub(super) async fn append(
    session: &mut Session,
    target: &Target,
    rows: &Rows<'_>,
) -> Result<Counts> {
    if rows.deletes() > 0 {
        return Err(Error::internal("a delete in append mode, which never takes a row back"));
    }
    insert_values(session, &target.append, rows, false).await?;
    Ok(Counts { inserted: u64::try_from(rows.len()).unwrap_or(u64::MAX), ..Counts::default() })
}

pub(super) async fn run(session: &mut Session, statement: String, doing: &str) -> Result<u64> {
    let done = session
        .connection
        .execute(AssertSqlSafe(statement))
        .await
        .map_err(|cause| error::classify(cause, doing))?;
    Ok(done.rows_affected())
}

/// Inserts all rows, many per statement.
async fn insert_values(
    session: &mut Session,
    into: &str,
    rows: &Rows<'_>,
    kinds: bool,
) -> Result<()> {
    let width = rows.width() + usize::from(kinds);
    let row = format!("({})", vec!["?"; width].join(","));
    let most = (VALUES / width).max(1);
    let full = format!("{into}{}", vec![row.as_str(); most].join(","));
    let mut from = 0;
    while from < rows.len() {
        let to = rows.len().min(from + most);
        let mut values = SqliteArguments::default();
        for index in from..to {
            rows.bind(&mut values, index, kinds)?;
        }
        let whole = to - from == most;
        let statement = if whole {
            full.clone()
        } else {
            format!("{into}{}", vec![row.as_str(); to - from].join(","))
        };
        sqlx::query_with(AssertSqlSafe(statement), values)
            .persistent(whole)
            .execute(&mut session.connection)
            .await
            .map_err(|cause| error::classify(cause, "sending rows"))?;
        from = to;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema};
    use etl_core::connector::Stream;
    use etl_sql::sqlite::plan;
    use serde_json::json;
    use sqlx::{Connection, SqliteConnection};

    use super::*;

    fn target(key: &[&str], exit: &str) -> (Settings, StreamSchema) {
        let config = json!({
            "object": "orders", "primary_key": key, "select": ["a", "b", "c"],
            "cursor": { "column": "c" }, "on_filter_exit": exit,
        });
        let stream = Stream {
            pipeline: "p".to_owned(),
            name: "s".to_owned(),
            config: serde_json::from_value(config).unwrap(),
        };
        let schema = StreamSchema {
            name: stream.full_name(),
            schema: Arc::new(Schema::new(vec![
                Field::new("a", DataType::Int64, false),
                Field::new("b", DataType::Utf8, false),
                Field::new("c", DataType::Utf8, true),
            ])),
            key: key.iter().map(|name| (*name).to_owned()).collect(),
            definition: etl_core::Definition::default(),
        };
        (Settings::new(&json!({ "path": "x.db" }), &stream).unwrap(), schema)
    }

    #[tokio::test]
    async fn a_batch_is_looked_up_in_the_target_and_never_the_other_way_round() {
        let keys = [&["a"][..], &["a", "b"], &["b"]];
        for (key, exit) in keys.into_iter().flat_map(|key| [(key, "delete"), (key, "soft_delete")])
        {
            let (settings, schema) = target(key, exit);
            let statements = Target::new(&settings, &schema).unwrap();
            let mut c = SqliteConnection::connect("sqlite::memory:").await.unwrap();
            let config = &settings.stream.config;
            etl_sql::sqlite::migrations::apply(&mut c).await.unwrap();
            let plan = plan::statements(&schema, "orders", config.mode, config.mark()).unwrap();
            for statement in plan {
                c.execute(AssertSqlSafe(statement.text)).await.unwrap();
            }
            c.execute(AssertSqlSafe(statements.create_stage)).await.unwrap();
            for text in [statements.leave, statements.update.unwrap(), statements.insert] {
                let explain = format!("EXPLAIN QUERY PLAN {text}");
                let plan: Vec<(i64, i64, i64, String)> =
                    sqlx::query_as(AssertSqlSafe(explain)).fetch_all(&mut c).await.unwrap();
                let plan: Vec<_> = plan.into_iter().map(|(.., step)| step).collect();
                assert!(plan.iter().any(|step| step.starts_with("SEARCH t ")), "{key:?} {plan:?}");
                let whole = plan.iter().any(|step| step == "SCAN t" || step.starts_with("SCAN t "));
                assert!(!whole, "{key:?} {plan:?}");
            }
        }
    }
}
