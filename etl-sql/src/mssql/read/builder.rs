//! One Arrow column that grows value by value.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder,
    FixedSizeBinaryBuilder, Float32Builder, Float64Builder, Int16Builder, Int32Builder,
    Int64Builder, StringBuilder, Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::DataType;
use tiberius::ColumnData;
use tiberius::numeric::Numeric;

use super::mark::{LAST_TICK, Mark, TICKS_PER_DAY, ticks_of_datetime};
use super::types::Wire;
use super::value::{is_null, small, ticks, time_ticks};

/// From 0001-01-01 to 1970-01-01.
const EPOCH_DAYS: i32 = 719_162;

/// Why a value could not be appended.
#[derive(Clone, Copy)]
pub(super) enum Why {
    Null,
    /// It is of another type than the column had when it was looked at.
    Type,
    NotANumber,
    Infinite,
    Precision,
    Scale,
}

/// Runs the same code on whichever builder it is.
macro_rules! each {
    ($self:expr, $builder:ident => $run:expr) => {
        match $self {
            Builder::Bit($builder) => $run,
            Builder::Small($builder) => $run,
            Builder::Int($builder) => $run,
            Builder::Big($builder) => $run,
            Builder::Real($builder) => $run,
            Builder::Float($builder) => $run,
            Builder::Decimal($builder) => $run,
            Builder::Text($builder) => $run,
            Builder::Bytes($builder) => $run,
            Builder::Guid($builder) => $run,
            Builder::Date($builder) => $run,
            Builder::Time($builder) => $run,
            Builder::Timestamp($builder) => $run,
        }
    };
}

pub(super) enum Builder {
    Bit(BooleanBuilder),
    Small(Int16Builder),
    Int(Int32Builder),
    Big(Int64Builder),
    Real(Float32Builder),
    Float(Float64Builder),
    Decimal(Decimal128Builder),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    Guid(FixedSizeBinaryBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
}

impl Builder {
    pub(super) fn new(kind: &DataType) -> Self {
        match kind {
            DataType::Boolean => Self::Bit(BooleanBuilder::new()),
            DataType::Int16 => Self::Small(Int16Builder::new()),
            DataType::Int32 => Self::Int(Int32Builder::new()),
            DataType::Int64 => Self::Big(Int64Builder::new()),
            DataType::Float32 => Self::Real(Float32Builder::new()),
            DataType::Float64 => Self::Float(Float64Builder::new()),
            DataType::Decimal128(..) => Self::Decimal(Decimal128Builder::new()),
            DataType::Utf8 => Self::Text(StringBuilder::new()),
            DataType::FixedSizeBinary(_) => Self::Guid(FixedSizeBinaryBuilder::new(16)),
            DataType::Date32 => Self::Date(Date32Builder::new()),
            DataType::Time64(_) => Self::Time(Time64MicrosecondBuilder::new()),
            DataType::Timestamp(..) => Self::Timestamp(TimestampMicrosecondBuilder::new()),
            // The one that is left among those that `Wire::arrow` gives.
            _ => Self::Bytes(BinaryBuilder::new()),
        }
    }

