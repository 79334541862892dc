//! Arrow rows as the data of a `COPY … FROM STDIN (FORMAT binary)`.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type,
    Int64Type, Time64MicrosecondType, TimestampMicrosecondType,
};
use etl_core::{Changes, Error, Result};

use super::copy::{DAY_MICROS, EPOCH_DAYS, EPOCH_MICROS, put_decimal};
use super::target::{Column, Target};

/// The staging table's first column: whether the row is a delete; the others are
/// [`Column::staged`].
pub const DELETE_FLAG: &str = "is_delete";

/// Signature, no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
const NULL: [u8; 4] = (-1_i32).to_be_bytes();

/// Every row of `changes`: the delete flag, then the target's columns in order. Of a delete only
/// the key is sent.
///
/// Each value is checked against the target's column here, before anything is sent: the server
/// would round what has too many digits, and name neither column nor key.
///
/// # Errors
/// `Data` naming column and key if a value does not fit.
pub fn encode(target: &Target, changes: &Changes) -> Result<Vec<u8>> {
    let columns = bound_columns(target, changes.records())?;
    let fields = i16::try_from(columns.len() + 1)
        .map_err(|_| Error::schema(format!("{}: too many columns for Postgres", target.stream)))?;
    let mut out = Vec::with_capacity(HEADER.len() + changes.bytes() + changes.len() * 8);
    out.extend_from_slice(HEADER);
    for row in 0..changes.len() {
        let deleted = changes.is_delete(row);
        out.extend_from_slice(&fields.to_be_bytes());
        put(&mut out, |out| out.push(u8::from(deleted)))?;
        for (column, array) in &columns {
            if deleted && !column.key {
                out.extend_from_slice(&NULL);
            } else if array.is_null(row) {
                if !column.nullable {
                    let what = "it is NULL, and the target's column is NOT NULL";
                    return Err(refuse(target, &columns, row, column, what));
                }
                out.extend_from_slice(&NULL);
            } else {
                let mut refused = None;
                put(&mut out, |out| refused = value(column, array, row, out).err())?;
                if let Some(what) = refused {
                    return Err(refuse(target, &columns, row, column, &what));
                }
            }
        }
    }
    out.extend_from_slice(&TRAILER);
    Ok(out)
}

