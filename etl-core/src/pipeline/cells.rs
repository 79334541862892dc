//! No value is larger than a run has memory for.

use arrow::array::{Array, AsArray};
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;

use crate::batch::Changes;
use crate::error::{Error, Result};
use crate::schema::StreamSchema;

/// Checks that no text and no binary takes more than `most` bytes. Of a delete only the key counts.
pub(super) fn check_size(schema: &StreamSchema, changes: &Changes, most: usize) -> Result<()> {
    let records = changes.records();
    for (field, column) in records.schema().fields().iter().zip(records.columns()) {
        let offsets = match column.data_type() {
            DataType::Utf8 => column.as_string::<i32>().value_offsets(),
            DataType::Binary => column.as_binary::<i32>().value_offsets(),
            _ => continue,
        };
        let size = |from: i32, to: i32| usize::try_from(to - from).unwrap_or(usize::MAX);
        // Nearly always all of a batch's values together are small.
        if let (Some(first), Some(last)) = (offsets.first(), offsets.last())
            && size(*first, *last) <= most
        {
            continue;
        }
        let key = schema.is_key(field.name());
        for (row, pair) in offsets.windows(2).enumerate() {
            let [from, to] = pair else { continue };
            let size = size(*from, *to);
            if size > most && column.is_valid(row) && (key || !changes.is_delete(row)) {
                return Err(too_large(schema, changes, (field.name(), row), size, most));
            }
        }
    }
    Ok(())
}

fn too_large(
    schema: &StreamSchema,
    changes: &Changes,
    (column, row): (&str, usize),
    size: usize,
    most: usize,
) -> Error {
    let shown = |name: &String| {
        // A key that is itself too large is not shown.
        let array = changes.records().column_by_name(name).filter(|_| name != column);
        let value = array.and_then(|array| array_value_to_string(array, row).ok());
        format!("{name} = {}", value.as_deref().unwrap_or("?"))
    };
    let key = schema.key.iter().map(shown).collect::<Vec<_>>().join(", ");
    Error::data(format!(
        "{}: column {column} of the row with key ({key}) takes {size} bytes, and one value may take \
         {most} (limits.cell). Nothing of its batch was written. Shorten it at the source, leave the \
         column out of select, or raise limits.cell: docs/architecture.md says what memory that takes",
        schema.name
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BinaryArray, Int64Array, RecordBatch, StringArray};
    use arrow::buffer::BooleanBuffer;
    use arrow::datatypes::{Field, Schema};

    use super::*;
    use crate::schema::Definition;

    fn changes(notes: Vec<Option<&str>>, raws: Vec<Option<&[u8]>>, deletes: &[bool]) -> Changes {
        let ids = Int64Array::from_iter_values((7..).take(notes.len()));
        let schema = Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("note", DataType::Utf8, true),
            Field::new("raw", DataType::Binary, true),
        ]));
        let (notes, raws) = (StringArray::from(notes), BinaryArray::from(raws));
        let columns: Vec<arrow::array::ArrayRef> =
            vec![Arc::new(ids), Arc::new(notes), Arc::new(raws)];
        let records = RecordBatch::try_new(schema, columns).unwrap();
        Changes::new(records, Some(BooleanBuffer::from(deletes))).unwrap()
    }

    fn checked(changes: &Changes) -> Result<(), String> {
        let schema = StreamSchema {
            name: "shop/orders".to_owned(),
            schema: changes.records().schema(),
            key: vec!["id".to_owned()],
            definition: Definition::default(),
        };
        check_size(&schema, changes, 4).map_err(|error| {
            assert_eq!(error.class(), crate::Class::Data);
            error.to_string()
        })
    }

    #[test]
    fn a_value_at_the_limit_passes_and_one_byte_more_is_told_by_column_key_and_size() {
        let all = [false; 3];
        let texts = vec![Some("1234"), None, Some("éé")];
        let bytes: Vec<Option<&[u8]>> = vec![Some(b"1234"), Some(b""), Some(b"123")];
        assert_eq!(checked(&changes(texts.clone(), bytes.clone(), &all)), Ok(()));
        let text = checked(&changes(vec![Some("1"), None, Some("éé.")], bytes.clone(), &all));
        let text = text.unwrap_err();
        for word in ["shop/orders: column note", "(id = 9) takes 5 bytes", "limits.cell"] {
            assert!(text.contains(word), "{word}: {text}");
        }
        let large: Vec<Option<&[u8]>> = vec![None, Some(b"12345"), None];
        let text = checked(&changes(texts.clone(), large.clone(), &all)).unwrap_err();
        assert!(text.contains("column raw of the row with key (id = 8) takes 5 bytes"), "{text}");
        assert_eq!(checked(&changes(texts, large, &[false, true, false])), Ok(()), "a delete");
    }

    #[test]
    fn a_part_of_a_batch_is_measured_by_itself() {
        let whole = changes(
            vec![Some("12345"), Some("1234"), Some("1")],
            vec![None, None, None],
            &[false; 3],
        );
        let part = |from, length| Changes::upserts(whole.records().slice(from, length));
        assert!(checked(&part(0, 2)).is_err());
        assert_eq!(checked(&part(1, 2)), Ok(()));
    }
}
