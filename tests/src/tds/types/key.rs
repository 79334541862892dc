//! Index and hash keys: bytes that compare as the values do.

use std::cmp::Ordering;

use super::{Coll, SqlType, Value, datetime, decimal};

/// The bytes of one index entry.
pub(crate) type Key = Box<[u8]>;

/// Appends a value. Values of the same comparison type give equal bytes exactly when they are equal.
pub(crate) fn push(out: &mut Vec<u8>, value: &Value, coll: Option<Coll>) {
    match value {
        Value::Null => {
            out.push(0);
            return;
        }
        _ => out.push(1),
    }
    match value {
        Value::Null => {}
        Value::Bit(b) => push_int(out, i64::from(*b)),
        Value::Int(n) => push_int(out, *n),
        Value::Dec { hi, lo, scale } => {
            let mut n = decimal::join(*hi, *lo);
            let mut scale = *scale;
            while scale > 0 && n % 10 == 0 {
                n /= 10;
                scale -= 1;
            }
            // Normalised, so 1.0 and 1.00 are one key; ordering within one scale only.
            out.push(scale);
            out.extend_from_slice(&flip128(n));
        }
        Value::Real(f) => push_float(out, f64::from(*f)),
        Value::Float(f) => push_float(out, *f),
        Value::Date(d) => push_int(out, i64::from(*d)),
        Value::Time(t) => out.extend_from_slice(&t.to_be_bytes()),
        Value::DateTime(d, t) | Value::Offset(d, t, _) => {
            push_int(out, i64::from(*d));
            out.extend_from_slice(&t.to_be_bytes());
        }
        Value::Str(s) => match coll {
            Some(coll) => coll.sort_key(s, out),
            None => {
                out.extend_from_slice(s.as_bytes());
                out.push(0);
            }
        },
        Value::Bin(b) => {
            // Trailing zero bytes do not count, as blanks do not in text.
            let end = b.iter().rposition(|x| *x != 0).map_or(0, |i| i + 1);
            for byte in &b[..end] {
                out.push(*byte);
                if *byte == 0 {
                    out.push(1);
                }
            }
            out.extend_from_slice(&[0, 0]);
        }
        Value::Guid(g) => {
            for i in GUID_ORDER {
                out.push(g[i]);
            }
        }
    }
}

/// `uniqueidentifier` is compared by its last six bytes first. Bytes here are in RFC order.
const GUID_ORDER: [usize; 16] = [10, 11, 12, 13, 14, 15, 8, 9, 7, 6, 5, 4, 3, 2, 1, 0];

fn push_int(out: &mut Vec<u8>, n: i64) {
    let flipped = n ^ i64::MIN;
    out.extend_from_slice(&flipped.to_be_bytes());
}

fn flip128(n: i128) -> [u8; 16] {
    (n ^ i128::MIN).to_be_bytes()
}

fn push_float(out: &mut Vec<u8>, f: f64) {
    let f = if f == 0.0 { 0.0 } else { f };
    let bits = f.to_bits();
    let ordered = if bits >> 63 == 1 { !bits } else { bits | (1 << 63) };
    out.extend_from_slice(&ordered.to_be_bytes());
}

/// The order of two non-null values of one comparison type.
pub(crate) fn compare(a: &Value, b: &Value, coll: Option<Coll>) -> Ordering {
    match (a, b) {
        (Value::Str(x), Value::Str(y)) => match coll {
            Some(c) => c.compare(x, y),
            None => x.cmp(y),
        },
        (Value::Bin(x), Value::Bin(y)) => {
            let trim = |b: &[u8]| b.iter().rposition(|x| *x != 0).map_or(0, |i| i + 1);
            x[..trim(x)].cmp(&y[..trim(y)])
        }
        (Value::Real(x), Value::Real(y)) => x.partial_cmp(y).unwrap_or(Ordering::Equal),
        (Value::Float(x), Value::Float(y)) => x.partial_cmp(y).unwrap_or(Ordering::Equal),
        (Value::Date(x), Value::Date(y)) => x.cmp(y),
        (Value::Time(x), Value::Time(y)) => x.cmp(y),
        (Value::DateTime(d, t), Value::DateTime(e, u))
        | (Value::Offset(d, t, _), Value::Offset(e, u, _)) => (d, t).cmp(&(e, u)),
        (Value::Guid(x), Value::Guid(y)) => {
            GUID_ORDER.iter().map(|i| x[*i]).cmp(GUID_ORDER.iter().map(|i| y[*i]))
        }
        _ => match (a.as_dec(), b.as_dec()) {
            (Some(x), Some(y)) => decimal::compare(x, y),
            _ => match (float(a), float(b)) {
                (Some(x), Some(y)) => x.partial_cmp(&y).unwrap_or(Ordering::Equal),
                _ => Ordering::Equal,
            },
        },
    }
}

/// Equality of two non-null values of one comparison type.
pub(crate) fn equal(a: &Value, b: &Value, coll: Option<Coll>) -> bool {
    match (a, b) {
        (Value::Str(x), Value::Str(y)) => match coll {
            Some(c) => c.equal(x, y),
            None => x == y,
        },
        _ => compare(a, b, coll) == Ordering::Equal,
    }
}

/// Order with NULL first, as ORDER BY has it.
pub(crate) fn compare_nulls_first(a: &Value, b: &Value, coll: Option<Coll>) -> Ordering {
    match (a.is_null(), b.is_null()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => compare(a, b, coll),
    }
}

