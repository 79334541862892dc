//! What a sweep needs, looked at one by one.

use etl_core::connector::{Finding, Safety, SetBy};
use etl_core::error::{Class, Result};
use etl_sql::sqlite::connect::{Access, BUSY_TIMEOUT, connect};
use etl_sql::sqlite::table::get;
use etl_sql::sqlite::writers::{self, Writers};
use etl_sql::sqlite::{error, quote};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Executor};

use crate::sqlite::Settings;
use crate::sqlite::shape::Shape;

pub(super) async fn findings(settings: &Settings) -> Result<Vec<Finding>> {
    let mut connection = match connect(&settings.config, Access::Read, BUSY_TIMEOUT).await {
        Ok(connection) => connection,
        Err(error) if matches!(error.class(), Class::Config | Class::Permission) => {
            return Ok(vec![Finding::from_error("file", &error)]);
        }
        Err(error) => return Err(error),
    };
    let c = &mut connection;
    let mut found = vec![Finding::good("file", settings.config.shown().to_string())];
    found.push(journal(c).await?);
    let shape = match Shape::found(c, settings).await {
        Ok(shape) => shape,
        Err(error) if matches!(error.class(), Class::Config | Class::Schema) => {
            found.push(Finding::from_error(format!("table {}", settings.table), &error));
            return Ok(found);
        }
        Err(error) => return Err(error),
    };
    for (what, met) in shape.requirements(settings) {
        found.push(match met {
            Ok(detail) => Finding::good(what, detail),
            Err(error) => Finding::from_error(what, &error),
        });
    }
    found.push(forms(c, settings, &shape).await?);
    if settings.stream.config.cursor.set_by == SetBy::Database {
        found.push(default(settings, &shape));
        found.push(trigger(c, settings, &shape).await?);
    }
    if settings.stream.config.cursor.safety == Safety::Horizon {
        found.push(lock(settings).await?);
    }
    Ok(found)
}

/// Readers of a file without write-ahead logging keep writers from committing.
async fn journal(c: &mut SqliteConnection) -> Result<Finding> {
    let doing = "asking for the journal mode";
    let row =
        c.fetch_one("PRAGMA journal_mode").await.map_err(|cause| error::classify(cause, doing))?;
    let mode: String = get(&row, 0, doing)?;
    Ok(if mode == "wal" {
        Finding::good("journal mode", "wal: reading does not stop writers")
    } else {
        Finding::good(
            "journal mode",
            format!(
                "{mode}: writers wait while a sweep reads; PRAGMA journal_mode = WAL avoids it"
            ),
        )
    })
}

/// Whether all cursors are timestamps of one form. Looks at every row.
async fn forms(c: &mut SqliteConnection, settings: &Settings, shape: &Shape) -> Result<Finding> {
    let what = "cursor form";
    let doing = "looking for timestamps of another form";
    let (cursor, table) = (quote::name(settings.cursor())?, quote::name(&shape.table.name)?);
    let statement = format!(
        "SELECT count(*) FROM (SELECT DISTINCT typeof(t.{cursor}), length(t.{cursor}), \
         substr(t.{cursor}, 11, 1), substr(t.{cursor}, -1) = 'Z' FROM main.{table} AS t WHERE \
         t.{cursor} IS NOT NULL)"
    );
    let row = c
        .fetch_one(AssertSqlSafe(statement))
        .await
        .map_err(|cause| error::classify(cause, doing))?;
    let forms: i64 = get(&row, 0, doing)?;
    Ok(if forms <= 1 {
        Finding::good(what, "all rows write it in one form")
    } else {
        Finding::bad(
            what,
            format!(
                "column {} is written in {forms} forms, which do not sort as their times do; \
                 write it in one",
                settings.cursor()
            ),
        )
    })
}

fn default(settings: &Settings, shape: &Shape) -> Finding {
    let what = "cursor set on insert";
    let name = settings.cursor();
    let default = shape.table.column(name).and_then(|column| column.default.as_deref());
    if default.is_some_and(is_now) {
        return Finding::good(what, format!("{name} has a default of the time"));
    }
    Finding::bad(
        what,
        format!(
            "column {name} has no default such as CURRENT_TIMESTAMP, but set_by is database: add \
             one, or use set_by: application with safety: {{ lookback: … }}"
        ),
    )
}

fn is_now(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.contains("current_timestamp") || text.contains("'now'") || text.contains("datetime()")
}

async fn trigger(c: &mut SqliteConnection, settings: &Settings, shape: &Shape) -> Result<Finding> {
    let what = "cursor set on update";
    let doing = "looking at triggers";
    let rows = sqlx::query(
        "SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND lower(tbl_name) = lower(?)",
    )
    .bind(&shape.table.name)
    .fetch_all(c)
    .await
    .map_err(|cause| error::classify(cause, doing))?;
    let (name, table) = (settings.cursor(), &shape.table.name);
    for row in &rows {
        let text: String = get::<String>(row, 0, doing)?.to_ascii_lowercase();
        if text.contains("update") && text.contains(&name.to_ascii_lowercase()) && is_now(&text) {
            return Ok(Finding::good(what, format!("a trigger sets {name}")));
        }
    }
    Ok(Finding::bad(
        what,
        format!(
            "no trigger on {table} sets {name} on update, so changed rows would not be found: \
             CREATE TRIGGER … AFTER UPDATE ON {table} FOR EACH ROW BEGIN UPDATE {table} SET \
             {name} = CURRENT_TIMESTAMP WHERE rowid = NEW.rowid; END"
        ),
    ))
}

async fn lock(settings: &Settings) -> Result<Finding> {
    let what = "write lock";
    Ok(match writers::probe(&settings.config).await? {
        Writers::None(_) => Finding::good(what, "it can be taken for an instant"),
        Writers::Active => {
            Finding::good(what, "somebody is writing; meanwhile the horizon follows the newest row")
        }
        Writers::Unknowable => Finding::good(
            what,
            "the file cannot be written by us: the horizon follows the newest row, and freshness \
             stands still while nothing is written",
        ),
    })
}
