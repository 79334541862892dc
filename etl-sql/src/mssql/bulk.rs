//! Arrow rows into a staging table, by bulk load.

use std::num::FpCategory;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type,
    Int64Type, Time64MicrosecondType, TimestampMicrosecondType,
};
use etl_core::connector::OnSpecial;
use etl_core::{Changes, Error, Result};
use tiberius::numeric::Numeric;
use tiberius::time::{Date, DateTime2, DateTimeOffset, Time};
use tiberius::{ColumnData, SqlBulkCopyOption, ToSql, TokenRow, Uuid};

use super::connect::Connection;
use super::error::{Phase, classify, timed_out};
use super::target::{Column, Target};
use super::types::SqlType;

/// Days from 0001-01-01 to 1970-01-01.
const EPOCH_DAYS: i64 = 719_162;
/// Days from 0001-01-01 to 9999-12-31.
const LAST_DAY: i64 = 3_652_058;
const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Loads `changes` into `table`, whose first column is the delete flag and whose others are the
/// target's, in order.
///
/// Takes the connection and gives it back only after the load was finalised: a load that was
/// begun and dropped leaves the driver waiting for ever (tiberius 0.13).
///
/// # Errors
/// `Data` naming column and key if a value does not fit, before anything of the row is sent.
pub async fn load(
    connection: Connection,
    table: &str,
    target: &Target,
    changes: &Changes,
) -> Result<Connection> {
    let doing = format!("{}: loading {} rows into {table}", target.stream, changes.len());
    let limit = connection.limit();
    // Sending has no limit in the driver. A batch is small; ten limits are a stalled peer.
    let load = Box::pin(run(connection, table, target, changes, &doing));
    let load = tokio::time::timeout(limit * 10, load);
    match load.await {
        Ok(loaded) => loaded,
        Err(_) => Err(timed_out(Phase::Repeatable, &doing, (limit * 10).as_secs())),
    }
}

async fn run(
    mut connection: Connection,
    table: &str,
    target: &Target,
    changes: &Changes,
    doing: &str,
) -> Result<Connection> {
    let fail = |error: tiberius::error::Error| classify(&error, Phase::Repeatable, doing);
    let names = target.columns.iter().map(|column| column.staged.as_str());
    let names: Vec<&str> = std::iter::once(DELETE_FLAG).chain(names).collect();
    let options = SqlBulkCopyOption::KeepNulls | SqlBulkCopyOption::TableLock;
    let columns = bound_columns(target, changes.records())?;
    let mut request = connection
        .client
        .bulk_insert_with_options(table, &names, options, &[])
        .await
        .map_err(fail)?;
    let mut large = Vec::new();
    for index in 0..changes.len() {
        let deleted = changes.is_delete(index);
        let mut row = TokenRow::with_capacity(columns.len() + 1);
        row.push(ColumnData::Bit(Some(deleted)));
        for (column, array) in &columns {
            let value = if deleted && !column.key {
                null(column.sql_type)
            } else {
                convert(column, array, index)
                    .map_err(|what| refuse(target, &columns, index, column, &what))?
            };
            if is_large(&value) {
                large.push((*column, value, index));
                row.push(null(column.sql_type));
            } else {
                row.push(value);
            }
        }
        request.send(row).await.map_err(fail)?;
    }
    // The commit counts what arrived; the count in this answer depends on the session's settings.
    request.finalize().await.map_err(fail)?;
    for (column, value, row) in large {
        fill(&mut connection, table, target, &columns, column, value, row, doing).await?;
    }
    Ok(connection)
}

/// The driver refuses longer values in a bulk load, also for `max`, whose marker 0xFFFF it takes
/// for a length (tiberius 0.13); as parameters it sends them.
const BULK_BYTES: usize = 65_535;

fn is_large(value: &ColumnData<'_>) -> bool {
    match value {
        // Two bytes for each UTF-16 unit, and no text has more of those than bytes in UTF-8.
        ColumnData::String(Some(text)) => {
            text.len() > BULK_BYTES / 2 && text.encode_utf16().count() > BULK_BYTES / 2
        }
        ColumnData::Binary(Some(bytes)) => bytes.len() > BULK_BYTES,
        _ => false,
    }
}

