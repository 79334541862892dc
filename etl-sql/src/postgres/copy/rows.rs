//! Rows become Arrow columns.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBufferBuilder, BooleanBuilder, Date32Builder,
    Decimal128Builder, FixedSizeBinaryBuilder, Float32Builder, Float64Builder, Int16Builder,
    Int32Builder, Int64Builder, RecordBatch, StringBuilder, Time64MicrosecondBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::SchemaRef;
use etl_core::batch::Changes;
use etl_core::connector::OnSpecial;
use etl_core::error::{Error, Result};
use etl_core::quarantine::{Refused, Rejected};
use etl_core::schema::{meta, meta_number};

use super::frames::Frame;
use super::numeric::{NumericFault, decimal};
use super::value::{Special, date, int, time, timestamp, xid8};
use crate::postgres::types::Wire;

/// A value that cannot be carried: which column, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The column's place.
    pub column: usize,
    /// What it holds and what to change, without the value.
    pub what: String,
    /// Whether the row is at fault; else the bytes are.
    pub is_data: bool,
}

/// Columns that grow row by row.
pub struct Rows {
    schema: SchemaRef,
    columns: Vec<(Wire, Builder)>,
    deletes: BooleanBufferBuilder,
    /// By column.
    on_special: Vec<OnSpecial>,
    /// The columns of which deletes need the true value.
    is_key: Vec<bool>,
    /// Rows that are put aside; the columns have them until they are taken.
    refused: Refused,
    bytes: usize,
}

enum Builder {
    Bool(BooleanBuilder),
    Int2(Int16Builder),
    Int4(Int32Builder),
    Int8(Int64Builder),
    Float4(Float32Builder),
    Float8(Float64Builder),
    Decimal(Decimal128Builder),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    Uuid(FixedSizeBinaryBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
}

impl Rows {
    /// Empty columns for `schema`, whose fields arrive as `wires`.
    #[must_use]
    pub fn new(
        schema: SchemaRef,
        wires: &[Wire],
        is_key: Vec<bool>,
        on_special: Vec<OnSpecial>,
    ) -> Self {
        let columns = wires.iter().map(|wire| (*wire, Builder::new(*wire))).collect();
        let deletes = BooleanBufferBuilder::new(0);
        let refused = Refused::default();
        Self { schema, columns, deletes, on_special, is_key, refused, bytes: 0 }
    }

