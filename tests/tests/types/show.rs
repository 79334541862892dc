//! What a target holds, read with a plain query of its own and never through the product's
//! mapping.

use std::collections::BTreeMap;

use etl_tests::postgres;
use sqlx::{AssertSqlSafe, Row as _};

use super::cell::Shape;
use crate::support::side::Side;

/// The column `v` by `id`; nothing if there is no such table.
pub(super) async fn shown(
    side: &Side,
    object: &str,
    shape: Shape,
) -> BTreeMap<usize, Option<String>> {
    let cells = match side {
        Side::Mssql(database) => {
            let there = format!(
                "SELECT COUNT(*) AS n FROM sys.tables WHERE object_id = OBJECT_ID(N'{object}');"
            );
            if database.number(&there).await == 0 {
                return BTreeMap::new();
            }
            database.rows(&format!("SELECT [id], [v] FROM {object};")).await
        }
        Side::Postgres(database) => postgres_rows(database, object, shape).await,
        Side::Sqlite(_) => sqlite_rows(side, object, shape).await,
    };
    let row = |row: Vec<Option<String>>| {
        let [id, value] = <[_; 2]>::try_from(row).unwrap();
        let value = value.map(|text| canonical(text, shape));
        (id.unwrap().parse().unwrap(), value)
    };
    cells.into_iter().map(row).collect()
}

async fn postgres_rows(
    database: &postgres::Database,
    object: &str,
    shape: Shape,
) -> Vec<Vec<Option<String>>> {
    let mut connection = database.connect().await;
    let there: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(object)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    if !there {
        return Vec::new();
    }
    let value = match shape {
        Shape::Bytes => "encode(v, 'hex')",
        // The bits, so that no printing rounds.
        Shape::Real => "'bits' || encode(float4send(v), 'hex')",
        Shape::Double => "'bits' || encode(float8send(v), 'hex')",
        Shape::Instant => "(v AT TIME ZONE 'UTC')::text || 'Z'",
        _ => "v::text",
    };
    let sql = format!("SELECT id::text, {value} FROM {object}");
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap();
    rows.iter().map(|row| vec![row.get(0), row.get(1)]).collect()
}

async fn sqlite_rows(side: &Side, object: &str, shape: Shape) -> Vec<Vec<Option<String>>> {
    let mut connection = side.sqlite().await;
    let there: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name = $1")
        .bind(object)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    if there == 0 {
        return Vec::new();
    }
    let value = match shape {
        Shape::Bytes => "lower(hex(v))",
        Shape::Bool => "CASE v WHEN 1 THEN 'true' WHEN 0 THEN 'false' END",
        Shape::Number => "CAST(v AS TEXT)",
        _ => "v",
    };
    // What is of another storage class than its shape shows as that.
    let class = match shape {
        Shape::Bytes => "('blob')",
        Shape::Real | Shape::Double => "('real', 'integer')",
        Shape::Bool => "('integer')",
        Shape::Number => "('integer', 'text')",
        _ => "('text')",
    };
    let value = format!(
        "CASE WHEN typeof(v) IN {class} THEN {value} WHEN v IS NOT NULL THEN 'a ' || typeof(v) END"
    );
    let sql = format!("SELECT id, {value} FROM {object}");
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap();
    let float = matches!(shape, Shape::Real | Shape::Double);
    let text = |row: &sqlx::sqlite::SqliteRow| {
        if float { row.get::<Option<f64>, _>(1).map(|float| float.to_string()) } else { row.get(1) }
    };
    rows.iter().map(|row| vec![Some(row.get::<i64, _>(0).to_string()), text(row)]).collect()
}

/// One text per value, whichever database showed it.
fn canonical(text: String, shape: Shape) -> String {
    match shape {
        Shape::Real => match text.strip_prefix("bits") {
            Some(bits) => format!("{:?}", f32::from_bits(u32::from_str_radix(bits, 16).unwrap())),
            None => single(&text),
        },
        Shape::Double => match text.strip_prefix("bits") {
            Some(bits) => format!("{:?}", f64::from_bits(u64::from_str_radix(bits, 16).unwrap())),
            None => text.parse::<f64>().map_or(text, |float| format!("{float:?}")),
        },
        Shape::Time => six_digits(&text, ""),
        Shape::Timestamp => six_digits(&text.replacen(' ', "T", 1), ""),
        Shape::Instant => match text.strip_suffix('Z') {
            Some(text) => six_digits(&text.replacen(' ', "T", 1), "Z"),
            None => text,
        },
        _ => text,
    }
}

/// A 4-byte float that may have been kept in 8 bytes, without loss or as it is.
#[expect(clippy::cast_possible_truncation, reason = "a loss shows")]
fn single(text: &str) -> String {
    match text.parse::<f64>() {
        Ok(wide) if f64::from(wide as f32) == wide => format!("{:?}", wide as f32),
        _ => match text.parse::<f32>() {
            Ok(narrow) => format!("{narrow:?}"),
            Err(_) => text.to_owned(),
        },
    }
}

fn six_digits(text: &str, zone: &str) -> String {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}.{fraction:0<6}{zone}")
}