/// Puts a large value into its staged row.
#[expect(clippy::too_many_arguments, reason = "one call, beside the loop that it belongs to")]
async fn fill(
    connection: &mut Connection,
    table: &str,
    target: &Target,
    columns: &[Bound<'_>],
    column: &Column,
    value: ColumnData<'static>,
    row: usize,
    doing: &str,
) -> Result<()> {
    let mut parameters = vec![Parameter(value)];
    for (key, array) in columns.iter().filter(|(column, _)| column.key) {
        let value =
            convert(key, array, row).map_err(|what| refuse(target, columns, row, key, &what))?;
        parameters.push(Parameter(value));
    }
    let parameters: Vec<&dyn ToSql> = parameters.iter().map(|value| value as &dyn ToSql).collect();
    let sql = fill_statement(table, target, column);
    connection.query(&sql, &parameters, Phase::Repeatable, doing).await.map(drop)
}

/// Sets one column of one staged row: `@P1` the value, then the key.
#[must_use]
pub fn fill_statement(table: &str, target: &Target, column: &Column) -> String {
    let key: Vec<_> = target
        .key()
        .enumerate()
        .map(|(index, key)| format!("{} = @P{}", key.staged, index + 2))
        .collect();
    format!("UPDATE {table} SET {} = @P1 WHERE {};", column.staged, key.join(" AND "))
}

struct Parameter(ColumnData<'static>);

impl ToSql for Parameter {
    fn to_sql(&self) -> ColumnData<'_> {
        self.0.clone()
    }
}

/// The staging table's first column, quoted; the others are [`Column::staged`].
pub const DELETE_FLAG: &str = "[is_delete]";

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

fn null(sql_type: SqlType) -> ColumnData<'static> {
    match sql_type {
        SqlType::SmallInt => ColumnData::I16(None),
        SqlType::Int => ColumnData::I32(None),
        SqlType::BigInt => ColumnData::I64(None),
        SqlType::Real => ColumnData::F32(None),
        SqlType::Float => ColumnData::F64(None),
        SqlType::Decimal(..) => ColumnData::Numeric(None),
        SqlType::Bit => ColumnData::Bit(None),
        SqlType::NVarChar(_) => ColumnData::String(None),
        SqlType::VarBinary(_) => ColumnData::Binary(None),
        SqlType::Date => ColumnData::Date(None),
        SqlType::DateTime2(_) => ColumnData::DateTime2(None),
        SqlType::DateTimeOffset(_) => ColumnData::DateTimeOffset(None),
        SqlType::Time(_) => ColumnData::Time(None),
        SqlType::UniqueIdentifier => ColumnData::Guid(None),
    }
}

/// Why the target cannot store a value.
enum Refused {
    /// It has no form in SQL Server; and the nearest that has one.
    Special(&'static str, Option<ColumnData<'static>>),
    Other(String),
}

impl From<String> for Refused {
    fn from(what: String) -> Self {
        Self::Other(what)
    }
}

impl From<&str> for Refused {
    fn from(what: &str) -> Self {
        Self::Other(what.to_owned())
    }
}

/// A value as the staging table's column takes it, or why the target cannot store it.
fn convert(
    column: &Column,
    array: &ArrayRef,
    row: usize,
) -> std::result::Result<ColumnData<'static>, String> {
    match (plain(column, array, row), column.on_special) {
        (Ok(value), _) => Ok(value),
        (Err(Refused::Special(..)), OnSpecial::Null) if column.nullable => {
            Ok(null(column.sql_type))
        }
        (Err(Refused::Special(_, Some(nearest))), OnSpecial::Clamp) => Ok(nearest),
        (Err(Refused::Special(what, _)), _) => Err(format!(
            "{what}, which SQL Server has no form for; correct it at the source, or see on_special"
        )),
        (Err(Refused::Other(what)), _) => Err(what),
    }
}