    /// The number of rows since the last [`Rows::take`].
    #[must_use]
    pub fn len(&self) -> usize {
        self.deletes.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the rows' values took on the wire, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a row; of a delete only the key has to have a form. One that is to be put aside counts
    /// as a row until it is taken.
    ///
    /// # Errors
    /// A fault; the columns are then of no more use.
    pub fn push(&mut self, frame: &Frame<'_>, delete: bool) -> Result<(), Fault> {
        let mut aside: Option<Fault> = None;
        for (index, (wire, builder)) in self.columns.iter_mut().enumerate() {
            let field = self.schema.field(index);
            let nullable = field.is_nullable();
            let on_special = self.on_special.get(index).copied().unwrap_or_default();
            let is_key = self.is_key.get(index).copied().unwrap_or(true);
            let needed = !delete || is_key;
            let outcome = match frame.field(index) {
                Some(bytes) => builder.append(*wire, bytes),
                None if nullable => {
                    builder.append_null();
                    continue;
                }
                None => Err(Why::Null),
            };
            let Err(why) = outcome else { continue };
            match (&why, on_special) {
                (Why::Garbled, _) => {}
                (_, _) if !needed => {
                    builder.append_nothing(nullable);
                    continue;
                }
                (Why::Special(_), OnSpecial::Null) if nullable => {
                    builder.append_null();
                    continue;
                }
                (Why::Special(special), OnSpecial::Clamp) => {
                    let digits = meta_number(field, meta::FRACTION).unwrap_or(6);
                    if builder.append_nearest(*wire, *special, digits).is_some() {
                        continue;
                    }
                }
                // Without its key a row could not be named.
                (_, OnSpecial::Quarantine) if !is_key => {
                    builder.append_nothing(nullable);
                    aside.get_or_insert_with(|| why.fault(index, *wire, nullable, on_special));
                    continue;
                }
                _ => {}
            }
            return Err(why.fault(index, *wire, nullable, on_special));
        }
        if let Some(Fault { column, what, .. }) = aside {
            self.refused.push(self.deletes.len(), self.schema.field(column).name(), what);
        }
        self.deletes.append(delete);
        self.bytes += frame.size();
        Ok(())
    }

    /// The rows so far, and those that are put aside, named by the columns of `key`. Leaves empty
    /// columns.
    ///
    /// # Errors
    /// `Internal` if the columns do not fit the schema.
    pub fn take(&mut self, key: &[String]) -> Result<(Changes, Vec<Rejected>)> {
        self.bytes = 0;
        let columns = self
            .columns
            .iter_mut()
            .zip(self.schema.fields())
            .map(|((_, builder), field)| builder.finish(field.data_type()))
            .collect::<Result<Vec<_>>>()?;
        let records = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        let changes = Changes::new(records, Some(self.deletes.finish()))?;
        self.refused.take_out(changes, key)
    }
}

/// Why a value could not be appended.
enum Why {
    Null,
    Garbled,
    Special(Special),
    Precision,
    Scale,
}

impl From<Special> for Why {
    fn from(special: Special) -> Self {
        Self::Special(special)
    }
}

impl From<NumericFault> for Why {
    fn from(fault: NumericFault) -> Self {
        match fault {
            NumericFault::NaN => Self::Special(Special::NotANumber),
            NumericFault::Infinite => Self::Special(Special::Infinite),
            NumericFault::MinusInfinite => Self::Special(Special::MinusInfinite),
            NumericFault::Precision => Self::Precision,
            NumericFault::Scale => Self::Scale,
            NumericFault::Garbled => Self::Garbled,
        }
    }
}

impl Why {
    fn fault(self, column: usize, wire: Wire, nullable: bool, on_special: OnSpecial) -> Fault {
        let declared = match wire {
            Wire::Numeric(precision, scale) => format!("decimal({precision},{scale})"),
            other => other.type_name().to_owned(),
        };
        let what = match &self {
            Self::Null => "is NULL although the column was NOT NULL; was the table altered?".into(),
            Self::Garbled => format!("is not a {declared} of the binary format"),
            Self::Precision => format!(
                "has more digits before the point than {declared} holds; declare a wider decimal \
                 under columns"
            ),
            Self::Scale => format!(
                "has more digits after the point than {declared} holds; declare a decimal with a \
                 greater scale under columns"
            ),
            Self::Special(special) if on_special == OnSpecial::Null && !nullable => format!(
                "is {}, and cannot become NULL in a NOT NULL column; correct it at the source",
                special.as_str()
            ),
            Self::Special(special) if on_special == OnSpecial::Clamp => format!(
                "is {}, to which no value is near; correct it at the source",
                special.as_str()
            ),
            Self::Special(special) => format!(
                "is {}, which the target cannot hold; correct it at the source, or set \
                 on_special: null{} or clamp",
                special.as_str(),
                if nullable { "" } else { " (for which the column would have to be nullable)" }
            ),
        };
        Fault { column, what, is_data: !matches!(self, Self::Garbled) }
    }
}

impl Builder {
    fn new(wire: Wire) -> Self {
        match wire {
            Wire::Bool => Self::Bool(BooleanBuilder::new()),
            Wire::Int2 => Self::Int2(Int16Builder::new()),
            Wire::Int4 => Self::Int4(Int32Builder::new()),
            Wire::Int8 => Self::Int8(Int64Builder::new()),
            Wire::Float4 => Self::Float4(Float32Builder::new()),
            Wire::Float8 => Self::Float8(Float64Builder::new()),
            Wire::Numeric(..) | Wire::Xid8 => Self::Decimal(Decimal128Builder::new()),
            Wire::Text => Self::Text(StringBuilder::new()),
            Wire::Bytes => Self::Bytes(BinaryBuilder::new()),
            Wire::Uuid => Self::Uuid(FixedSizeBinaryBuilder::new(16)),
            Wire::Date => Self::Date(Date32Builder::new()),
            Wire::Time => Self::Time(Time64MicrosecondBuilder::new()),
            Wire::Timestamp | Wire::TimestampTz => {
                Self::Timestamp(TimestampMicrosecondBuilder::new())
            }
        }
    }

    fn append(&mut self, wire: Wire, bytes: &[u8]) -> Result<(), Why> {
        let long = || int(bytes).map(i64::from_be_bytes).ok_or(Why::Garbled);
        match self {
            Self::Bool(builder) => match bytes {
                [0] => builder.append_value(false),
                [1] => builder.append_value(true),
                _ => return Err(Why::Garbled),
            },
            Self::Int2(builder) => {
                builder.append_value(i16::from_be_bytes(int(bytes).ok_or(Why::Garbled)?));
            }
            Self::Int4(builder) => {
                builder.append_value(i32::from_be_bytes(int(bytes).ok_or(Why::Garbled)?));
            }
            Self::Int8(builder) => builder.append_value(long()?),
            Self::Float4(builder) => {
                let value = f32::from_be_bytes(int(bytes).ok_or(Why::Garbled)?);
                finite(f64::from(value))?;
                builder.append_value(value);
            }
            Self::Float8(builder) => {
                let value = f64::from_be_bytes(int(bytes).ok_or(Why::Garbled)?);
                finite(value)?;
                builder.append_value(value);
            }
            Self::Decimal(builder) => {
                builder.append_value(match wire {
                    Wire::Numeric(precision, scale) => decimal(bytes, precision, scale)?,
                    _ => i128::from(xid8(bytes).ok_or(Why::Garbled)?),
                });
            }
            Self::Text(builder) => {
                builder.append_value(str::from_utf8(bytes).map_err(|_| Why::Garbled)?);
            }
            Self::Bytes(builder) => builder.append_value(bytes),
            Self::Uuid(builder) => builder.append_value(bytes).map_err(|_| Why::Garbled)?,
            Self::Date(builder) => {
                let days = i32::from_be_bytes(int(bytes).ok_or(Why::Garbled)?);
                builder.append_value(date(days)?);
            }
            Self::Time(builder) => match long()? {
                ..0 => return Err(Why::Garbled),
                micros => builder.append_value(time(micros)?),
            },
            Self::Timestamp(builder) => builder.append_value(timestamp(long()?)?),
        }
        Ok(())
    }

