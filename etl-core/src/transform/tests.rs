use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;

use super::{Cast, Filter, Rename, Select, Transform};
use crate::batch::Changes;
use crate::connector::FilterExit;
use crate::error::Class;
use crate::schema::{StreamSchema, meta};
use crate::testing::{CanonicalRow, Row, canonical};

fn stream() -> StreamSchema {
    Row::stream("test/orders")
}

/// Two upserts and a delete that carries its key only.
fn changes() -> Changes {
    let gone = Row {
        name: None,
        status: None,
        amount: None,
        active: None,
        updated_at: None,
        ..Row::new(3)
    };
    let rows = [Row::new(1), Row::new(2).name(None).status("cancelled"), gone];
    let deletes = [false, false, true].into_iter().collect();
    Changes::new(Row::records(&rows).unwrap(), Some(deletes)).unwrap()
}

fn names(records: &RecordBatch) -> Vec<&str> {
    records.schema_ref().fields().iter().map(|field| field.name().as_str()).collect()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

fn rows(changes: &Changes) -> Vec<CanonicalRow> {
    canonical(changes.records()).unwrap()
}

#[test]
fn select_keeps_the_named_columns_in_the_named_order() {
    let select = Select::new(["status", "id"].map(str::to_owned).into());
    let schema = select.schema(stream()).unwrap();
    let changed = select.apply(changes()).unwrap();
    assert_eq!(names(changed.records()), ["status", "id"]);
    assert_eq!(schema.schema.fields().len(), 2);
    assert_eq!(schema.key_indices().unwrap(), [1]);
    assert_eq!((changed.len(), changed.delete_count()), (3, 1));
    assert!(changed.is_delete(2));
    for (columns, said) in [(vec!["name"], "key column id"), (vec!["id", "nome"], "no column nome")]
    {
        let select = Select::new(columns.into_iter().map(str::to_owned).collect());
        let error = select.schema(stream()).unwrap_err();
        assert_eq!(error.class(), Class::Config);
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn rename_renames_the_key_too() {
    let rename = Rename::new(map(&[("id", "order_id"), ("name", "customer")]));
    let schema = rename.schema(stream()).unwrap();
    assert_eq!(schema.key, ["order_id"]);
    assert_eq!(meta_of(&schema, "customer", meta::MAX_CHARS).as_deref(), Some("40"));
    let changed = rename.apply(changes()).unwrap();
    assert_eq!(names(changed.records())[..2], ["order_id", "customer"]);
    assert!(changed.is_delete(2));
    for (pairs, said) in [
        (map(&[("nome", "x")]), "no column nome"),
        (map(&[("name", "status")]), "two columns would be named status"),
    ] {
        let error = Rename::new(pairs).schema(stream()).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
    // Two columns may change names.
    Rename::new(map(&[("name", "status"), ("status", "name")])).schema(stream()).unwrap();
}

fn meta_of(schema: &StreamSchema, column: &str, key: &str) -> Option<String> {
    schema.schema.field_with_name(column).unwrap().metadata().get(key).cloned()
}

#[test]
fn a_cast_without_loss_gives_the_same_values() {
    let casts = [
        ("amount", "decimal(20,4)", "10.5000"),
        ("amount", "decimal(10,1)", "10.5"),
        ("amount", "text", "10.50"),
        ("active", "text", "true"),
        ("updated_at", "text", "2023-11-14T22:13:20.123456Z"),
        ("updated_at", "datetime2(6)", "2023-11-14T22:13:20.123456Z"),
    ];
    for (column, kind, value) in casts {
        let cast = Cast::new(&map(&[(column, kind)])).unwrap();
        cast.schema(stream()).unwrap();
        let changed = cast.apply(changes()).unwrap();
        assert_eq!(rows(&changed)[0][column].as_deref(), Some(value), "{column} as {kind}");
        assert_eq!(rows(&changed)[2][column], None, "a delete's {column}");
        assert!(changed.is_delete(2));
    }
}

#[test]
fn a_cast_that_would_change_a_value_is_refused_without_showing_it() {
    let odd = |amount| Changes::upserts(Row::records(&[Row::new(1).amount(amount)]).unwrap());
    for (kind, amount) in [("decimal(10,1)", 1055), ("decimal(4,2)", 123_456)] {
        let cast = Cast::new(&map(&[("amount", kind)])).unwrap();
        let error = cast.apply(odd(amount)).unwrap_err();
        assert_eq!(error.class(), Class::Data, "{kind}");
        assert!(error.to_string().contains("amount"), "{error}");
        let shown = amount.to_string();
        assert!(!error.to_string().contains(&shown), "{error}");
    }
    let text = Changes::upserts(Row::records(&[Row::new(1).name(Some("12.5x"))]).unwrap());
    let cast = Cast::new(&map(&[("name", "decimal(10,2)")])).unwrap();
    assert_eq!(cast.apply(text).unwrap_err().class(), Class::Data);
}

#[test]
fn a_delete_is_not_cast() {
    let rows = [Row::new(1), Row::new(2).name(Some("not a number"))];
    let numbers = [rows[0].clone().name(Some("12.50")), rows[1].clone()];
    let deletes = [false, true].into_iter().collect();
    let changes = Changes::new(Row::records(&numbers).unwrap(), Some(deletes)).unwrap();
    let cast = Cast::new(&map(&[("name", "decimal(10,2)")])).unwrap();
    let changed = cast.apply(changes).unwrap();
    assert_eq!(changed.records().schema_ref().field(1).data_type(), &DataType::Decimal128(10, 2));
    assert_eq!(canonical(changed.records()).unwrap()[0]["name"].as_deref(), Some("12.50"));
}

#[test]
fn a_cast_of_a_key_or_of_nothing_is_refused() {
    for (column, kind) in [("id", "text"), ("nome", "text"), ("active", "time(3)")] {
        let cast = Cast::new(&map(&[(column, kind)])).unwrap();
        let error = cast.schema(stream()).unwrap_err();
        assert_eq!(error.class(), Class::Config);
        assert!(error.to_string().contains(column), "{error}");
    }
    assert!(Cast::new(&map(&[("name", "blob")])).is_err());
}

#[test]
fn filter_makes_deletes_of_what_leaves() {
    let filter = Filter::new("status = 'confirmed'", FilterExit::Delete).unwrap();
    let schema = filter.schema(stream()).unwrap();
    assert_eq!(schema.schema, stream().schema);
    let changed = filter.apply(changes()).unwrap();
    let deletes: Vec<_> = (0..changed.len()).map(|index| changed.is_delete(index)).collect();
    assert_eq!(deletes, [false, true, true]);
}

#[test]
fn filter_drops_what_leaves_where_rows_are_kept() {
    let filter = Filter::new("name IS NOT NULL", FilterExit::Keep).unwrap();
    let changed = filter.apply(changes()).unwrap();
    let ids: Vec<_> = rows(&changed).iter().map(|row| row["id"].clone().unwrap()).collect();
    assert_eq!(ids, ["1", "3"], "a delete stays, whatever its columns say");
    assert_eq!([changed.is_delete(0), changed.is_delete(1)], [false, true]);
    let error = Filter::new("nome = 'x'", FilterExit::Keep).unwrap().schema(stream()).unwrap_err();
    assert_eq!(error.class(), Class::Config);
    assert!(error.to_string().contains("nome"), "{error}");
}