fn plain(
    column: &Column,
    array: &ArrayRef,
    row: usize,
) -> std::result::Result<ColumnData<'static>, Refused> {
    if array.is_null(row) {
        return if column.nullable {
            Ok(null(column.sql_type))
        } else {
            Err("it is NULL, and the target's column is NOT NULL".into())
        };
    }
    let sql_type = column.sql_type;
    Ok(match (sql_type, array.data_type()) {
        (SqlType::SmallInt, DataType::Int16) => {
            ColumnData::I16(Some(array.as_primitive::<Int16Type>().value(row)))
        }
        (SqlType::Int, _) => ColumnData::I32(Some(integer(array, row).and_then(narrow)?)),
        (SqlType::BigInt, _) => ColumnData::I64(Some(integer(array, row)?)),
        (SqlType::Real, DataType::Float32) => real(array.as_primitive::<Float32Type>().value(row))?,
        (SqlType::Float, DataType::Float32) => {
            float(f64::from(array.as_primitive::<Float32Type>().value(row)))?
        }
        (SqlType::Float, DataType::Float64) => {
            float(array.as_primitive::<Float64Type>().value(row))?
        }
        (SqlType::Decimal(precision, scale), DataType::Decimal128(_, from)) => {
            let digits = array.as_primitive::<Decimal128Type>().value(row);
            ColumnData::Numeric(Some(decimal(digits, *from, precision, scale)?))
        }
        (SqlType::Bit, DataType::Boolean) => ColumnData::Bit(Some(array.as_boolean().value(row))),
        (SqlType::NVarChar(limit), DataType::Utf8) => {
            let text = array.as_string::<i32>().value(row);
            check_text(text, limit, column)?;
            ColumnData::String(Some(text.to_owned().into()))
        }
        (SqlType::VarBinary(limit), DataType::Binary) => {
            let bytes = array.as_binary::<i32>().value(row);
            if limit.is_some_and(|limit| bytes.len() > usize::from(limit)) {
                let what = format!("it has {} bytes, the column takes fewer", bytes.len());
                return Err(what.into());
            }
            ColumnData::Binary(Some(bytes.to_vec().into()))
        }
        (SqlType::Date, DataType::Date32) => {
            let days = i64::from(array.as_primitive::<Date32Type>().value(row));
            ColumnData::Date(Some(date(days)?))
        }
        (SqlType::DateTime2(digits), DataType::Timestamp(..)) => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            ColumnData::DateTime2(Some(timestamp(micros, digits)?))
        }
        (SqlType::DateTimeOffset(digits), DataType::Timestamp(..)) => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            ColumnData::DateTimeOffset(Some(DateTimeOffset::new(timestamp(micros, digits)?, 0)))
        }
        (SqlType::Time(digits), DataType::Time64(_)) => {
            let micros = array.as_primitive::<Time64MicrosecondType>().value(row);
            ColumnData::Time(Some(time(micros, digits)?))
        }
        (SqlType::UniqueIdentifier, DataType::FixedSizeBinary(16)) => {
            let bytes = array.as_fixed_size_binary().value(row);
            ColumnData::Guid(Some(Uuid::from_slice(bytes).map_err(|_| "it is no UUID")?))
        }
        (wanted, found) => return Err(format!("{found} cannot become {wanted}").into()),
    })
}

fn integer(array: &ArrayRef, row: usize) -> std::result::Result<i64, String> {
    Ok(match array.data_type() {
        DataType::Int16 => i64::from(array.as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => i64::from(array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row),
        other => return Err(format!("{other} cannot become an integer")),
    })
}

fn narrow(value: i64) -> std::result::Result<i32, String> {
    i32::try_from(value).map_err(|_| "it does not fit int".to_owned())
}

/// The range of a type of floats as SQL Server documents it: 0, and from the least normal number to
/// the greatest. Its own check of a database (DBCC CHECKDB with DATA_PURITY) takes others for
/// damage.
fn real(value: f32) -> std::result::Result<ColumnData<'static>, Refused> {
    let special = |what, nearest: f32| {
        Refused::Special(what, Some(ColumnData::F32(Some(nearest.copysign(value)))))
    };
    match value.classify() {
        FpCategory::Normal | FpCategory::Zero => Ok(ColumnData::F32(Some(value))),
        FpCategory::Subnormal if value.abs() < f32::MIN_POSITIVE / 2.0 => {
            Err(special(SUBNORMAL, 0.0))
        }
        FpCategory::Subnormal => Err(special(SUBNORMAL, f32::MIN_POSITIVE)),
        FpCategory::Infinite => Err(special(INFINITE, f32::MAX)),
        FpCategory::Nan => Err(Refused::Special(NAN, None)),
    }
}

