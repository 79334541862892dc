//! A value as the text that a literal of its type takes.

use super::numeric::decimal;
use super::value::{date, date_text, int, time_text, timestamp, timestamp_text, xid8};
use crate::postgres::types::Wire;

/// The text of a field, from which Postgres reads back the same value; `None` for a value that
/// has none here, such as an infinite date.
#[must_use]
pub fn text_of(wire: Wire, bytes: &[u8]) -> Option<String> {
    Some(match wire {
        Wire::Bool => if bytes == [1] { "true" } else { "false" }.to_owned(),
        Wire::Int2 => i16::from_be_bytes(int(bytes)?).to_string(),
        Wire::Int4 => i32::from_be_bytes(int(bytes)?).to_string(),
        Wire::Int8 => i64::from_be_bytes(int(bytes)?).to_string(),
        Wire::Xid8 => xid8(bytes)?.to_string(),
        Wire::Float4 => f32::from_be_bytes(int(bytes)?).to_string(),
        Wire::Float8 => f64::from_be_bytes(int(bytes)?).to_string(),
        Wire::Numeric(precision, scale) => {
            decimal_text(decimal(bytes, precision, scale).ok()?, scale)
        }
        Wire::Text => str::from_utf8(bytes).ok()?.to_owned(),
        Wire::Bytes => hex(bytes),
        Wire::Uuid => uuid::Uuid::from_slice(bytes).ok()?.to_string(),
        Wire::Date => date_text(date(i32::from_be_bytes(int(bytes)?)).ok()?)?,
        Wire::Time => time_text(i64::from_be_bytes(int(bytes)?)),
        Wire::Timestamp => {
            let text = timestamp_text(timestamp(i64::from_be_bytes(int(bytes)?)).ok()?)?;
            text.trim_end_matches('Z').to_owned()
        }
        Wire::TimestampTz => timestamp_text(timestamp(i64::from_be_bytes(int(bytes)?)).ok()?)?,
    })
}

fn decimal_text(value: i128, scale: i8) -> String {
    let scale = usize::try_from(scale).unwrap_or(0);
    let sign = if value < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
    match digits.split_at_checked(digits.len() - scale) {
        Some((whole, fraction)) if !fraction.is_empty() => format!("{sign}{whole}.{fraction}"),
        _ => format!("{sign}{digits}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("\\x".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_has_its_text() {
        for (wire, bytes, text) in [
            (Wire::Bool, &[1][..], "true"),
            (Wire::Int8, &(-5_i64).to_be_bytes(), "-5"),
            (Wire::Xid8, &u64::MAX.to_be_bytes(), "18446744073709551615"),
            (Wire::Bytes, &[0, 255], "\\x00ff"),
            (Wire::Date, &0_i32.to_be_bytes(), "2000-01-01"),
            (Wire::Time, &1_i64.to_be_bytes(), "00:00:00.000001"),
            (Wire::Timestamp, &0_i64.to_be_bytes(), "2000-01-01T00:00:00.000000"),
            (Wire::TimestampTz, &0_i64.to_be_bytes(), "2000-01-01T00:00:00.000000Z"),
            (Wire::Numeric(5, 3), &[0, 1, 0xff, 0xff, 0x40, 0, 0, 3, 0, 50], "-0.005"),
            (Wire::Numeric(5, 0), &[0, 1, 0, 0, 0, 0, 0, 0, 0, 50], "50"),
        ] {
            assert_eq!(text_of(wire, bytes).as_deref(), Some(text), "{wire:?}");
        }
        assert_eq!(text_of(Wire::Int4, &[0]), None);
        assert_eq!(text_of(Wire::Date, &i32::MAX.to_be_bytes()), None);
    }
}
