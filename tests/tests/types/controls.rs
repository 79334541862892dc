//! Controls: a mapping with a defect, planted between source and target, is found by the same
//! comparison, whatever the target.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::kernels::arity::unary;
use arrow::datatypes::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};
use etl_core::transform::Transform;
use etl_core::{Changes, Result, StreamSchema};

use super::carry::{Found, Trial};
use super::cell::Case;
use super::{TARGETS, postgres};
use crate::support::side::Side;

/// Changes the column `v`.
struct Planted(fn(&ArrayRef) -> ArrayRef);

impl Transform for Planted {
    fn schema(&self, input: StreamSchema) -> Result<StreamSchema> {
        Ok(input)
    }

    fn apply(&self, changes: Changes) -> Result<Changes> {
        let records = changes.records();
        let place = records.schema().index_of("v")?;
        let mut columns = records.columns().to_vec();
        columns[place] = (self.0)(&columns[place]);
        Changes::new(RecordBatch::try_new(records.schema(), columns)?, changes.deletes().cloned())
    }
}

fn texts(array: &ArrayRef, change: fn(Option<&str>) -> Option<String>) -> ArrayRef {
    let texts = array.as_string::<i32>();
    Arc::new(texts.iter().map(change).collect::<StringArray>())
}

fn numbers<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    change: fn(T::Native) -> T::Native,
) -> ArrayRef {
    let changed = unary::<_, _, T>(array.as_primitive::<T>(), change);
    Arc::new(changed.with_data_type(array.data_type().clone()))
}

fn micros(array: &ArrayRef, change: fn(i64) -> i64) -> ArrayRef {
    let array = array.as_primitive::<TimestampMicrosecondType>();
    let changed: TimestampMicrosecondArray = unary(array, change);
    Arc::new(changed.with_timezone_opt(array.timezone()))
}

fn swapped(array: &ArrayRef) -> ArrayRef {
    let uuids = array.as_fixed_size_binary().iter().map(|uuid| {
        let mut bytes = uuid?.to_vec();
        bytes[0..4].reverse();
        Some(bytes)
    });
    Arc::new(arrow::array::FixedSizeBinaryArray::try_from_sparse_iter_with_size(uuids, 16).unwrap())
}

fn without_zeros(array: &ArrayRef) -> ArrayRef {
    let cut = |bytes: &[u8]| {
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        bytes[..end].to_vec()
    };
    let bytes = array.as_binary::<i32>().iter().map(|bytes| bytes.map(cut));
    Arc::new(bytes.collect::<arrow::array::BinaryArray>())
}

/// The type in whose values it shows, and the defect.
type Defect = (&'static str, &'static str, fn(&ArrayRef) -> ArrayRef);

const DEFECTS: &[Defect] = &[
    ("text", "trims blanks", |v| texts(v, |text| Some(text?.trim_end_matches(' ').to_owned()))),
    ("text", "takes '' for NULL", |v| {
        texts(v, |text| text.filter(|t| !t.is_empty()).map(str::to_owned))
    }),
    ("text", "takes NULL for ''", |v| texts(v, |text| Some(text.unwrap_or("").to_owned()))),
    ("text", "replaces a noncharacter", |v| {
        texts(v, |text| Some(text?.replace('\u{ffff}', "\u{fffd}")))
    }),
    ("text", "ends lines in its own way", |v| texts(v, |text| Some(text?.replace("\r\n", "\n")))),
    ("text", "loses what is long", |v| {
        texts(v, |text| Some(text?.chars().take(200_000).collect()))
    }),
    ("varchar(3)", "counts units, not characters", |v| {
        texts(v, |text| Some(text?.chars().take(2).collect()))
    }),
    ("public.mood", "folds letters", |v| texts(v, |text| Some(text?.to_lowercase()))),
    ("jsonb", "rounds a number", |v| texts(v, |text| Some(text?.replace("456789", "456788")))),
    ("uuid", "swaps bytes", swapped),
    ("bytea", "loses zeros at the end", without_zeros),
    ("numeric(18,2)", "shifts the scale", |v| numbers::<Decimal128Type>(v, |n| n / 10)),
    ("numeric(18,2)", "loses the sign", |v| numbers::<Decimal128Type>(v, i128::abs)),
    ("numeric(38,38)", "goes through a float", |v| numbers::<Decimal128Type>(v, through_a_float)),
    ("bigint", "goes through a float", |v| numbers::<Int64Type>(v, whole_through_a_float)),
    ("integer", "loses the last bit", |v| numbers::<Int32Type>(v, |n| n & !1)),
    ("double precision", "has four bytes", |v| numbers::<Float64Type>(v, four_bytes)),
    ("real", "loses the sign of zero", |v| numbers::<Float32Type>(v, |n| n + 0.0)),
    ("date", "is a day off", |v| {
        numbers::<Date32Type>(v, |n| if n == 0 { 0 } else { n.max(-719_161) - 1 })
    }),
    ("timestamp", "keeps milliseconds", |v| micros(v, |n| n - n.rem_euclid(1_000))),
    ("timestamp", "rounds before 1970", |v| micros(v, |n| if n < 0 { n / 10 * 10 } else { n })),
    ("timestamptz", "is an hour off", |v| {
        micros(v, |n| n.min(253_402_290_000_000_000) + 3_600_000_000)
    }),
];

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "the defect")]
fn through_a_float(number: i128) -> i128 {
    let found = number as f64 as i128;
    // What is no decimal any more would be refused by the target.
    if found.unsigned_abs() < 10_u128.pow(38) { found } else { number }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "the defect")]
fn whole_through_a_float(number: i64) -> i64 {
    number as f64 as i64
}

/// Without what would become infinite, or -0.0.
#[expect(clippy::cast_possible_truncation, reason = "the defect")]
fn four_bytes(number: f64) -> f64 {
    if number.abs() > 1e38 { number } else { f64::from(number as f32) + 0.0 }
}

fn of_kind(kind: &str) -> Case {
    let found = postgres::cases().into_iter().find(|case| case.kind == kind);
    found.unwrap_or_else(|| panic!("no case of {kind}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn control_a_mapping_with_a_defect_is_found_by_the_comparison() {
    let from = Side::of("postgres").await;
    from.execute(postgres::SETUP).await;
    for kind in TARGETS {
        let to = Side::of(kind).await;
        for (number, (of, defect, change)) in DEFECTS.iter().enumerate() {
            // SQLite has one zero only, and says so.
            if (*of, kind) == ("real", "sqlite") {
                continue;
            }
            let case = of_kind(of);
            let trial = Trial::new(&case, &format!("d{number}"), &from, &to).await;
            let found = trial.arrive(vec![Box::new(Planted(*change))]).await;
            let is_found = found.iter().any(|(_, found)| matches!(found, Found::Wrong(_)));
            assert!(is_found, "{of} to {kind}: a mapping that {defect} is not found");
            let told = format!("{found:?}");
            assert!(!told.contains("was refused"), "{of} to {kind}, {defect}: {told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn control_a_value_that_should_be_refused_and_is_carried_is_found() {
    let from = Side::of("postgres").await;
    let to = Side::of("mssql").await;
    for (number, kind) in ["date", "timestamp", "double precision", "time"].iter().enumerate() {
        let case = of_kind(kind);
        let mut trial = Trial::new(&case, &format!("r{number}"), &from, &to).await;
        trial.stream.config.on_special = etl_core::connector::OnSpecial::Null;
        trial.arrive(Vec::new()).await;
        for (cell, found) in trial.refuse().await {
            assert!(matches!(found, Found::Wrong(_)), "{kind} {cell}");
        }
    }
}