/// As [`real`].
fn float(value: f64) -> std::result::Result<ColumnData<'static>, Refused> {
    let special = |what, nearest: f64| {
        Refused::Special(what, Some(ColumnData::F64(Some(nearest.copysign(value)))))
    };
    match value.classify() {
        FpCategory::Normal | FpCategory::Zero => Ok(ColumnData::F64(Some(value))),
        FpCategory::Subnormal if value.abs() < f64::MIN_POSITIVE / 2.0 => {
            Err(special(SUBNORMAL, 0.0))
        }
        FpCategory::Subnormal => Err(special(SUBNORMAL, f64::MIN_POSITIVE)),
        FpCategory::Infinite => Err(special(INFINITE, f64::MAX)),
        FpCategory::Nan => Err(Refused::Special(NAN, None)),
    }
}

const NAN: &str = "it is NaN";
const INFINITE: &str = "it is infinite";
const SUBNORMAL: &str = "it is a subnormal number, nearer to 0 than the least of its type";

fn decimal(
    digits: i128,
    from: i8,
    precision: u8,
    scale: u8,
) -> std::result::Result<Numeric, String> {
    let more = u32::try_from(i16::from(scale) - i16::from(from))
        .map_err(|_| format!("its scale {from} is more than the column's {scale}"))?;
    let scaled = 10_i128.checked_pow(more).and_then(|factor| digits.checked_mul(factor));
    let bound = 10_i128.checked_pow(u32::from(precision));
    match (scaled, bound) {
        (Some(scaled), Some(bound)) if -bound < scaled && scaled < bound => {
            Ok(Numeric::new_with_scale(scaled, scale))
        }
        _ => Err(format!("it does not fit decimal({precision},{scale})")),
    }
}

fn check_text(text: &str, limit: Option<u16>, column: &Column) -> std::result::Result<(), String> {
    if let Some(limit) = limit.map(usize::from) {
        // A UTF-8 text never has more UTF-16 units than bytes.
        if text.len() > limit {
            let units = text.encode_utf16().count();
            if units > limit {
                return Err(format!("it has {units} UTF-16 code units, the column takes {limit}"));
            }
        }
    }
    let declared = column.max_chars.and_then(|chars| usize::try_from(chars).ok());
    // No text has more characters than bytes.
    if let Some(declared) = declared.filter(|declared| text.len() > *declared) {
        let chars = text.chars().count();
        if chars > declared {
            return Err(format!("it has {chars} characters, declared are at most {declared}"));
        }
    }
    if column.key && text.ends_with(' ') {
        return Err(
            "the key ends with a blank, and SQL Server takes 'a' and 'a ' for one key".to_owned()
        );
    }
    Ok(())
}

fn date(days_since_1970: i64) -> std::result::Result<Date, String> {
    let days = days_since_1970 + EPOCH_DAYS;
    match u32::try_from(days) {
        Ok(days) if i64::from(days) <= LAST_DAY => Ok(Date::new(days)),
        _ => Err("its date is before 0001-01-01 or after 9999-12-31".to_owned()),
    }
}

/// A time of day at the staging table's scale 7.
fn time(micros: i64, digits: u8) -> std::result::Result<Time, String> {
    let ticks = u64::try_from(micros)
        .ok()
        .filter(|_| micros < MICROS_PER_DAY)
        .ok_or("its time of day is not between 00:00 and 24:00")?;
    let step = 10_u64.pow(6_u32.saturating_sub(u32::from(digits)));
    if ticks % step != 0 {
        return Err(format!("it has more than {digits} fractional digits of a second"));
    }
    Ok(Time::new(ticks * 10, 7))
}

fn timestamp(micros: i64, digits: u8) -> std::result::Result<DateTime2, String> {
    let date = date(micros.div_euclid(MICROS_PER_DAY))?;
    Ok(DateTime2::new(date, time(micros.rem_euclid(MICROS_PER_DAY), digits)?))
}
