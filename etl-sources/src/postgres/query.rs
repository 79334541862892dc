//! The one statement that a sweep reads with, and the one that reads rows by their keys.

use etl_core::connector::FilterExit;
use etl_core::error::{Error, Result};
use etl_sql::postgres::copy::timestamp_text;
use etl_sql::postgres::quote::TableName;
use etl_sql::postgres::types::{Mapped, Wire};

use super::mark::{Kind, Mark};
use super::plan::Plan;

/// The part of a table that a sweep reads.
#[derive(Debug, Clone, Default)]
pub(super) struct Bounds {
    /// From here on.
    pub(super) low: Option<Mark>,
    /// Only below.
    pub(super) below: Option<Mark>,
    /// Only behind this row, cursor and key.
    pub(super) behind: Option<(Mark, Vec<String>)>,
}

/// The setting, of one transaction, that holds the keys of [`by_key`]: a COPY takes no parameter.
pub(super) const KEYS: &str = "etl.keys";

/// `SELECT …` of all columns, and last whether the row passes the filter if that is to be told.
pub(super) fn select(plan: &Plan, table: &TableName) -> Result<String> {
    columns(plan, table, plan.filter.as_ref().filter(|_| plan.exit.is_told()))
}

fn columns(plan: &Plan, table: &TableName, filter: Option<&String>) -> Result<String> {
    let mut columns = plan.columns.iter().map(Mapped::expression).collect::<Result<Vec<_>>>()?;
    columns.extend(filter.map(|filter| format!("({filter}) IS TRUE")));
    Ok(format!("SELECT {} FROM {}", columns.join(", "), table.quoted()?))
}

/// Whether [`select`] yields a last column that says whether the row passes the filter.
pub(super) fn tells_passing(plan: &Plan) -> bool {
    plan.filter.is_some() && plan.exit.is_told()
}

/// The sweep's statement: a range of the cursor, in a total order that an index on the cursor,
/// or on the cursor and the key, gives.
pub(super) fn copy(plan: &Plan, table: &TableName, bounds: &Bounds) -> Result<String> {
    let cursor = column(plan, plan.cursor)?;
    let name = cursor.expression()?;
    let mut conditions = Vec::new();
    if bounds.low.is_none() && cursor.field.is_nullable() {
        conditions.push(format!("{name} IS NOT NULL"));
    }
    if let Some(low) = bounds.low {
        conditions.push(format!("{name} >= {}", literal(plan, low)?));
    }
    if let Some(below) = bounds.below {
        conditions.push(format!("{name} < {}", literal(plan, below)?));
    }
    let keys = plan.key.iter().map(|place| column(plan, *place)).collect::<Result<Vec<_>>>()?;
    let mut order = vec![name];
    order.extend(keys.iter().map(|key| key.order()).collect::<Result<Vec<_>>>()?);
    let order = order.join(", ");
    if let Some((last, key)) = &bounds.behind {
        let mut values = vec![literal(plan, *last)?];
        for (mapped, text) in keys.iter().zip(key) {
            values.push(mapped.literal(text)?);
        }
        conditions.push(format!("({order}) > ({})", values.join(", ")));
    }
    if let (Some(filter), FilterExit::Keep) = (&plan.filter, plan.exit) {
        conditions.push(format!("({filter}) IS TRUE"));
    }
    let conditions = if conditions.is_empty() {
        String::new()
    } else {
        format!(" WHERE {}", conditions.join(" AND "))
    };
    Ok(format!(
        "COPY ({}{conditions} ORDER BY {order}) TO STDOUT (FORMAT binary)",
        select(plan, table)?
    ))
}

/// The statement that reads the rows whose keys are in [`KEYS`], an array of arrays of texts; last
/// whether the row passes the filter, if there is one.
pub(super) fn by_key(plan: &Plan, table: &TableName) -> Result<String> {
    let keys = plan.key.iter().map(|place| column(plan, *place)).collect::<Result<Vec<_>>>()?;
    let names = keys.iter().map(|key| key.expression()).collect::<Result<Vec<_>>>()?;
    let values = keys.iter().enumerate();
    let values = values.map(|(place, key)| key.of_key(&format!("k.v ->> {place}")));
    Ok(format!(
        "COPY ({} WHERE ({}) IN (SELECT {} FROM json_array_elements(current_setting('{KEYS}')::json) \
         AS k(v))) TO STDOUT (FORMAT binary)",
        columns(plan, table, plan.filter.as_ref())?,
        names.join(", "),
        values.collect::<Vec<_>>().join(", ")
    ))
}

fn column(plan: &Plan, place: usize) -> Result<&Mapped> {
    plan.columns.get(place).ok_or_else(|| Error::internal("a plan lacks one of its columns"))
}

/// A mark as a literal of the cursor's type.
fn literal(plan: &Plan, mark: Mark) -> Result<String> {
    let cursor = column(plan, plan.cursor)?;
    match (plan.kind, mark) {
        (Kind::Time { to_utc }, Mark::Instant(micros)) => {
            let text = timestamp_text(micros - to_utc)
                .ok_or_else(|| Error::config("the position lies outside the years 1 to 9999"))?;
            let zoneless = cursor.wire == Wire::Timestamp;
            cursor.literal(if zoneless { text.trim_end_matches('Z') } else { &text })
        }
        (Kind::Xid, Mark::Xid(number)) => cursor.literal(&number.to_string()),
        _ => Err(Error::config(format!("the position's {mark} is none of the cursor's"))),
    }
}
