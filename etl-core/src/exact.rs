//! Casts between Arrow types that fail instead of giving NULL, with UTC understood.

use arrow::array::{ArrayRef, make_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

const STRICT: CastOptions<'static> =
    CastOptions { safe: false, format_options: arrow::util::display::FormatOptions::new() };

/// The array with type `to`; a value that has no form there is an error.
pub(crate) fn cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    let array = with_type(array, &by_offset(array.data_type()))?;
    with_type(&cast_with_options(&array, &by_offset(to), &STRICT)?, to)
}

/// The same array with the zone `UTC` written as the offset that it is.
///
/// Arrow knows zones by name only with a time zone database compiled in, which UTC does not need.
pub(crate) fn zone_by_offset(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    with_type(array, &by_offset(array.data_type()))
}

fn by_offset(kind: &DataType) -> DataType {
    match kind {
        DataType::Timestamp(unit, Some(zone)) if zone.as_ref() == "UTC" => {
            DataType::Timestamp(*unit, Some("+00:00".into()))
        }
        other => other.clone(),
    }
}

/// The same values under a type of the same layout.
fn with_type(array: &ArrayRef, kind: &DataType) -> Result<ArrayRef, ArrowError> {
    if array.data_type() == kind {
        return Ok(ArrayRef::clone(array));
    }
    Ok(make_array(array.to_data().into_builder().data_type(kind.clone()).build()?))
}