    pub(super) fn append(
        &mut self,
        wire: Wire,
        cell: Option<&ColumnData<'static>>,
        nullable: bool,
    ) -> Result<(), Why> {
        let cell = cell.ok_or(Why::Type)?;
        if is_null(cell) {
            if !nullable {
                return Err(Why::Null);
            }
            self.append_nothing(true);
            return Ok(());
        }
        match (self, wire, cell) {
            (Self::Bit(to), Wire::Bit, ColumnData::Bit(Some(value))) => to.append_value(*value),
            (Self::Small(to), Wire::TinyInt, ColumnData::U8(Some(value))) => {
                to.append_value(i16::from(*value));
            }
            (Self::Small(to), Wire::SmallInt, ColumnData::I16(Some(value))) => {
                to.append_value(*value);
            }
            (Self::Int(to), Wire::Int, ColumnData::I32(Some(value))) => to.append_value(*value),
            (Self::Big(to), Wire::BigInt, ColumnData::I64(Some(value))) => to.append_value(*value),
            (Self::Real(to), Wire::Real, ColumnData::F32(Some(value))) => {
                finite(f64::from(*value))?;
                to.append_value(*value);
            }
            (Self::Float(to), Wire::Float, ColumnData::F64(Some(value))) => {
                finite(*value)?;
                to.append_value(*value);
            }
            (Self::Decimal(to), Wire::Decimal(p, s, from), ColumnData::Numeric(Some(value))) => {
                to.append_value(decimal(*value, p, s, from)?);
            }
            (Self::Text(to), Wire::Text, ColumnData::String(Some(value))) => to.append_value(value),
            (Self::Bytes(to), Wire::Bytes, ColumnData::Binary(Some(value))) => {
                to.append_value(value);
            }
            (Self::Guid(to), Wire::Guid, ColumnData::Guid(Some(value))) => {
                to.append_value(value.as_bytes()).map_err(|_| Why::Type)?;
            }
            (Self::Date(to), Wire::Date, ColumnData::Date(Some(value))) => {
                if i64::from(value.days()) > LAST_TICK / TICKS_PER_DAY {
                    return Err(Why::Type);
                }
                let days = i32::try_from(value.days()).map_err(|_| Why::Type)?;
                to.append_value(days - EPOCH_DAYS);
            }
            // A seventh digit is there only if it was declared away.
            (Self::Time(to), Wire::Time(_), ColumnData::Time(Some(value))) => {
                match time_ticks(*value) {
                    TICKS_PER_DAY.. => return Err(Why::Type),
                    ticks => to.append_value(ticks / 10),
                }
            }
            (Self::Timestamp(to), wire, cell) => to.append_value(instant(wire, cell)?),
            _ => return Err(Why::Type),
        }
        Ok(())
    }

    /// NULL; where there can be none, a value that nobody looks at.
    pub(super) fn append_nothing(&mut self, nullable: bool) {
        if nullable {
            return each!(self, builder => builder.append_null());
        }
        match self {
            Self::Bit(builder) => builder.append_value(false),
            Self::Text(builder) => builder.append_value(""),
            Self::Bytes(builder) => builder.append_value([]),
            // Sixteen bytes always fit.
            Self::Guid(builder) => drop(builder.append_value([0; 16])),
            Self::Small(builder) => builder.append_value(0),
            Self::Int(builder) => builder.append_value(0),
            Self::Big(builder) => builder.append_value(0),
            Self::Real(builder) => builder.append_value(0.0),
            Self::Float(builder) => builder.append_value(0.0),
            Self::Decimal(builder) => builder.append_value(0),
            Self::Date(builder) => builder.append_value(0),
            Self::Time(builder) => builder.append_value(0),
            Self::Timestamp(builder) => builder.append_value(0),
        }
    }