    /// The value of the column's type that is nearest, if any is.
    fn append_nearest(&mut self, wire: Wire, special: Special, digits: u32) -> Option<()> {
        match self {
            Self::Float4(builder) => {
                builder.append_value(special.nearest_number(f32::MIN, f32::MAX)?);
            }
            Self::Float8(builder) => {
                builder.append_value(special.nearest_number(f64::MIN, f64::MAX)?);
            }
            Self::Decimal(builder) => {
                let Wire::Numeric(precision, _) = wire else { return None };
                let most = 10_i128.checked_pow(u32::from(precision))? - 1;
                builder.append_value(special.nearest_number(-most, most)?);
            }
            Self::Date(builder) => builder.append_value(special.nearest_day()?),
            Self::Time(builder) => builder.append_value(special.nearest_time(digits)?),
            Self::Timestamp(builder) => builder.append_value(special.nearest_instant(digits)?),
            _ => return None,
        }
        Some(())
    }

    fn append_null(&mut self) {
        match self {
            Self::Bool(builder) => builder.append_null(),
            Self::Int2(builder) => builder.append_null(),
            Self::Int4(builder) => builder.append_null(),
            Self::Int8(builder) => builder.append_null(),
            Self::Float4(builder) => builder.append_null(),
            Self::Float8(builder) => builder.append_null(),
            Self::Decimal(builder) => builder.append_null(),
            Self::Text(builder) => builder.append_null(),
            Self::Bytes(builder) => builder.append_null(),
            Self::Uuid(builder) => builder.append_null(),
            Self::Date(builder) => builder.append_null(),
            Self::Time(builder) => builder.append_null(),
            Self::Timestamp(builder) => builder.append_null(),
        }
    }

    /// NULL; where there can be none, a value that nobody looks at.
    fn append_nothing(&mut self, nullable: bool) {
        if nullable {
            return self.append_null();
        }
        match self {
            Self::Float4(builder) => builder.append_value(0.0),
            Self::Float8(builder) => builder.append_value(0.0),
            Self::Decimal(builder) => builder.append_value(0),
            Self::Date(builder) => builder.append_value(0),
            Self::Time(builder) => builder.append_value(0),
            Self::Timestamp(builder) => builder.append_value(0),
            Self::Bool(builder) => builder.append_value(false),
            Self::Int2(builder) => builder.append_value(0),
            Self::Int4(builder) => builder.append_value(0),
            Self::Int8(builder) => builder.append_value(0),
            Self::Text(builder) => builder.append_value(""),
            Self::Bytes(builder) => builder.append_value([]),
            // Sixteen bytes always fit.
            Self::Uuid(builder) => drop(builder.append_value([0; 16])),
        }
    }

    fn finish(&mut self, kind: &arrow::datatypes::DataType) -> Result<ArrayRef> {
        Ok(match self {
            Self::Bool(builder) => Arc::new(builder.finish()),
            Self::Int2(builder) => Arc::new(builder.finish()),
            Self::Int4(builder) => Arc::new(builder.finish()),
            Self::Int8(builder) => Arc::new(builder.finish()),
            Self::Float4(builder) => Arc::new(builder.finish()),
            Self::Float8(builder) => Arc::new(builder.finish()),
            Self::Decimal(builder) => Arc::new(builder.finish().with_data_type(kind.clone())),
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Bytes(builder) => Arc::new(builder.finish()),
            Self::Uuid(builder) => Arc::new(builder.finish()),
            Self::Date(builder) => Arc::new(builder.finish()),
            Self::Time(builder) => Arc::new(builder.finish()),
            Self::Timestamp(builder) => Arc::new(builder.finish().with_data_type(kind.clone())),
        })
    }
}

fn finite(value: f64) -> Result<(), Why> {
    if value.is_nan() {
        return Err(Why::Special(Special::NotANumber));
    }
    if value.is_infinite() {
        let below = value.is_sign_negative();
        return Err(Why::Special(if below { Special::MinusInfinite } else { Special::Infinite }));
    }
    Ok(())
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        if fault.is_data { Self::data(fault.what) } else { Self::transient(fault.what) }
    }
}
