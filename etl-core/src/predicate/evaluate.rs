//! Three-valued evaluation on Arrow arrays.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Datum, RecordBatch, Scalar, StringArray,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::{boolean, cmp, comparison};
use arrow::datatypes::DataType;

use super::{Comparison, Expr, Literal, Operand};
use crate::error::{Error, Result};
use crate::exact;

pub(super) fn is_true(expr: &Expr, records: &RecordBatch) -> Result<BooleanBuffer> {
    Ok(truth(&evaluate(expr, records)?))
}

/// NULL counts as not true.
fn truth(values: &BooleanArray) -> BooleanBuffer {
    match values.nulls() {
        Some(valid) => values.values() & valid.inner(),
        None => values.values().clone(),
    }
}

fn evaluate(expr: &Expr, records: &RecordBatch) -> Result<BooleanArray> {
    Ok(match expr {
        Expr::And(a, b) => boolean::and_kleene(&evaluate(a, records)?, &evaluate(b, records)?)?,
        Expr::Or(a, b) => boolean::or_kleene(&evaluate(a, records)?, &evaluate(b, records)?)?,
        Expr::Not(inner) => boolean::not(&evaluate(inner, records)?)?,
        Expr::Compare(a, comparison, b) => compare(a, *comparison, b, records)?,
        Expr::IsNull(operand) => boolean::is_null(&*column(operand, records)?)?,
        Expr::Is(inner, value) => {
            let inner = evaluate(inner, records)?;
            let inner = if *value { inner } else { boolean::not(&inner)? };
            BooleanArray::new(truth(&inner), None)
        }
        Expr::In(operand, list) => {
            let mut any = BooleanArray::new(BooleanBuffer::new_unset(records.num_rows()), None);
            for literal in list {
                let literal = Operand::Literal(literal.clone());
                let one = compare(operand, Comparison::Equal, &literal, records)?;
                any = boolean::or_kleene(&any, &one)?;
            }
            any
        }
        Expr::Like(operand, pattern) => {
            let text = column(operand, records)?;
            let pattern = Scalar::new(StringArray::from(vec![pattern.as_str()]));
            comparison::like(&text, &pattern)?
        }
        Expr::Column(name) => {
            let values = named(name, records)?;
            values.as_boolean_opt().cloned().ok_or_else(|| {
                Error::config(format!("column {name} is {}, not boolean", values.data_type()))
            })?
        }
        Expr::Constant(value) => BooleanArray::from(vec![*value; records.num_rows()]),
    })
}

fn named(name: &str, records: &RecordBatch) -> Result<ArrayRef> {
    records
        .column_by_name(name)
        .cloned()
        .ok_or_else(|| Error::config(format!("there is no column {name} in the stream")))
}

fn column(operand: &Operand, records: &RecordBatch) -> Result<ArrayRef> {
    match operand {
        Operand::Column(name) => named(name, records),
        Operand::Literal(_) => Err(Error::config("a literal stands where a column is expected")),
    }
}

fn compare(
    left: &Operand,
    comparison: Comparison,
    right: &Operand,
    records: &RecordBatch,
) -> Result<BooleanArray> {
    match (left, right) {
        (Operand::Column(a), Operand::Column(b)) => {
            kernel(comparison, &named(a, records)?, &named(b, records)?)
        }
        (Operand::Column(name), Operand::Literal(literal)) => {
            let (values, literal) = fitted(name, &named(name, records)?, literal)?;
            kernel(comparison, &values, &literal)
        }
        (Operand::Literal(_), Operand::Column(_)) => {
            compare(right, comparison.mirrored(), left, records)
        }
        (Operand::Literal(_), Operand::Literal(_)) => {
            Err(Error::config("two literals are compared; compare a column"))
        }
    }
}

fn kernel(comparison: Comparison, left: &dyn Datum, right: &dyn Datum) -> Result<BooleanArray> {
    let result = match comparison {
        Comparison::Equal => cmp::eq(left, right),
        Comparison::NotEqual => cmp::neq(left, right),
        Comparison::Less => cmp::lt(left, right),
        Comparison::LessOrEqual => cmp::lt_eq(left, right),
        Comparison::Greater => cmp::gt(left, right),
        Comparison::GreaterOrEqual => cmp::gt_eq(left, right),
    };
    result.map_err(|error| {
        Error::config("two things of different types are compared").with_source(error)
    })
}

/// Column and literal brought to one type in which they compare exactly.
fn fitted(
    name: &str,
    values: &ArrayRef,
    literal: &Literal,
) -> Result<(ArrayRef, Scalar<ArrayRef>)> {
    let kind = values.data_type();
    let fits = match literal {
        Literal::Number(_) => kind.is_numeric(),
        Literal::Boolean(_) => kind == &DataType::Boolean,
        Literal::Text(_) => kind == &DataType::Utf8 || kind.is_temporal(),
    };
    let (text, common) = match literal {
        Literal::Number(digits) if kind.is_integer() || kind.is_decimal() => {
            let scale = digits.split_once('.').map_or(0, |(_, fraction)| fraction.len());
            let scale = i8::try_from(scale).unwrap_or(38).max(match kind {
                DataType::Decimal128(_, scale) => *scale,
                _ => 0,
            });
            (digits.clone(), DataType::Decimal128(38, scale))
        }
        Literal::Number(digits) => (digits.clone(), kind.clone()),
        Literal::Boolean(value) => (value.to_string(), kind.clone()),
        Literal::Text(text) => (text.clone(), kind.clone()),
    };
    let error =
        || Error::config(format!("column {name} is {kind}; \"{text}\" does not compare with it"));
    if !fits {
        return Err(error());
    }
    let literal: ArrayRef = Arc::new(StringArray::from(vec![text.as_str()]));
    let cast =
        |array: &ArrayRef| exact::cast(array, &common).map_err(|cause| error().with_source(cause));
    Ok((cast(values)?, Scalar::new(cast(&literal)?)))
}
