//! Whether the target's table takes a row.

use super::Constraints;
use crate::error::{Error, Result};
use crate::schema::{StreamSchema, meta, meta_number};
use crate::testing::row::CanonicalRow;

/// The values of the key's columns.
pub(super) fn key(schema: &StreamSchema, row: &CanonicalRow) -> Vec<Option<String>> {
    schema.key.iter().map(|column| row.get(column).cloned().flatten()).collect()
}

/// Refuses a NULL where none may be, a text that is too long, and what else the table refuses.
pub(super) fn storable(
    schema: &StreamSchema,
    constraints: &Constraints,
    row: &CanonicalRow,
) -> Result<()> {
    if constraints.refused.is_some_and(|refused| refused(row)) {
        return Err(
            Error::data(format!("{}: a check refuses a row", schema.name)).with_code("check")
        );
    }
    for field in schema.schema.fields() {
        let value = row.get(field.name()).and_then(Option::as_ref);
        let refuse = |what: String| {
            let key: Vec<_> = key(schema, row).into_iter().flatten().collect();
            let (name, column) = (&schema.name, field.name());
            let text = format!("{name}: column {column} of key {}: {what}", key.join(", "));
            Err(Error::data(text).at_column(column))
        };
        let Some(value) = value else {
            if field.is_nullable() {
                continue;
            }
            return refuse("NULL, but the column allows none".to_owned());
        };
        let lengths = [
            (meta::MAX_CHARS, value.chars().count(), "characters"),
            (meta::MAX_UNITS, value.encode_utf16().count(), "UTF-16 code units"),
        ];
        for (name, length, unit) in lengths {
            let most = meta_number(field, name).and_then(|most| usize::try_from(most).ok());
            if most.is_some_and(|most| length > most) {
                return refuse(format!("{length} {unit}, {} allowed", most.unwrap_or(0)));
            }
        }
    }
    Ok(())
}