    pub(super) fn finish(&mut self, kind: &DataType) -> ArrayRef {
        match self {
            Self::Decimal(builder) => Arc::new(builder.finish().with_data_type(kind.clone())),
            Self::Timestamp(builder) => Arc::new(builder.finish().with_data_type(kind.clone())),
            other => each!(other, builder => Arc::new(builder.finish())),
        }
    }
}

/// Microseconds since 1970 of a timestamp of any type.
fn instant(wire: Wire, cell: &ColumnData<'static>) -> Result<i64, Why> {
    let ticks = match (wire, cell) {
        (Wire::DateTime2(_), ColumnData::DateTime2(Some(at))) => ticks(*at),
        (Wire::DateTimeOffset(_), ColumnData::DateTimeOffset(Some(at))) => ticks(at.datetime2()),
        (Wire::DateTime, ColumnData::DateTime(Some(at))) => {
            shown(at.days(), at.seconds_fragments())
        }
        (Wire::SmallDateTime, ColumnData::SmallDateTime(Some(at))) => small(*at),
        _ => return Err(Why::Type),
    };
    if !(0..=LAST_TICK).contains(&ticks) {
        return Err(Why::Type);
    }
    Mark::Instant(ticks).unix_micros().ok_or(Why::Type)
}

/// The milliseconds that the server shows of a `datetime`: .000, .003, .007.
fn shown(days: i32, fragments: u32) -> i64 {
    let millis = (i64::from(fragments) * 10 + 1) / 3;
    ticks_of_datetime(days, 0).saturating_add(millis * 10_000)
}

/// The unscaled number at another scale.
fn decimal(value: Numeric, precision: u8, scale: u8, from: u8) -> Result<i128, Why> {
    if value.scale() != from {
        return Err(Why::Type);
    }
    let power = |digits: u8| 10_i128.checked_pow(u32::from(digits)).ok_or(Why::Precision);
    let number = if scale >= from {
        value.value().checked_mul(power(scale - from)?).ok_or(Why::Precision)?
    } else {
        let divisor = power(from - scale)?;
        if value.value() % divisor != 0 {
            return Err(Why::Scale);
        }
        value.value() / divisor
    };
    let fits = number.unsigned_abs() < power(precision)?.unsigned_abs();
    if fits { Ok(number) } else { Err(Why::Precision) }
}

fn finite(value: f64) -> Result<(), Why> {
    if value.is_nan() {
        return Err(Why::NotANumber);
    }
    if value.is_infinite() { Err(Why::Infinite) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_null_has_no_type_and_a_value_has_one() {
        let append = |cell, nullable| {
            let mut builder = Builder::new(&Wire::SmallDateTime.arrow());
            builder.append(Wire::SmallDateTime, Some(&cell), nullable)
        };
        assert!(append(ColumnData::DateTime(None), true).is_ok());
        assert!(matches!(append(ColumnData::DateTime(None), false), Err(Why::Null)));
        let other = tiberius::time::DateTime::new(0, 0);
        assert!(matches!(append(ColumnData::DateTime(Some(other)), true), Err(Why::Type)));
    }

    /// The wire has room for more than the types hold.
    #[test]
    fn a_time_that_no_server_has_is_refused() {
        use tiberius::time::{Date, DateTime, DateTime2, Time};
        let append = |wire: Wire, cell| Builder::new(&wire.arrow()).append(wire, Some(&cell), true);
        for days in [i32::MIN, i32::MAX, -693_596, 2_958_464] {
            let cell = ColumnData::DateTime(Some(DateTime::new(days, 0)));
            assert!(matches!(append(Wire::DateTime, cell), Err(Why::Type)), "{days}");
        }
        let (last, beyond) = (Date::new(3_652_058), Date::new(3_652_059));
        assert!(append(Wire::Date, ColumnData::Date(Some(last))).is_ok());
        assert!(matches!(append(Wire::Date, ColumnData::Date(Some(beyond))), Err(Why::Type)));
        let midnight = Time::new(0, 7);
        let at = |date| ColumnData::DateTime2(Some(DateTime2::new(date, midnight)));
        assert!(append(Wire::DateTime2(6), at(last)).is_ok());
        assert!(matches!(append(Wire::DateTime2(6), at(beyond)), Err(Why::Type)));
        for (increments, scale) in [(86_400, 0), (864_000_000_000, 7), (u64::MAX, 0)] {
            let cell = ColumnData::Time(Some(Time::new(increments, scale)));
            assert!(matches!(append(Wire::Time(6), cell), Err(Why::Type)), "{increments}");
        }
    }

    #[test]
    fn a_decimal_changes_its_scale_exactly_or_not_at_all() {
        let of = |value, from| Numeric::new_with_scale(value, from);
        assert_eq!(decimal(of(150, 2), 5, 2, 2).ok(), Some(150));
        assert_eq!(decimal(of(150, 2), 5, 1, 2).ok(), Some(15));
        assert_eq!(decimal(of(-150, 2), 5, 4, 2).ok(), Some(-15_000));
        assert!(matches!(decimal(of(151, 2), 5, 1, 2), Err(Why::Scale)));
        assert!(matches!(decimal(of(99_999, 0), 5, 1, 0), Err(Why::Precision)));
        assert!(matches!(decimal(of(1, 1), 5, 2, 2), Err(Why::Type)));
        let most = 10_i128.pow(38) - 1;
        assert_eq!(decimal(of(most, 0), 38, 0, 0).ok(), Some(most));
        assert!(matches!(decimal(of(most, 0), 38, 1, 0), Err(Why::Precision)));
    }
}