/// A field: its length, then what `write` writes.
fn put(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
    let start = out.len();
    out.extend_from_slice(&NULL);
    write(out);
    let length = i32::try_from(out.len() - start - NULL.len())
        .map_err(|_| Error::data("a value is longer than 2 GiB"))?;
    if let Some(place) = out.get_mut(start..start + NULL.len()) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

type Bound<'a> = (&'a Column, &'a ArrayRef);

fn bound_columns<'a>(target: &'a Target, records: &'a RecordBatch) -> Result<Vec<Bound<'a>>> {
    target
        .columns
        .iter()
        .map(|column| {
            let array = records.column_by_name(&column.name).ok_or_else(|| {
                Error::internal(format!("a batch lacks the column {}", column.name))
            })?;
            Ok((column, array))
        })
        .collect()
}

fn refuse(target: &Target, columns: &[Bound<'_>], row: usize, bad: &Column, what: &str) -> Error {
    let key: Vec<_> = columns
        .iter()
        .filter(|(column, _)| column.key)
        .map(|(column, array)| {
            let shown = arrow::util::display::array_value_to_string(array, row);
            format!("{}={}", column.name, shown.unwrap_or_else(|_| "?".to_owned()))
        })
        .collect();
    Error::data(format!(
        "{}: column {}, row {}: {what}. The batch was not written",
        target.stream,
        bad.name,
        key.join(", ")
    ))
    .at_column(&bad.name)
}

/// Appends a value as the staging table's column takes it; else why the target cannot store it.
fn value(column: &Column, array: &ArrayRef, row: usize, out: &mut Vec<u8>) -> Result<(), String> {
    use super::sqltype::SqlType as To;
    match (column.sql_type, array.data_type()) {
        (To::SmallInt, DataType::Int16) => {
            out.extend_from_slice(&array.as_primitive::<Int16Type>().value(row).to_be_bytes());
        }
        (To::Integer, DataType::Int16 | DataType::Int32) => {
            let narrow = i32::try_from(integer(array, row)?).map_err(|_| "it does not fit")?;
            out.extend_from_slice(&narrow.to_be_bytes());
        }
        (To::BigInt, DataType::Int16 | DataType::Int32 | DataType::Int64) => {
            out.extend_from_slice(&integer(array, row)?.to_be_bytes());
        }
        (To::Real, DataType::Float32) => {
            out.extend_from_slice(&array.as_primitive::<Float32Type>().value(row).to_be_bytes());
        }
        (To::Double, DataType::Float32) => {
            let wide = f64::from(array.as_primitive::<Float32Type>().value(row));
            out.extend_from_slice(&wide.to_be_bytes());
        }
        (To::Double, DataType::Float64) => {
            out.extend_from_slice(&array.as_primitive::<Float64Type>().value(row).to_be_bytes());
        }
        (To::Numeric(_), DataType::Decimal128(_, scale)) => {
            let scale = u8::try_from(*scale).map_err(|_| "its scale is negative")?;
            put_decimal(out, array.as_primitive::<Decimal128Type>().value(row), scale);
        }
        (To::Boolean, DataType::Boolean) => out.push(u8::from(array.as_boolean().value(row))),
        (
            To::Text(_) | To::Char(_) | To::CiText | To::Enum | To::Array | To::Json | To::Jsonb,
            DataType::Utf8,
        ) => {
            let text = array.as_string::<i32>().value(row);
            check_text(text, column)?;
            if column.sql_type == To::Jsonb {
                // The version of its wire form.
                out.push(1);
            }
            out.extend_from_slice(text.as_bytes());
        }
        (To::Bytea, DataType::Binary) => {
            out.extend_from_slice(array.as_binary::<i32>().value(row));
        }
        (To::Uuid, DataType::FixedSizeBinary(16)) => {
            out.extend_from_slice(array.as_fixed_size_binary().value(row));
        }
        (To::Date, DataType::Date32) => {
            let days = array.as_primitive::<Date32Type>().value(row).checked_sub(EPOCH_DAYS);
            let days = days.filter(|days| *days > FIRST_DATE).ok_or("its date is too early")?;
            out.extend_from_slice(&days.to_be_bytes());
        }
        (To::Timestamp(digits) | To::TimestampTz(digits), DataType::Timestamp(..)) => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            fraction(micros, digits)?;
            let micros = micros.checked_sub(EPOCH_MICROS).filter(|at| TIMES.contains(at));
            out.extend_from_slice(&micros.ok_or("its date is out of range")?.to_be_bytes());
        }
        (To::Time(digits), DataType::Time64(_)) => {
            let micros = array.as_primitive::<Time64MicrosecondType>().value(row);
            fraction(micros, digits)?;
            if !(0..=DAY_MICROS).contains(&micros) {
                return Err("its time of day is not between 00:00 and 24:00".to_owned());
            }
            out.extend_from_slice(&micros.to_be_bytes());
        }
        (wanted, found) => return Err(format!("{found} cannot become {wanted}")),
    }
    Ok(())
}

/// 4714-11-24 BC is the first day; the numbers before it and `i32::MIN` mean something else.
const FIRST_DATE: i32 = -2_451_546;
/// From 4714-11-24 BC to the end of 294276, in microseconds since 2000; see `timestamp.h`.
const TIMES: std::ops::Range<i64> = -211_813_488_000_000_000..9_223_371_331_200_000_000;

fn integer(array: &ArrayRef, row: usize) -> Result<i64, String> {
    Ok(match array.data_type() {
        DataType::Int16 => i64::from(array.as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => i64::from(array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row),
        other => return Err(format!("{other} cannot become an integer")),
    })
}

/// The server would round.
fn fraction(micros: i64, digits: u8) -> Result<(), String> {
    let step = 10_i64.pow(6_u32.saturating_sub(u32::from(digits)));
    if micros % step == 0 {
        return Ok(());
    }
    Err(format!("it has more than {digits} fractional digits of a second"))
}

fn check_text(text: &str, column: &Column) -> Result<(), String> {
    use super::sqltype::SqlType as To;
    if text.contains('\0') {
        return Err("it holds a NUL character, which Postgres has no form for".to_owned());
    }
    let limit = match column.sql_type {
        To::Text(limit) => limit,
        // Blanks at the end are padding there and would not come back.
        To::Char(_) if text.ends_with(' ') => {
            return Err("it ends with a blank, which char(n) does not keep".to_owned());
        }
        To::Char(limit) => Some(limit),
        _ => None,
    };
    let most = limit.into_iter().chain(column.max_chars).min();
    let length = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    // No text has more characters, or UTF-16 units, than bytes.
    if let Some(most) = most.filter(|most| length(text.len()) > *most) {
        let chars = length(text.chars().count());
        if chars > most {
            return Err(format!("it has {chars} characters, the column takes {most}"));
        }
    }
    if let Some(most) = column.max_units.filter(|most| length(text.len()) > *most) {
        let units = length(text.encode_utf16().count());
        if units > most {
            return Err(format!("it has {units} UTF-16 code units, declared are at most {most}"));
        }
    }
    Ok(())
}
