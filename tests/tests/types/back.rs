//! From Postgres to SQL Server and back: compared by Postgres itself.

use etl_tests::postgres::Database;
use serde_json::json;
use sqlx::{AssertSqlSafe, Row as _};

use super::carry::{self, Found, Trial};
use super::cell::Shape;

/// Carries what arrived in SQL Server to a table of the source's own database, and has both
/// compared there, as text and by the type's own equality.
pub(super) async fn compare(
    trial: &Trial<'_>,
    home: &Database,
    table: &str,
) -> Vec<(String, Found)> {
    let (there, back) = (&trial.stream.config.object, format!("back.{table}"));
    let mut columns = json!({ "at": "datetimeoffset(6)" });
    if trial.case.shape == Shape::Instant {
        let digits = digits(trial.case.kind);
        columns["v"] = json!(format!("datetimeoffset({digits})"));
    }
    let cursor = json!({ "column": "at", "set_by": "application", "unindexed": true,
        "safety": { "lookback": "10m" } });
    let stream = carry::stream(there, &back, &columns, &cursor);
    let from = trial.from;
    if trial.shown().await.is_empty() {
        return Vec::new();
    }
    if let Err(error) = carry::run(&stream, trial.to, from, Vec::new()).await {
        return vec![("all".to_owned(), Found::Wrong(format!("it did not come back: {error}")))];
    }
    differences(trial, home, &back).await
}

/// `3` of `timestamptz(3)`.
fn digits(kind: &str) -> &str {
    match kind {
        "public.moment" => "3",
        kind => kind.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or("6"),
    }
}

async fn differences(trial: &Trial<'_>, home: &Database, back: &str) -> Vec<(String, Found)> {
    let kind = trial.case.kind;
    let mut connection = home.connect().await;
    // By the type's own equality, where it has one, and as text: numbers as numbers, because a
    // declared scale shows zeros that were not written.
    let text = match trial.case.shape {
        // Only money is no number by its text, and only xid8 is none by a cast.
        Shape::Number if kind == "money" => "a.v::numeric IS DISTINCT FROM b.v".to_owned(),
        Shape::Number => "a.v::text::numeric IS DISTINCT FROM b.v::numeric".to_owned(),
        _ => "a.v::text IS DISTINCT FROM b.v::text".to_owned(),
    };
    let own = format!("a.v IS DISTINCT FROM b.v::text::{kind}");
    let has_equality = home_has_equality(&mut connection, kind).await;
    let differs = if has_equality { format!("({text} OR {own})") } else { text };
    let sql = format!(
        "SELECT COALESCE(a.id, b.id)::text, {differs} OR a.id IS NULL OR b.id IS NULL, b.v::text
           FROM {} a FULL JOIN {back} b USING (id)",
        trial.stream.name
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap();
    let row = |row: &sqlx::postgres::PgRow| {
        let found = if row.get::<bool, _>(1) {
            Found::Wrong(format!("came back as {:?}", row.get::<Option<String>, _>(2)))
        } else {
            Found::Equal
        };
        (format!("row {}", row.get::<String, _>(0)), found)
    };
    rows.iter().map(row).collect()
}

/// Whether the type can be compared: json, xml and some geometric types cannot.
async fn home_has_equality(connection: &mut sqlx::PgConnection, kind: &str) -> bool {
    let sql = format!("SELECT NULL::{kind} IS DISTINCT FROM NULL::{kind}");
    sqlx::query(AssertSqlSafe(sql)).fetch_one(connection).await.is_ok()
}