fn float(v: &Value) -> Option<f64> {
    match v {
        Value::Float(f) => Some(*f),
        Value::Real(f) => Some(f64::from(*f)),
        _ => v.as_dec().map(|(n, s)| decimal::to_f64(n, s)),
    }
}

/// Whether an index on `column` can be probed with a value of `probe` unchanged.
pub(crate) fn same_key_space(column: SqlType, probe: SqlType) -> bool {
    if column.is_integer() {
        return probe.is_integer();
    }
    match (column, probe) {
        (SqlType::Decimal(..), SqlType::Decimal(..)) => true,
        (a, b) if a.is_text() => b.is_text(),
        (a, b) if a.is_binary() => b.is_binary(),
        (SqlType::DateTime2(_), SqlType::DateTime2(_))
        | (SqlType::DateTimeOffset(_), SqlType::DateTimeOffset(_))
        | (SqlType::Time(_), SqlType::Time(_)) => true,
        (a, b) => a == b,
    }
}

/// A moment for messages that quote a key.
pub(crate) fn display(value: &Value) -> String {
    match value {
        Value::Null => "<NULL>".to_owned(),
        Value::Bit(b) => u8::from(*b).to_string(),
        Value::Int(n) => n.to_string(),
        Value::Dec { hi, lo, scale } => decimal::to_text(decimal::join(*hi, *lo), *scale),
        Value::Real(f) => f.to_string(),
        Value::Float(f) => f.to_string(),
        Value::Date(d) => datetime::date_text(*d),
        Value::Time(t) => datetime::time_text(*t, 7),
        Value::DateTime(d, t) => {
            format!("{} {}", datetime::date_text(*d), datetime::time_text(*t, 7))
        }
        Value::Offset(d, t, o) => {
            let (d, t) =
                datetime::shift(*d, *t, i128::from(*o) * 60 * i128::from(datetime::SECOND))
                    .unwrap_or((*d, *t));
            format!(
                "{} {} {}",
                datetime::date_text(d),
                datetime::time_text(t, 7),
                datetime::offset_text(*o)
            )
        }
        Value::Str(s) => s.to_string(),
        Value::Bin(b) => {
            let mut text = "0x".to_owned();
            for byte in b.iter() {
                text.push_str(&format!("{byte:02x}"));
            }
            text
        }
        Value::Guid(g) => uuid::Uuid::from_bytes(*g).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(v: &Value, coll: Option<Coll>) -> Vec<u8> {
        let mut out = Vec::new();
        push(&mut out, v, coll);
        out
    }

    fn text() -> impl Strategy<Value = String> {
        // Letters of both cases, accents, blanks, controls and emoji, so that texts often are equal.
        "[aAbBéÉß _\u{1}\u{0}!0-2😀🎉-]{0,6}"
    }

    proptest! {
        #[test]
        fn keys_are_equal_exactly_when_the_values_are(a in text(), b in text()) {
            for name in [
                "SQL_Latin1_General_CP1_CI_AS",
                "Latin1_General_CS_AS",
                "Latin1_General_100_CI_AI",
                "Latin1_General_100_BIN2",
            ] {
                let coll = Coll::parse(name).ok();
                let (x, y) = (Value::str(&a), Value::str(&b));
                let same = bytes(&x, coll) == bytes(&y, coll);
                prop_assert_eq!(same, equal(&x, &y, coll), "{} {:?} {:?}", name, a, b);
                prop_assert_eq!(same, compare(&x, &y, coll) == Ordering::Equal, "{} {:?} {:?}", name, a, b);
                prop_assert_eq!(compare(&x, &y, coll), compare(&y, &x, coll).reverse());
                let blank = Value::str(format!("{a}  "));
                prop_assert!(equal(&x, &blank, coll), "trailing blanks do not count");
            }
        }

        #[test]
        fn a_composite_key_is_not_confused_by_its_parts(a in text(), b in text(), c in text(), d in text()) {
            let coll = Coll::parse("Latin1_General_100_BIN2").ok();
            let two = |x: &str, y: &str| [bytes(&Value::str(x), coll), bytes(&Value::str(y), coll)].concat();
            let same = equal(&Value::str(&a), &Value::str(&c), coll) && equal(&Value::str(&b), &Value::str(&d), coll);
            prop_assert_eq!(two(&a, &b) == two(&c, &d), same);
        }

        #[test]
        fn key_bytes_are_ordered_as_the_numbers(a: i64, b: i64, f: f64, g: f64) {
            prop_assert_eq!(bytes(&Value::Int(a), None).cmp(&bytes(&Value::Int(b), None)), a.cmp(&b));
            if let Some(order) = f.partial_cmp(&g) {
                prop_assert_eq!(bytes(&Value::Float(f), None).cmp(&bytes(&Value::Float(g), None)), order);
            }
        }

        #[test]
        fn decimals_of_any_scale_meet(n in -1_000_000_i64..1_000_000, s in 0_u8..6, m in -1_000_000_i64..1_000_000, t in 0_u8..6) {
            let (x, y) = (Value::dec(n.into(), s), Value::dec(m.into(), t));
            let exact = (i128::from(n) * decimal::pow10(t)).cmp(&(i128::from(m) * decimal::pow10(s)));
            prop_assert_eq!(compare(&x, &y, None), exact);
            prop_assert_eq!(bytes(&x, None) == bytes(&y, None), exact == Ordering::Equal);
        }
    }
}
