//! The statements that prepare a file for a stream: target table, checkpoint row, stage table.

use etl_core::connector::Mode;
use etl_core::error::{Error, Result};
use etl_core::schema::StreamSchema;
use etl_core::sink::Statement;

use crate::sqlite::table::Table;
use crate::sqlite::{quote, types};

/// The declared type of the column in which rows are marked.
const MARK_TYPE: &str = "TIMESTAMPTZ_TEXT";

/// The statements of `prepare` behind [`super::migrations::statements`], in order. Each may run on a file
/// that is prepared already.
/// Rows that leave are marked in the column `mark`, if there is one.
///
/// # Errors
/// `Schema` if a column has no form in SQLite.
pub fn statements(
    stream: &StreamSchema,
    object: &str,
    mode: Mode,
    mark: Option<&str>,
) -> Result<Vec<Statement>> {
    let statement = |name: &str, text: String| Statement { name: name.to_owned(), text };
    let name = quote::text(&stream.name);
    let table = object;
    let mut all = vec![
        statement(&format!("target table {object}"), create(stream, table, mode, mark)?),
        statement(
            &format!("checkpoint row {}", stream.name),
            format!(
                "INSERT INTO etl_checkpoint (name, sequence, rows_total, updated_at)\nVALUES \
                 ({name}, 0, 0, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))\nON CONFLICT (name) DO \
                 NOTHING"
            ),
        ),
    ];
    if mode == Mode::Replace {
        let stage = stage(&stream.name, table);
        let literal = quote::text(&stage);
        all.push(statement(
            &format!("no load without stage table {stage}"),
            // A stage that is new has nothing of the load that the checkpoint tells of.
            format!(
                "UPDATE etl_checkpoint SET phase = 'idle', sequence = sequence + 1, run_id = \
                 NULL, lease_until = NULL\nWHERE name = {name} AND phase <> 'idle' AND NOT EXISTS \
                 (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = {literal})"
            ),
        ));
        all.push(statement(&format!("stage table {stage}"), create(stream, &stage, mode, None)?));
    }
    Ok(all)
}

/// The table in which the loads of a stream are collected that replace `table`.
#[must_use]
pub fn stage(stream: &str, table: &str) -> String {
    format!("etl_stage_{}", crate::stage::name(["", stream], &[table]))
}

/// The target table. Upserts find their rows by its primary key; appended versions have none.
fn create(stream: &StreamSchema, table: &str, mode: Mode, mark: Option<&str>) -> Result<String> {
    one_name_each(stream)?;
    let rowid = mode.is_keyed() && single_integer_key(stream)?;
    let mut parts = Vec::new();
    for field in stream.schema.fields() {
        let key = stream.is_key(field.name());
        let declared = types::declared_for(field)
            .map_err(|error| error.context(format!("{}: target {table}", stream.name)))?;
        let not_null = if key || !field.is_nullable() { " NOT NULL" } else { "" };
        let primary = if key && rowid { " PRIMARY KEY" } else { "" };
        parts.push(format!("  {} {declared}{not_null}{primary}", quote::name(field.name())?));
    }
    if let Some(mark) = mark {
        parts.push(format!("  {} {MARK_TYPE}", quote::name(mark)?));
    }
    if mode.is_keyed() && !rowid {
        parts.push(format!("  PRIMARY KEY ({})", quote::names("", &stream.key)?));
    }
    let end = if mode.is_keyed() && !rowid { "\n) WITHOUT ROWID" } else { "\n)" };
    let table = quote::name(table)?;
    Ok(format!("CREATE TABLE IF NOT EXISTS {table} (\n{}{end}", parts.join(",\n")))
}

/// Refuses two columns whose names are one name to SQLite.
fn one_name_each(stream: &StreamSchema) -> Result<()> {
    let mut names = std::collections::BTreeMap::new();
    for field in stream.schema.fields() {
        if let Some(other) = names.insert(field.name().to_ascii_lowercase(), field.name()) {
            return Err(Error::schema(format!(
                "{}: columns {other:?} and {:?} are one name to SQLite, which ignores the case of \
                 a to z; give one of them another name with transforms: [{{ rename: {{ … }} }}]",
                stream.name,
                field.name()
            )));
        }
    }
    Ok(())
}

fn single_integer_key(stream: &StreamSchema) -> Result<bool> {
    let [key] = stream.key.as_slice() else { return Ok(false) };
    let field = stream
        .schema
        .field_with_name(key)
        .map_err(|_| Error::schema(format!("{}: key column {key} is not selected", stream.name)))?;
    Ok(types::declared_for(field)? == "INTEGER")
}

