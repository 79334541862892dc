//! The statement that reads what is left of a sweep, and the one that reads rows by their keys.

use etl_core::connector::Mode;
use etl_core::error::{Error, Result};
use etl_sql::sqlite::quote;
use etl_sql::sqlite::text::Form;
use sqlx::Arguments;
use sqlx::sqlite::SqliteArguments;

use crate::sqlite::Settings;
use crate::sqlite::place::{KeyPart, Moment, Place, Scan};

/// The statement and its values; none if nothing may be read.
///
/// All comparing and sorting is binary, whatever collations the table declares: an order that is
/// not total would let rows slip through.
///
/// # Errors
/// `Config` if the position is not one of this stream.
pub(super) fn of(
    settings: &Settings,
    table: &str,
    form: Form,
    place: &Place,
) -> Result<Option<(String, SqliteArguments)>> {
    let config = &settings.stream.config;
    let cursor = format!("t.{} COLLATE BINARY", quote::name(&config.cursor.column)?);
    let keys = config
        .primary_key
        .iter()
        .map(|name| Ok(format!("t.{} COLLATE BINARY", quote::name(name)?)))
        .collect::<Result<Vec<_>>>()?;
    let order = format!("{cursor}, {}", keys.join(", "));
    let mut values = SqliteArguments::default();
    let mut conditions = Vec::new();
    match (&place.scan, place.low) {
        (Some(scan), _) => {
            // The first condition says nothing new, but SQLite looks for it in an index; it does
            // not see the cursor in the second.
            conditions.push(format!("{cursor} >= ?"));
            bind(&mut values, written(settings, form, scan.cursor)?)?;
            let marks = vec!["?"; keys.len() + 1].join(", ");
            conditions.push(format!("({order}) > ({marks})"));
            bind(&mut values, written(settings, form, scan.cursor)?)?;
            bind_key(&mut values, scan, keys.len())?;
        }
        (None, Some(low)) => {
            conditions.push(format!("{cursor} >= ?"));
            bind(&mut values, written(settings, form, low)?)?;
        }
        (None, None) => conditions.push(format!("{cursor} IS NOT NULL")),
    }
    if config.mode == Mode::Append {
        // What may still change or be preceded is not appended: it could not be taken back.
        let Some(h) = place.h else { return Ok(None) };
        conditions.push(format!("{cursor} < ?"));
        bind(&mut values, written(settings, form, h)?)?;
    }
    let statement = format!(
        "SELECT {} FROM main.{} AS t WHERE {} ORDER BY {order}",
        columns(&config.select)?,
        quote::name(table)?,
        conditions.join(" AND ")
    );
    Ok(Some((statement, values)))
}

/// How a column of a key is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    Integer,
    /// 0 or 1.
    Boolean,
    Text,
    Blob,
}

/// The statement that reads the rows which may have these keys, and its values. A column of the key
/// without a [`Part`] is not looked at.
///
/// # Errors
/// `Data` if a key's text is none of its column's type.
pub(super) fn by_key(
    settings: &Settings,
    table: &str,
    parts: &[Option<Part>],
    keys: &[Vec<String>],
) -> Result<(String, SqliteArguments)> {
    let names = settings.key().iter().zip(parts);
    let names = names
        .filter(|(_, part)| part.is_some())
        .map(|(name, _)| Ok(format!("t.{} = ?", quote::name(name)?)));
    let condition = names.collect::<Result<Vec<_>>>()?.join(" AND ");
    let mut values = SqliteArguments::default();
    let read = format!(
        "SELECT {} FROM main.{} AS t",
        columns(&settings.stream.config.select)?,
        quote::name(table)?
    );
    if condition.is_empty() {
        return Ok((read, values));
    }
    for texts in keys {
        for (part, text) in parts.iter().zip(texts) {
            let unfit = || Error::data("a key in the quarantine is none of the table's");
            match part {
                Some(Part::Integer) => {
                    bind(&mut values, text.parse::<i64>().map_err(|_| unfit())?)?;
                }
                Some(Part::Boolean) => bind(&mut values, i64::from(text == "true"))?,
                Some(Part::Text) => bind(&mut values, text.clone())?,
                Some(Part::Blob) => bind(&mut values, KeyPart::bytes(text).map_err(|_| unfit())?)?,
                None => {}
            }
        }
    }
    let conditions = vec![format!("({condition})"); keys.len()].join(" OR ");
    Ok((format!("{read} WHERE {conditions}"), values))
}

/// Named as in the config: SQLite would name them as the table spells them.
fn columns(select: &[String]) -> Result<String> {
    let columns = select.iter().map(|name| {
        let name = quote::name(name)?;
        Ok(format!("t.{name} AS {name}"))
    });
    Ok(columns.collect::<Result<Vec<_>>>()?.join(", "))
}

fn bind_key(values: &mut SqliteArguments, scan: &Scan, parts: usize) -> Result<()> {
    if scan.key.len() != parts {
        return Err(Error::config("the stored position has another key than the stream"));
    }
    for part in &scan.key {
        match part {
            KeyPart::Integer(number) => bind(values, *number)?,
            KeyPart::Text(text) => bind(values, text.clone())?,
            KeyPart::Blob { hex } => bind(values, KeyPart::bytes(hex)?)?,
        }
    }
    Ok(())
}

fn bind<'q, T>(values: &mut SqliteArguments, value: T) -> Result<()>
where
    T: sqlx::Encode<'q, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    Arguments::add(values, value)
        .map_err(|cause| Error::internal("binding a value").with_source(cause))
}

/// A moment as the cursor column writes it.
///
/// # Errors
/// `Config` if it is outside of the years 1 to 9999.
pub(super) fn written(settings: &Settings, form: Form, moment: Moment) -> Result<String> {
    form.write(moment.0 + settings.utc_offset_micros)
        .ok_or_else(|| Error::config("the stored position holds a time that has no text"))
}

#[cfg(test)]
mod tests {
    use etl_core::connector::Stream;
    use serde_json::json;
    use sqlx::{AssertSqlSafe, Connection, Executor, SqliteConnection};

    use super::*;

    #[tokio::test]
    async fn a_sweep_begins_at_its_place_in_the_index_and_sorts_nothing() {
        let config = json!({
            "object": "orders", "primary_key": ["id"], "select": ["id", "changed"],
            "cursor": { "column": "changed" },
        });
        let stream = Stream {
            pipeline: "p".to_owned(),
            name: "orders".to_owned(),
            config: serde_json::from_value(config).unwrap(),
        };
        let settings = Settings::new(&json!({ "path": "x.db" }), &stream).unwrap();
        let mut c = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        c.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, changed DATETIME NOT NULL, x)")
            .await
            .unwrap();
        c.execute("CREATE INDEX by_changed ON orders (changed)").await.unwrap();
        let (form, _) = Form::read("2026-01-02 03:04:05").unwrap();
        let mut new = Place::default();
        new.low = Some(Moment(0));
        let scan = Scan { cursor: Moment(0), key: vec![KeyPart::Integer(1)] };
        for place in [new.at(scan), new] {
            let (statement, values) = of(&settings, "orders", form, &place).unwrap().unwrap();
            let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            let plan: Vec<(i64, i64, i64, String)> =
                sqlx::query_as_with(explain, values).fetch_all(&mut c).await.unwrap();
            let plan: Vec<_> = plan.into_iter().map(|(.., step)| step).collect();
            assert_eq!(plan, ["SEARCH t USING COVERING INDEX by_changed (changed>?)"]);
        }
    }
}
