//! The one statement that a sweep reads with, and the one that reads rows by their keys.

use etl_core::connector::FilterExit;
use etl_core::error::{Error, Result};
use etl_sql::mssql::quote::TableName;
use etl_sql::mssql::read::Mark;
use etl_sql::mssql::read::types::Mapped;

use super::plan::Plan;

/// The part of a table that a sweep reads.
#[derive(Debug, Clone, Default)]
pub struct Bounds {
    /// From here on.
    pub low: Option<Mark>,
    /// Only below.
    pub below: Option<Mark>,
    /// Only behind this row, cursor and key.
    pub behind: Option<(Mark, Vec<String>)>,
}

/// `SELECT …` of all columns, and last whether the row passes the filter if that is to be told.
fn select(plan: &Plan, table: &TableName, top: &str) -> Result<String> {
    columns(plan, table, top, plan.filter.as_ref().filter(|_| plan.exit.is_told()))
}

fn columns(plan: &Plan, table: &TableName, top: &str, filter: Option<&String>) -> Result<String> {
    let mut columns: Vec<_> = plan.columns.iter().map(|mapped| mapped.expression.clone()).collect();
    columns.extend(filter.map(|filter| format!("CASE WHEN {filter} THEN 1 ELSE 0 END")));
    Ok(format!("SELECT {top}{} FROM {}", columns.join(", "), table.quoted()?))
}

/// Whether [`sweep`] yields a last column that says whether the row passes the filter.
pub(super) fn tells_passing(plan: &Plan) -> bool {
    plan.filter.is_some() && plan.exit.is_told()
}

/// A statement that makes the server look at the select list and the filter, and reads nothing.
///
/// # Errors
/// `Config` for a bad name.
pub fn trial(plan: &Plan, table: &TableName) -> Result<String> {
    let filter = plan.filter.as_ref().map(|filter| format!(" WHERE {filter}")).unwrap_or_default();
    Ok(format!("{}{filter};", select(plan, table, "TOP (0) ")?))
}

/// The sweep's statement: a range of the cursor, in a total order that an index on the cursor,
/// or on the cursor and the key, gives.
///
/// # Errors
/// `Config` for a bad name or a position of another cursor.
pub fn sweep(plan: &Plan, table: &TableName, bounds: &Bounds) -> Result<String> {
    let cursor = column(plan, plan.cursor)?;
    let name = &cursor.expression;
    let mut conditions = Vec::new();
    if bounds.low.is_none() && bounds.behind.is_none() && cursor.field.is_nullable() {
        conditions.push(format!("{name} IS NOT NULL"));
    }
    if let Some(low) = bounds.low {
        conditions.push(format!("{name} >= {}", plan.kind.literal(low)?));
    }
    if let Some(below) = bounds.below {
        conditions.push(format!("{name} < {}", plan.kind.literal(below)?));
    }
    let keys = plan.key.iter().map(|place| column(plan, *place)).collect::<Result<Vec<_>>>()?;
    if let Some((last, key)) = &bounds.behind {
        let last = plan.kind.literal(*last)?;
        // By itself the first condition lets the server seek.
        conditions.push(format!("{name} >= {last}"));
        conditions.push(format!("({name} > {last} OR {})", behind(&keys, key)?));
    }
    if let (Some(filter), FilterExit::Keep) = (&plan.filter, plan.exit) {
        conditions.push(filter.clone());
    }
    let conditions = if conditions.is_empty() {
        String::new()
    } else {
        format!("\n WHERE {}", conditions.join("\n   AND "))
    };
    let mut order = vec![name.clone()];
    // A cursor that is part of the key is there already.
    order.extend(keys.iter().map(|key| key.order()).filter(|key| key != name));
    Ok(format!("{}{conditions}\n ORDER BY {}", select(plan, table, "")?, order.join(", ")))
}

/// The statement that reads the rows with so many keys, whose texts are the parameters; last whether
/// the row passes the filter, if there is one.
///
/// # Errors
/// `Config` for a bad name.
pub fn by_key(plan: &Plan, table: &TableName, keys: usize) -> Result<String> {
    let parts = plan.key.iter().map(|place| column(plan, *place)).collect::<Result<Vec<_>>>()?;
    let condition = |number: usize| {
        let equal = parts.iter().enumerate().map(|(place, part)| {
            let parameter = format!("@P{}", number * parts.len() + place + 1);
            format!("{} = {}", part.expression, part.value(&parameter))
        });
        format!("({})", equal.collect::<Vec<_>>().join(" AND "))
    };
    let conditions: Vec<_> = (0..keys).map(condition).collect();
    let select = columns(plan, table, "", plan.filter.as_ref())?;
    Ok(format!("{select}\n WHERE {}", conditions.join("\n    OR ")))
}

/// Behind a key, of rows that have the last cursor; T-SQL has no comparison of rows.
fn behind(keys: &[&Mapped], texts: &[String]) -> Result<String> {
    let mut condition = None;
    for (key, text) in keys.iter().zip(texts).rev() {
        let (order, literal) = (key.order(), key.literal(text));
        condition = Some(match condition {
            None => format!("{order} > {literal}"),
            Some(rest) => format!("({order} > {literal} OR ({order} = {literal} AND {rest}))"),
        });
    }
    condition.ok_or_else(|| Error::internal("a stream without a key"))
}

pub(super) fn column(plan: &Plan, place: usize) -> Result<&Mapped> {
    plan.columns.get(place).ok_or_else(|| Error::internal("a plan lacks one of its columns"))
}