/// What of a target table differs from the plan; empty if the stream can be written to it.
///
/// Columns that the stream does not have must be nullable or have a default.
///
/// # Errors
/// `Schema` if a column has no form in SQLite.
pub fn differences(
    stream: &StreamSchema,
    table: &Table,
    mode: Mode,
    mark: Option<&str>,
) -> Result<Vec<String>> {
    one_name_each(stream)?;
    let mut found = Vec::new();
    for field in stream.schema.fields() {
        let name = field.name();
        let planned = types::declared_for(field)?;
        let Some(column) = table.column(name) else {
            found.push(format!("column {name} {planned} is missing"));
            continue;
        };
        if column.generated {
            found.push(format!("column {name} is computed by the table and cannot be written"));
        } else if !types::keeps(&column.declared, &planned) {
            found.push(format!(
                "column {name} is {}, it must be {planned} for {}",
                if column.declared.is_empty() { "undeclared" } else { &column.declared },
                field.data_type()
            ));
        } else if !column.nullable && field.is_nullable() && !stream.is_key(name) {
            found.push(format!("column {name} is NOT NULL, but the stream's may be NULL"));
        }
    }
    if let Some(mark) = mark {
        found.extend(unfit_mark(mark, table)?);
    }
    for column in &table.columns {
        let mut ours = stream.schema.fields().iter().map(|field| field.name().as_str()).chain(mark);
        let ours = ours.any(|name| name.eq_ignore_ascii_case(&column.name));
        if !ours && !column.nullable && column.default.is_none() && !column.generated {
            found.push(format!(
                "column {} is NOT NULL without a default and not in the stream (give it a default, \
                 let it be NULL, or select it)",
                column.name
            ));
        }
    }
    found.extend(key_difference(stream, table, mode));
    Ok(found)
}

/// Why rows cannot be marked in a column.
fn unfit_mark(mark: &str, table: &Table) -> Result<Option<String>> {
    let Some(column) = table.column(mark) else {
        return Ok(Some(format!(
            "column {mark}, in which rows that leave are marked, is missing; ALTER TABLE {} ADD {} \
             {MARK_TYPE}",
            quote::name(&table.name)?,
            quote::name(mark)?
        )));
    };
    let takes = column.nullable && !column.generated && types::keeps(&column.declared, MARK_TYPE);
    Ok((!takes).then(|| {
        format!(
            "column {mark}, in which rows that leave are marked, is {}{}; it must be {MARK_TYPE}, \
             take NULL and not be computed",
            if column.declared.is_empty() { "undeclared" } else { &column.declared },
            if column.nullable { "" } else { " NOT NULL" }
        )
    }))
}

fn key_difference(stream: &StreamSchema, table: &Table, mode: Mode) -> Option<String> {
    let key = stream.key.join(", ");
    if mode == Mode::Append {
        return table.is_unique(&stream.key).then(|| {
            format!("({key}) is unique, but append keeps every version of a row: drop that key")
        });
    }
    let same = |columns: &[String]| {
        columns.len() == stream.key.len()
            && columns.iter().all(|c| stream.key.iter().any(|k| k.eq_ignore_ascii_case(c)))
    };
    let Some(index) =
        table.indexes.iter().find(|index| index.unique && !index.partial && same(&index.columns))
    else {
        return Some(format!("there is no primary key or unique index on exactly ({key})"));
    };
    let loose = index.collations.iter().find(|name| *name != "BINARY")?;
    Some(format!("the key ({key}) has collation {loose}; it must be BINARY"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn stream(key: &[&str]) -> StreamSchema {
        StreamSchema {
            name: "p/orders".to_owned(),
            schema: Arc::new(Schema::new(vec![
                Field::new("id", DataType::Int64, false),
                Field::new("part", DataType::Utf8, false),
                Field::new("amount", DataType::Decimal128(18, 2), true),
            ])),
            key: key.iter().map(|name| (*name).to_owned()).collect(),
            definition: etl_core::Definition::default(),
        }
    }

    #[test]
    fn an_upsert_target_has_the_key_as_its_primary_key() {
        let text = create(&stream(&["id"]), "orders", Mode::Upsert, None).unwrap();
        assert!(text.contains("\"id\" INTEGER NOT NULL PRIMARY KEY"), "{text}");
        assert!(text.contains("\"amount\" DECIMAL_TEXT(18,2)\n"), "{text}");
        let text = create(&stream(&["id", "part"]), "orders", Mode::Upsert, None).unwrap();
        assert!(text.contains("PRIMARY KEY (\"id\", \"part\")\n) WITHOUT ROWID"), "{text}");
    }

    #[test]
    fn an_append_target_has_no_key() {
        let text = create(&stream(&["id"]), "orders", Mode::Append, None).unwrap();
        assert!(!text.contains("PRIMARY KEY"), "{text}");
    }
}
