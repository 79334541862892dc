//! One value, 24 bytes, and a row of them.

use std::sync::Arc;

use super::decimal;

/// A row as tables keep it and queries pass it on.
pub(crate) type Row = Arc<[Value]>;

/// A value of any type. The column or expression knows which type it has.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bit(bool),
    /// Every integer type.
    Int(i64),
    /// `decimal`, `money`, `smallmoney`: a 128-bit number in two halves, and its scale.
    Dec {
        hi: i64,
        lo: u64,
        scale: u8,
    },
    Real(f32),
    Float(f64),
    /// Days since 0001-01-01.
    Date(i32),
    /// Ticks of 100 ns since midnight.
    Time(u64),
    /// `datetime2`, `datetime`, `smalldatetime`: days and ticks.
    DateTime(i32, u64),
    /// UTC days and ticks, and the offset in minutes.
    Offset(i32, u64, i16),
    Str(Arc<str>),
    Bin(Arc<[u8]>),
    Guid([u8; 16]),
}

impl Value {
    pub(crate) fn dec(unscaled: i128, scale: u8) -> Value {
        let (hi, lo) = decimal::split(unscaled);
        Value::Dec { hi, lo, scale }
    }

    pub(crate) fn str(text: impl AsRef<str>) -> Value {
        Value::Str(Arc::from(text.as_ref()))
    }

    pub(crate) fn bin(bytes: impl AsRef<[u8]>) -> Value {
        Value::Bin(Arc::from(bytes.as_ref()))
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// Unscaled number and scale of any exact numeric value.
    pub(crate) fn as_dec(&self) -> Option<(i128, u8)> {
        match self {
            Value::Bit(b) => Some((i128::from(*b), 0)),
            Value::Int(n) => Some((i128::from(*n), 0)),
            Value::Dec { hi, lo, scale } => Some((decimal::join(*hi, *lo), *scale)),
            _ => None,
        }
    }

    pub(crate) fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Int(n) => Some(*n),
            Value::Bit(b) => Some(i64::from(*b)),
            _ => None,
        }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(s) => Some(s),
            _ => None,
        }
    }
}

impl From<i64> for Value {
    fn from(n: i64) -> Value {
        Value::Int(n)
    }
}

impl From<&str> for Value {
    fn from(s: &str) -> Value {
        Value::str(s)
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Value {
        Value::Bit(b)
    }
}

/// UTF-16 length of a text.
pub(crate) fn utf16_len(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.encode_utf16().count() }
}

#[cfg(test)]
mod tests {
    use super::Value;

    #[test]
    fn a_value_takes_24_bytes() {
        assert_eq!(std::mem::size_of::<Value>(), 24);
    }
}
